"""A session ends when it is told to, or when nothing passes; simulated time."""

from __future__ import annotations

import asyncio

import pytest

from vk.streaming.session import SessionEnd, SessionEndedError, SessionLifetime

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


async def wait_for_end(lifetime: SessionLifetime) -> float:
    """Return the time at which it ended."""
    with pytest.raises(SessionEndedError):
        async with lifetime.limit():
            await asyncio.Event().wait()
    return asyncio.get_running_loop().time()


async def test_it_ends_when_nothing_has_passed_for_the_idle_time() -> None:
    begun = asyncio.get_running_loop().time()
    lifetime = SessionLifetime(14400.0)
    assert await wait_for_end(lifetime) - begun == pytest.approx(14400.0)
    assert lifetime.reason is SessionEnd.IDLE


async def test_each_byte_begins_the_idle_time_anew() -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    lifetime = SessionLifetime(100.0)
    loop.call_at(begun + 60.0, lifetime.touch)
    loop.call_at(begun + 140.0, lifetime.touch)
    assert await wait_for_end(lifetime) - begun == pytest.approx(240.0)


async def test_without_an_idle_time_it_lasts_until_it_is_ended() -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    lifetime = SessionLifetime()
    loop.call_at(begun + 1e6, lifetime.end, SessionEnd.STOPPING)
    loop.call_at(begun + 1e6, lifetime.end, SessionEnd.CLIENT_GONE)
    assert await wait_for_end(lifetime) - begun == pytest.approx(1e6)
    assert lifetime.reason is SessionEnd.STOPPING


async def test_all_work_in_it_is_ended_and_none_begins_after_the_end() -> None:
    lifetime = SessionLifetime()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(wait_for_end(lifetime))
        await asyncio.sleep(1.0)
        lifetime.end(SessionEnd.STOPPING)
    with pytest.raises(SessionEndedError, match="stopping"):
        async with lifetime.limit():
            raise AssertionError("entered after the end")


async def test_a_time_out_of_the_work_itself_stays_one() -> None:
    with pytest.raises(TimeoutError):
        async with SessionLifetime().limit(), asyncio.timeout(1.0):
            await asyncio.Event().wait()


async def test_cancelling_the_work_stays_cancelling() -> None:
    task = asyncio.create_task(wait_for_end(SessionLifetime()))
    await asyncio.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_work_that_is_done_before_the_end_gives_its_result() -> None:
    lifetime = SessionLifetime(10.0)
    async with lifetime.limit():
        await asyncio.sleep(5.0)
    lifetime.close()
    await asyncio.sleep(100.0)
    assert lifetime.reason is None


async def test_a_task_that_moves_many_bytes_lets_others_run() -> None:
    lifetime, seen = SessionLifetime(), []
    asyncio.get_running_loop().call_soon(seen.append, "ran")
    for _ in range(4):
        await lifetime.moved(65536)
    assert seen == ["ran"]
