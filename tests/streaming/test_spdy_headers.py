"""Header blocks of SPDY: one compression for a session, and blocks made to do harm."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.streaming.spdy.frames import MAX_CONTROL, SpdyError
from vk.streaming.spdy.headers import DICTIONARY, MAX_BLOCK, Deflater, Inflater

LATIN = st.characters(max_codepoint=255)
NAMES = st.text(LATIN, min_size=1, max_size=20).map(str.lower).filter(lambda name: max(name) < "Ā")
HEADERS = st.dictionaries(NAMES, st.text(LATIN, max_size=40), max_size=6)


def deflate(*plains: bytes) -> list[bytes]:
    """Deflate blocks of one session, well-formed or not."""
    machine = zlib.compressobj(level=9, zdict=DICTIONARY)
    return [machine.compress(plain) + machine.flush(zlib.Z_SYNC_FLUSH) for plain in plains]


def field(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def block(*fields: bytes) -> bytes:
    return struct.pack(">I", len(fields) // 2) + b"".join(map(field, fields))


def test_the_dictionary_is_the_one_of_the_draft() -> None:
    """Its checksum is what every zlib stream of SPDY/3 names in its first bytes."""
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


@given(st.lists(HEADERS, max_size=6))
def test_the_blocks_of_a_session_come_back_in_order(several: list[dict[str, str]]) -> None:
    deflater, inflater = Deflater(), Inflater()
    for headers in several:
        assert inflater.headers(deflater.block(headers)) == headers


def test_names_are_sent_in_lower_case() -> None:
    assert Inflater().headers(Deflater().block({"streamType": "error"})) == {"streamtype": "error"}


def test_a_repeated_block_is_nearly_free() -> None:
    """What came before is used again, though the window is small."""
    deflater = Deflater()
    headers = {"streamtype": "data", "port": "8080", "requestid": "17"}
    assert len(deflater.block(headers)) > 3 * len(deflater.block(headers))


def test_a_block_may_be_as_large_as_the_limit() -> None:
    value = b"v" * (MAX_BLOCK - len(block(b"n", b"")))
    (deflated,) = deflate(block(b"n", value))
    assert Inflater().headers(deflated) == {"n": value.decode()}


@pytest.mark.parametrize(
    ("plain", "reason"),
    [
        (block(b"n", b"v" * MAX_BLOCK), "more than 16384 bytes"),
        (bytes(1 << 24), "more than 16384 bytes"),
        (b"", "within a length"),
        (b"\0\0\0", "within a length"),
        (struct.pack(">I", 2**32 - 1), "within a length"),
        (struct.pack(">I", 1) + struct.pack(">I", 2**32 - 1), "4294967295 bytes goes beyond"),
        (struct.pack(">I", 1) + field(b"n"), "within a length"),
        (struct.pack(">I", 1) + field(b"n") + struct.pack(">I", 1), "1 bytes goes beyond"),
        (block(b"n", b"v") + b"x", "1 bytes too many"),
        (block(b"", b"v"), "empty"),
        (block(b"n", b"v", b"n", b"w"), "repeated"),
        (block(b"Name", b"v"), "lower case"),
    ],
)
def test_a_block_that_is_no_list_of_headers_is_refused(plain: bytes, reason: str) -> None:
    (deflated,) = deflate(plain)
    assert len(deflated) < MAX_CONTROL, "it would have been refused as a frame"
    with pytest.raises(SpdyError, match=reason):
        Inflater().headers(deflated)


def test_a_bomb_is_stopped_while_it_inflates() -> None:
    """16 KB on the wire that stand for 16 MB never become more than the limit."""
    (bomb,) = deflate(bytes(1 << 24))
    inflater = Inflater()
    tracemalloc.start()
    with pytest.raises(SpdyError):
        inflater.headers(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    "deflated",
    [
        b"\xff\xff\xff\xff",
        zlib.compress(block(b"n", b"v"))[:2] + b"\xff" * 20,
        deflate(block(b"n", b"v"))[0][:2] + b"\0\0\0\0" + deflate(block(b"n", b"v"))[0][6:],
    ],
    ids=["no zlib", "broken data", "another dictionary"],
)
def test_what_cannot_be_inflated_is_refused(deflated: bytes) -> None:
    with pytest.raises(SpdyError, match="cannot be inflated"):
        Inflater().headers(deflated)


def test_the_end_of_the_compression_is_refused() -> None:
    machine = zlib.compressobj(zdict=DICTIONARY)
    ended = machine.compress(block(b"n", b"v")) + machine.flush(zlib.Z_FINISH)
    with pytest.raises(SpdyError, match="ends the compression"):
        Inflater().headers(ended)
