"""The error channel tells how a command ended, and the resize channel how large its terminal is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.streaming.exit_status import Resizes, exit_outcome, failure_outcome

SIZES = st.tuples(st.integers(1, 65535), st.integers(1, 65535))


def test_success_is_a_document_since_version_4_and_nothing_before() -> None:
    assert [exit_outcome(version, 0) for version in (1, 2, 3)] == [b"", b"", b""]
    for version in (4, 5):
        assert exit_outcome(version, 0) == b'{"metadata":{},"status":"Success"}'


def test_an_exit_code_is_told_as_a_kubelet_tells_it() -> None:
    """Byte for byte what Go writes for the same Status."""
    expected = (
        b'{"metadata":{},"status":"Failure",'
        b'"message":"command terminated with non-zero exit code: 3","reason":"NonZeroExitCode",'
        b'"details":{"causes":[{"reason":"ExitCode","message":"3"}]}}'
    )
    assert exit_outcome(4, 3) == exit_outcome(5, 3) == expected
    assert exit_outcome(3, 3) == b"command terminated with non-zero exit code: 3"


@pytest.mark.parametrize("code", [1, 137, 255])
def test_the_code_is_in_the_cause_where_clients_look_for_it(code: int) -> None:
    cause = json.loads(exit_outcome(4, code))["details"]["causes"][0]
    assert cause == {"reason": "ExitCode", "message": str(code)}


@pytest.mark.parametrize(
    ("code", "text"), [(None, "exit code is unknown"), (-1, "exit code -1"), (256, "exit code 256")]
)
def test_a_code_that_cannot_be_told_is_a_failure_that_says_so(code: int | None, text: str) -> None:
    """Clients read an unsigned byte; anything else they show as a protocol error."""
    document = json.loads(exit_outcome(4, code))
    assert (document["status"], document["reason"]) == ("Failure", "InternalError")
    assert text in document["message"]
    assert text.encode() in exit_outcome(1, code)


def test_a_failure_is_a_status_with_its_reason_and_code() -> None:
    document = failure_outcome(5, "no such container", reason="NotFound", code=404)
    assert document == (
        b'{"metadata":{},"status":"Failure","message":"no such container",'
        b'"reason":"NotFound","code":404}'
    )
    assert failure_outcome(2, "no such container") == b"no such container"


@given(st.integers(1, 5), st.text(st.characters()))
def test_any_text_of_a_provider_can_be_told(version: int, text: str) -> None:
    raw = failure_outcome(version, text)
    told = json.loads(raw)["message"] if version >= 4 else raw.decode()
    assert told == text.encode(errors="replace").decode()


def test_a_text_with_undecodable_bytes_of_a_file_name_can_be_told() -> None:
    assert failure_outcome(1, b"\xff".decode(errors="surrogateescape")) == b"?"


@given(st.lists(SIZES, min_size=1, max_size=8), st.integers(1, 40))
def test_the_newest_size_is_read_in_any_pieces(sizes: list[tuple[int, int]], step: int) -> None:
    lines = (json.dumps({"Width": width, "Height": height}) for width, height in sizes)
    wire = "".join(f"{line}\n" for line in lines).encode()
    resizes = Resizes()
    found = [resizes.feed(wire[start : start + step]) for start in range(0, len(wire), step)]
    told = [size for size in found if size is not None]
    assert told[-1] == sizes[-1]
    assert set(told) <= set(sizes)
    assert Resizes().feed(wire) == sizes[-1]


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b'{"Width":80,"Height":24}', (80, 24)),
        (b'{"width":80,"HEIGHT":24}', (80, 24)),
        (b'{"Height":24,"Width":80,"More":[1]}', (80, 24)),
        (b' \n{"Width":80,"Height":24}\n', (80, 24)),
        (b'{"Width":80,"Height":0}', None),
        (b'{"Width":80}', None),
        (b"{}", None),
        (b"", None),
    ],
)
def test_a_size_is_read(data: bytes, size: tuple[int, int] | None) -> None:
    resizes = Resizes()
    assert resizes.feed(data) == size
    assert resizes.feed(b'{"Width":132,"Height":43}') == (132, 43)


@pytest.mark.parametrize(
    "data",
    [
        b'{"Width":65536,"Height":24}',
        b'{"Width":-1,"Height":24}',
        b'{"Width":8e1,"Height":24}',
        b'{"Width":true,"Height":24}',
        b'{"Width":"80","Height":24}',
        b'{"Width":1' + b"0" * 400 + b',"Height":24}',
        b"[" * 1000 + b"}",
        b"80x24}",
        b"\xff\xfe}",
        b"[{}",
        b" " * 5000,
        b"{" * 5000,
    ],
)
def test_what_is_no_size_ends_the_reading_without_a_size(data: bytes) -> None:
    resizes = Resizes()
    assert resizes.feed(data) is None
    assert resizes.feed(b'{"Width":132,"Height":43}') is None


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_bytes_are_sizes_or_nothing(parts: list[bytes]) -> None:
    resizes = Resizes()
    for part in parts:
        size = resizes.feed(part)
        assert size is None or all(0 < length < 65536 for length in size)
