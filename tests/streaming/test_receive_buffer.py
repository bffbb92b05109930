"""What waits for a reader: nothing is lost, nothing is kept after its use, the end comes last."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.streaming.receive_buffer import ReadGate, ReceiveBuffer


def nothing() -> None:
    """Stand for a piece that is not counted."""


@given(
    st.lists(st.binary(min_size=1, max_size=50)),
    st.lists(st.integers(1, 60), min_size=1, max_size=20),
)
def test_what_is_put_in_is_read_whole_in_order_and_in_the_sizes_asked_for(
    pieces: list[bytes], limits: list[int]
) -> None:
    async def check() -> None:
        received, used = ReceiveBuffer(), []
        for number, piece in enumerate(pieces):
            received.put(piece, lambda number=number: used.append(number))
        received.end()
        got, turn = b"", 0
        while part := await received.read(limits[turn % len(limits)]):
            assert len(part) <= limits[turn % len(limits)]
            got, turn = got + part, turn + 1
            whole = sum(len(b"".join(pieces[: n + 1])) <= len(got) for n in range(len(pieces)))
            assert used == list(range(whole))
        assert got == b"".join(pieces)
        assert await received.read() == b""

    asyncio.run(check())


async def test_a_reader_waits_for_what_comes() -> None:
    received = ReceiveBuffer()
    reading = asyncio.ensure_future(received.read())
    await asyncio.sleep(0)
    assert not reading.done()
    received.put(b"late", nothing)
    assert await reading == b"late"


async def test_a_broken_stream_is_an_error_at_once() -> None:
    received, used = ReceiveBuffer(), []
    received.put(b"lost", lambda: used.append(1))
    received.end(ConnectionResetError("broken off"))
    with pytest.raises(ConnectionResetError, match="broken off"):
        await received.read()
    assert used == [1]


async def test_what_is_discarded_is_used_also_what_comes_later() -> None:
    received, used = ReceiveBuffer(), []
    received.put(b"ab", lambda: used.append(1))
    await received.read(1)
    received.discard()
    received.put(b"cd", lambda: used.append(2))
    assert used == [1, 2]
    assert await received.read() == b""


async def test_reading_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="expected at least 1"):
        await ReceiveBuffer().read(0)


@pytest.mark.looptime
async def test_a_gate_that_stays_shut_sends_signs_of_life_until_it_opens() -> None:
    signs: list[float] = []
    waiting = [True]
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def sign() -> None:
        signs.append(round(loop.time() - begun))

    gate = ReadGate(lambda: waiting[0], sign)
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
        await ReadGate(lambda: True, sign).passed()
