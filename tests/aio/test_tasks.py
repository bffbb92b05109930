"""supervise: restarts, the traceback in the log, and cancellation; in simulated time."""

import asyncio
import logging

import pytest

from vk.aio.tasks import supervise

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


async def test_a_part_that_raises_or_ends_is_started_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    starts = 0
    third = asyncio.Event()

    async def part() -> None:
        nonlocal starts
        starts += 1
        if starts == 1:
            raise ValueError("broken")
        if starts == 3:
            third.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(supervise("part", part))
    async with asyncio.timeout(5):
        await third.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    failed, ended = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert failed.exc_info is not None
    assert "ValueError" in str(failed.exc_info[0])
    assert ended.exc_info is None


async def test_the_wait_starts_over_after_a_long_run() -> None:
    loop = asyncio.get_running_loop()
    starts: list[float] = []

    async def part() -> None:
        starts.append(loop.time())
        if len(starts) == 6:
            await asyncio.sleep(100)
        raise ValueError

    task = asyncio.create_task(supervise("part", part))
    await asyncio.sleep(200)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert starts[5] - starts[4] >= 4
    assert starts[6] - starts[5] <= 100.5
