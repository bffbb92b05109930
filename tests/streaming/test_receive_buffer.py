"""What waits for a reader: nothing is lost, nothing is kept after its use, the end comes last."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.streaming.receive_buffer import Gate, Inbox, Sizes
from vk.streams import TerminalSize


def nothing() -> None:
    """A piece that nobody counts."""


@given(
    st.lists(st.binary(min_size=1, max_size=50)),
    st.lists(st.integers(1, 60), min_size=1, max_size=20),
)
def test_what_is_put_in_is_read_whole_in_order_and_in_the_sizes_asked_for(
    pieces: list[bytes], limits: list[int]
) -> None:
    async def check() -> None:
        inbox, used = Inbox(), []
        for number, piece in enumerate(pieces):
            inbox.put(piece, lambda number=number: used.append(number))
        inbox.end()
        got, turn = b"", 0
        while part := await inbox.read(limits[turn % len(limits)]):
            assert len(part) <= limits[turn % len(limits)]
            got, turn = got + part, turn + 1
            whole = sum(len(b"".join(pieces[: n + 1])) <= len(got) for n in range(len(pieces)))
            assert used == list(range(whole))
        assert got == b"".join(pieces)
        assert await inbox.read() == b""

    asyncio.run(check())


async def test_a_reader_waits_for_what_comes() -> None:
    inbox = Inbox()
    reading = asyncio.ensure_future(inbox.read())
    await asyncio.sleep(0)
    assert not reading.done()
    inbox.put(b"late", nothing)
    assert await reading == b"late"


async def test_a_broken_stream_is_an_error_at_once() -> None:
    inbox, used = Inbox(), []
    inbox.put(b"lost", lambda: used.append(1))
    inbox.end(ConnectionResetError("broken off"))
    with pytest.raises(ConnectionResetError, match="broken off"):
        await inbox.read()
    assert used == [1]


async def test_what_is_discarded_is_used_also_what_comes_later() -> None:
    inbox, used = Inbox(), []
    inbox.put(b"ab", lambda: used.append(1))
    await inbox.read(1)
    inbox.discard()
    inbox.put(b"cd", lambda: used.append(2))
    assert used == [1, 2]
    assert await inbox.read() == b""


async def test_reading_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        await Inbox().read(0)


async def test_of_sizes_only_the_newest_is_kept_and_seen_once() -> None:
    sizes = Sizes()
    for width in (1, 2, 3):
        sizes.put(b'{"Width":%d,"Height":9}' % width, nothing)
    each = sizes.each()
    assert await anext(each) == TerminalSize(3, 9)
    later = asyncio.ensure_future(anext(each))
    await asyncio.sleep(0)
    assert not later.done()
    sizes.put(b'{"Width":4,"Height":9}', nothing)
    assert await later == TerminalSize(4, 9)
    sizes.end()
    assert [size async for size in each] == []
    assert [size async for size in sizes.each()] == [TerminalSize(4, 9)]


async def test_sizes_that_never_came_end_too() -> None:
    sizes = Sizes()
    sizes.end()
    assert [size async for size in sizes.each()] == []


@pytest.mark.looptime
async def test_a_gate_that_stays_shut_sends_signs_of_life_until_it_opens() -> None:
    signs: list[float] = []
    waiting = [True]
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def sign() -> None:
        signs.append(round(loop.time() - begun))

    gate = Gate(lambda: waiting[0], sign)
    loop.call_later(12.0, waiting.insert, 0, False)
    loop.call_later(12.0, gate.open)
    await gate.passed()
    assert signs == [5, 10]
    assert round(loop.time() - begun) == 12


@pytest.mark.looptime
async def test_a_gate_ends_with_the_peer() -> None:
    async def sign() -> None:
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        await Gate(lambda: True, sign).passed()
