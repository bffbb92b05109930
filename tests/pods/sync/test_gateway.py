"""Calls of the provider have a time-out, and are told with their time and outcome."""

from __future__ import annotations

import asyncio

import pytest

from vk.errors import NotFoundError, TemporaryError
from vk.pods.sync.gateway import timing, untimed

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]

Told = list[tuple[str, float, bool]]


@pytest.mark.parametrize(
    ("error", "failed"), [(None, False), (NotFoundError("x"), False), (TemporaryError("x"), True)]
)
async def test_a_call_is_told_when_it_has_ended(error: Exception | None, failed: bool) -> None:
    """That something is not there is an answer, no failure."""
    told: Told = []
    timed = timing(lambda *all_of_it: told.append(all_of_it))
    try:
        async with timed("delete_pod", 10.0):
            await asyncio.sleep(2)
            if error is not None:
                raise error
    except (NotFoundError, TemporaryError) as raised:
        assert raised is error
    assert told == [("delete_pod", pytest.approx(2.0), failed)]


async def test_a_call_that_takes_too_long_has_failed() -> None:
    told: Told = []
    timed = timing(lambda *all_of_it: told.append(all_of_it))
    with pytest.raises(TimeoutError):
        async with timed("list_pods", 1.0):
            await asyncio.sleep(5)
    assert told == [("list_pods", pytest.approx(1.0), True)]


async def test_untimed_is_a_time_out_all_the_same() -> None:
    with pytest.raises(TimeoutError):
        async with untimed("list_pods", 1.0):
            await asyncio.sleep(5)
