"""The queue's promises: once, one at a time, on time; in simulated time."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from vk.workqueue import WorkQueue

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


def now() -> float:
    return asyncio.get_running_loop().time()


async def nothing(queue: WorkQueue[str]) -> bool:
    try:
        async with asyncio.timeout(3600):
            await queue.get()
    except TimeoutError:
        return True
    return False


async def test_a_key_added_twice_comes_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("a")
    queue.add("a", 5.0)
    assert len(queue) == 1
    assert await queue.get() == "a"
    queue.done("a")
    assert await nothing(queue)


async def test_keys_come_in_the_order_they_were_added() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in "cab":
        queue.add(key)
    assert [await queue.get() for _ in range(3)] == ["c", "a", "b"]


async def test_a_key_added_while_it_is_worked_on_waits_for_the_end_of_that_work() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add("a", 100.0)
    assert await nothing(queue)
    queue.done("a")
    started = now()
    assert await queue.get() == "a"
    assert now() == started


@pytest.mark.parametrize("delays", [(5.0,), (5.0, 9.0), (9.0, 5.0), (5.0, 5.0), (7.0, 9.0, 5.0)])
async def test_a_delayed_key_comes_once_at_its_earliest_time(delays: tuple[float, ...]) -> None:
    queue: WorkQueue[str] = WorkQueue()
    for delay in delays:
        queue.add("a", delay)
    started = now()
    await queue.get()
    assert now() - started == pytest.approx(5.0)
    queue.done("a")
    assert await nothing(queue)


async def test_a_delayed_key_that_is_added_again_comes_at_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a", 50.0)
    queue.add("a")
    started = now()
    await queue.get()
    assert now() == started
    queue.done("a")
    assert await nothing(queue)


async def test_equal_keys_that_are_other_objects_are_one_key() -> None:
    queue: WorkQueue[tuple[str, str]] = WorkQueue()
    parts = ["default", "p"]
    queue.add((parts[0], parts[1]), 90.0)
    queue.add((parts[0], parts[1]), 30.0)
    started = now()
    await queue.get()
    assert now() - started == pytest.approx(30.0)


async def test_delays_given_during_the_work_count_from_when_they_were_given() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    started = now()
    queue.add("a", 10.0)
    await asyncio.sleep(4)
    queue.done("a")
    await queue.get()
    assert now() - started == pytest.approx(10.0)


async def test_a_delay_that_passed_during_the_work_is_due_at_its_end() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    await queue.get()
    queue.add("a", 3.0)
    await asyncio.sleep(9)
    queue.done("a")
    started = now()
    await queue.get()
    assert now() == started


async def test_many_delays_come_in_the_order_of_their_times() -> None:
    queue: WorkQueue[int] = WorkQueue()
    started = now()
    for delay in (7, 3, 9, 1, 5, 2, 8, 4, 6):
        queue.add(delay, float(delay))
    for expected in range(1, 10):
        assert await queue.get() == expected
        assert now() - started == pytest.approx(expected)


async def test_a_delay_of_long_that_is_often_renewed_takes_no_more_memory() -> None:
    """A pod with a far deadline is looked at all day."""
    queue: WorkQueue[str] = WorkQueue()

    async def look_often() -> int:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(5_000):
            queue.add("a")
            queue.add("b", 0.5)
            key = await queue.get()
            queue.add(key, 86400.0)
            queue.done(key)
        return tracemalloc.get_traced_memory()[0] - before

    tracemalloc.start()
    try:
        await look_often()
        assert await look_often() < 50_000
    finally:
        tracemalloc.stop()
    assert [await queue.get(), await queue.get()] == ["b", "a"]
    assert now() == pytest.approx(86400.0, abs=1.0)


async def test_retries_wait_longer_each_time_up_to_five_minutes_until_forgotten() -> None:
    queue: WorkQueue[str] = WorkQueue()
    waits = []
    for _ in range(20):
        started = now()
        queue.retry("a")
        await queue.get()
        queue.done("a")
        waits.append(now() - started)
    assert 0.25 <= waits[0] <= 0.5
    assert all(150.0 <= wait <= 300.0 for wait in waits[10:])
    queue.forget("a")
    started = now()
    queue.retry("a")
    await queue.get()
    assert now() - started <= 0.5


async def test_a_cancelled_get_loses_no_key() -> None:
    queue: WorkQueue[str] = WorkQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(1):
        assert await queue.get() == "a"


async def test_an_observer_is_told_how_long_keys_wait_and_the_work_takes() -> None:
    """Waiting begins when a key is due, not when it was added."""
    told: list[tuple[str, float]] = []

    class Observer:
        def added(self) -> None:
            told.append(("added", 0.0))

        def retried(self) -> None:
            told.append(("retried", 0.0))

        def waited(self, seconds: float, /) -> None:
            told.append(("waited", round(seconds, 3)))

        def worked(self, seconds: float, /) -> None:
            told.append(("worked", round(seconds, 3)))

    queue: WorkQueue[str] = WorkQueue(observer=Observer())
    queue.add("a", 5.0)
    await asyncio.sleep(7)
    await queue.get()
    assert [round(one, 3) for one in queue.unfinished()] == [0.0]
    await asyncio.sleep(3)
    assert [round(one, 3) for one in queue.unfinished()] == [3.0]
    queue.retry("a")
    queue.done("a")
    assert told[:4] == [("added", 0.0), ("waited", 2.0), ("retried", 0.0), ("worked", 3.0)]
    assert queue.unfinished() == []
