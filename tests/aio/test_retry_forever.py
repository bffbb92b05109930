"""retry_forever: tries indefinitely and logs at once, then once a minute; in simulated time."""

import asyncio
import itertools
import logging

import pytest

from vk.aio.tasks import retry_forever

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


async def test_what_fails_is_tried_for_ever_and_said_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    tries: list[float] = []

    async def attempt() -> str:
        tries.append(loop.time() - began)
        if tries[-1] < 3600:
            raise OSError("connection refused")
        return "there"

    assert await retry_forever("cannot reach the cluster", attempt) == "there"
    waits = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert waits[0] <= 0.5
    assert max(waits) <= 15.0
    said = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert {record.getMessage() for record in said} == {"cannot reach the cluster"}
    assert {vars(record)["error"] for record in said} == {"connection refused"}
    assert 48 <= len(said) <= 61


async def test_an_error_without_a_text_is_said_by_its_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tries = iter([TimeoutError(), None])

    async def attempt() -> None:
        if (error := next(tries)) is not None:
            raise error

    await retry_forever("cannot register the node", attempt)
    (record,) = caplog.records
    assert vars(record)["error"] == "TimeoutError"


async def test_cancelling_ends_it() -> None:
    async def attempt() -> None:
        raise OSError

    task = asyncio.create_task(retry_forever("problem", attempt))
    await asyncio.sleep(10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
