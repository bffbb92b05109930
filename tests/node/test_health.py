"""Reachability of the provider, in simulated time."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import vk
from vk.node.health import UNREACHABLE, Health
from vk.settings import LiveSettings, Settings

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


class Backend:
    """A provider whose ping answers, fails or hangs."""

    answer = "ok"

    def __init__(self) -> None:
        self.in_doubt = asyncio.Event()
        self.pings = 0

    async def ping(self) -> None:
        self.pings += 1
        if self.answer == "fails":
            raise OSError("no route, password=hunter2")
        if self.answer == "is away":
            raise vk.TemporaryError("the service\nanswers 503")
        if self.answer == "times out":
            raise TimeoutError
        if self.answer == "hangs":
            await asyncio.Event().wait()


@pytest.fixture
def backend() -> Backend:
    return Backend()


@asynccontextmanager
async def watched(backend: Backend) -> AsyncIterator[Health]:
    settings = LiveSettings(Settings(provider="p", not_ready_after=60.0))
    health = Health(settings=settings, on_change=lambda: None)
    task = asyncio.create_task(health.run(backend.ping, backend.in_doubt))
    try:
        yield health
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


ERRORS = {
    "fails": ("OSError: no route, password=hunter2", "OSError"),
    "hangs": ("no answer within 10 s", "no answer within 10 s"),
    "is away": ("the service answers 503", "the service answers 503"),
    "times out": ("TimeoutError", "TimeoutError"),
}


@pytest.mark.parametrize("how", list(ERRORS))
async def test_why_a_ping_was_missed_is_said_in_words(
    backend: Backend, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """On the Node too, but there only what a provider said on purpose."""
    backend.answer = how
    in_log, on_node = ERRORS[how]
    with caplog.at_level(logging.WARNING, "vk.node.health"):
        async with watched(backend) as health:
            await asyncio.sleep(35)
            message = health.conditions()[0].message
    assert message == f"the provider missed 3 pings or more in a row: {on_node}"
    assert {vars(record)["error"] for record in caplog.records} == {in_log}


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_three_misses_keep_new_pods_away_and_only_time_makes_it_unready(
    backend: Backend, how: str
) -> None:
    async with watched(backend) as health:
        await asyncio.sleep(1)
        backend.answer = how
        await asyncio.sleep(18)
        assert (health.taints(), health.conditions()) == ((), ())
        await asyncio.sleep(25)
        assert health.taints() == (UNREACHABLE,)
        assert [entry.type for entry in health.conditions()] == ["ProviderUnreachable"]
        assert "hunter2" not in health.conditions()[0].message
        await asyncio.sleep(45)
        assert [entry.type for entry in health.conditions()] == ["ProviderUnreachable", "Ready"]


async def test_the_first_answer_ends_it(backend: Backend) -> None:
    async with watched(backend) as health:
        backend.answer = "fails"
        await asyncio.sleep(100)
        assert health.not_ready
        backend.answer = "ok"
        await asyncio.sleep(11)
        assert (health.taints(), health.conditions()) == ((), ())


async def test_two_misses_are_nothing(backend: Backend) -> None:
    async with watched(backend) as health:
        backend.answer = "fails"
        await asyncio.sleep(15)
        backend.answer = "ok"
        await asyncio.sleep(10)
        backend.answer = "fails"
        await asyncio.sleep(15)
        assert not health.unreachable


@pytest.mark.field
async def test_a_provider_that_missed_a_ping_is_pinged_every_two_seconds(backend: Backend) -> None:
    """What waits for it is to go on soon; a miss still counts every 10 s only."""
    async with watched(backend) as health:
        await asyncio.sleep(1)
        backend.answer = "is away"
        await asyncio.sleep(10)
        before = backend.pings
        await asyncio.sleep(10)
        assert backend.pings - before == 5
        assert not health.unreachable


@pytest.mark.field
async def test_a_failed_call_leads_to_a_ping_at_once_but_never_to_a_storm(backend: Backend) -> None:
    async with watched(backend):
        await asyncio.sleep(3)
        backend.in_doubt.set()
        await asyncio.sleep(0.1)
        assert backend.pings == 2
        for _ in range(100):
            backend.in_doubt.set()
            await asyncio.sleep(0.1)
        assert backend.pings <= 2 + 6
