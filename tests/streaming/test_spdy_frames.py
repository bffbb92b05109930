"""SPDY frames: the bytes of Go's library, any chunks, and bytes that are no frames."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import attrs
import pytest
from go_frames import GO_FRAMES
from hypothesis import given
from hypothesis import strategies as st

from vk.streaming.spdy.frames import (
    MAX_CONTROL,
    MAX_DATA,
    Data,
    Decoder,
    Frame,
    GoAway,
    Headers,
    Ping,
    RstStream,
    SettingsFrame,
    SpdyError,
    SynReply,
    SynStream,
    Unknown,
    WindowUpdate,
    data_head,
)
from vk.streaming.spdy.headers import Inflater

IDS = st.integers(1, 2**31 - 1)
WORDS = st.integers(0, 2**32 - 1)
BLOCKS = st.binary(max_size=200)
FRAMES: st.SearchStrategy[Frame] = st.one_of(
    st.builds(Data, IDS, st.binary(max_size=300), st.booleans()),
    st.builds(SynStream, IDS, BLOCKS, st.booleans(), st.booleans(), st.just(0), st.integers(0, 7)),
    st.builds(SynReply, IDS, BLOCKS, st.booleans()),
    st.builds(RstStream, IDS, WORDS),
    st.builds(
        SettingsFrame,
        st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2**24 - 1), WORDS), max_size=4).map(
            tuple
        ),
    ),
    st.builds(Ping, WORDS),
    st.builds(GoAway, IDS, WORDS),
    st.builds(Headers, IDS, BLOCKS, st.booleans()),
    st.builds(WindowUpdate, st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)),
)


def chunks(wire: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    return (wire[start:end] for start, end in pairwise(edges))


def decode(parts: Iterator[bytes] | list[bytes]) -> list[Frame]:
    decoder = Decoder()
    return [frame for part in parts for frame in decoder.feed(part)]


def joined(frames: list[Frame]) -> list[Frame]:
    """Put the pieces of each DATA frame together: an unfinished one goes on in the next piece."""
    result: list[Frame] = []
    for frame in frames:
        last = result[-1] if result else None
        both = isinstance(frame, Data) and isinstance(last, Data)
        if both and frame.stream_id == last.stream_id and not last.fin:
            result[-1] = Data(frame.stream_id, last.data + frame.data, frame.fin)
        else:
            result.append(frame)
    return result


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(0, 5000), max_size=12))
def test_frames_come_back_from_their_bytes_in_any_chunks(
    frames: list[Frame], cuts: list[int]
) -> None:
    wire = b"".join(frame.encode() for frame in frames)
    assert joined(decode(chunks(wire, cuts))) == joined(frames)


def test_the_bytes_of_a_go_client_are_understood() -> None:
    inflater = Inflater()
    for text, expected, headers in GO_FRAMES:
        (frame,) = decode([bytes.fromhex(text)])
        if headers is not None:
            assert inflater.headers(frame.block) == headers
            frame = attrs.evolve(frame, block=b"")
        assert frame == expected


@pytest.mark.parametrize("text", [text for text, _, _ in GO_FRAMES])
def test_frames_are_written_as_go_writes_them(text: str) -> None:
    (frame,) = decode([bytes.fromhex(text)])
    assert frame.encode().hex() == text


def test_a_data_frame_is_handed_out_while_it_comes() -> None:
    decoder = Decoder()
    assert list(decoder.feed(data_head(1, MAX_DATA, fin=True))) == []
    assert list(decoder.feed(b"ab")) == [Data(1, b"ab")]
    rest = bytes(MAX_DATA - 2)
    assert list(decoder.feed(rest[:-1])) == [Data(1, rest[:-1])]
    assert list(decoder.feed(b"\0" + Ping(1).encode())) == [Data(1, b"\0", fin=True), Ping(1)]


def test_a_control_frame_of_another_kind_is_passed_over() -> None:
    wire = bytes.fromhex("800300ff00000003616263") + Ping(2).encode()
    assert decode([wire]) == [Unknown(255), Ping(2)]


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        ("8002000600000004" + "00000001", "version 2"),
        ("ffff000600000004" + "00000001", "version 32767"),
        ("8003000100ffffff", f"16777215 bytes, expected at most {MAX_CONTROL}"),
        ("800300ff00ffffff", "16777215 bytes"),
        ("0000000000000001" + "00", "data frame for stream 0"),
        ("800300010000000a" + "00000000000000000000", "stream 0"),
        ("8003000300000008" + "8000000000000001", "stream 0"),
        ("8003000100000009" + "000000010000000000", "kind 1 cannot have 9 bytes"),
        ("8003000200000003" + "000001", "kind 2 cannot have 3 bytes"),
        ("8003000300000007" + "00000001000000", "kind 3 cannot have 7 bytes"),
        ("8003000300000009" + "000000010000000000", "kind 3 cannot have 9 bytes"),
        ("8003000600000000", "kind 6 cannot have 0 bytes"),
        ("8003000600000005" + "0000000100", "kind 6 cannot have 5 bytes"),
        ("800300070000000c" + "000000000000000000000000", "kind 7 cannot have 12 bytes"),
        ("8003000400000000", "kind 4 cannot have 0 bytes"),
        ("8003000400000004" + "ffffffff", "settings frame of 4 bytes for 4294967295 entries"),
        ("8003000400000005" + "0000000000", "settings frame of 5 bytes for 0 entries"),
    ],
)
def test_bytes_that_are_no_frame_are_refused(wire: str, reason: str) -> None:
    with pytest.raises(SpdyError, match=reason):
        decode([bytes.fromhex(wire)])


def test_frames_before_a_broken_one_are_still_handed_out() -> None:
    found: list[Frame] = []
    with pytest.raises(SpdyError):
        found.extend(Decoder().feed(Ping(1).encode() + bytes.fromhex("8002000600000004")))
    assert found == [Ping(1)]
