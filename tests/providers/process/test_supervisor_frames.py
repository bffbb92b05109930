"""Frames come out as they went in, however the socket cuts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk_providers.process.supervisor.frames import (
    CREDIT,
    JSON,
    STDERR,
    STDIN,
    STDOUT,
    Frames,
    ProtocolError,
    credit_frame,
    frame,
    json_frame,
    read_credit,
)

FRAMES = st.lists(
    st.tuples(
        st.sampled_from([JSON, STDIN, STDOUT, STDERR, CREDIT]),
        st.integers(0, 2**32 - 1),
        st.binary(max_size=300),
    ),
    max_size=8,
)


@given(FRAMES, st.lists(st.integers(1, 50), min_size=1))
def test_any_pieces_give_the_same_frames(
    sent: list[tuple[int, int, bytes]], sizes: list[int]
) -> None:
    content = b"".join(frame(*each) for each in sent)
    frames, got, position, turn = Frames(), [], 0, 0
    while position < len(content):
        size = sizes[turn % len(sizes)]
        got += frames.feed(content[position : position + size])
        position, turn = position + size, turn + 1
    assert got == sent


@pytest.mark.parametrize(
    "content", [b"\xff\xff\xff\xff\x00\x00\x00\x00\x01", frame(9, 1, b"x")], ids=["length", "kind"]
)
def test_what_is_no_frame_is_refused(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(Frames().feed(content))


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(content: bytes) -> None:
    frames = Frames()
    try:
        for kind, _, body in frames.feed(content):
            assert kind <= CREDIT
            assert len(body) <= len(content)
    except ProtocolError:
        return


@given(st.sampled_from([STDIN, STDOUT, STDERR]), st.integers(0, 2**32 - 1))
def test_a_credit_is_read_as_it_was_written(stream: int, count: int) -> None:
    ((kind, channel, body),) = Frames().feed(credit_frame(7, stream, count))
    assert (kind, channel, *read_credit(body)) == (CREDIT, 7, stream, count)


def test_a_credit_of_another_size_is_refused() -> None:
    with pytest.raises(ProtocolError, match="expected 5"):
        read_credit(b"four")


def test_json_goes_on_channel_0() -> None:
    assert list(Frames().feed(json_frame({"id": 1}))) == [(JSON, 0, b'{"id": 1}')]
