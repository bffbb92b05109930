"""Reachability of the provider, in simulated time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from vk.node.health import UNREACHABLE, Health

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


class Backend:
    """A provider whose ping answers, fails or hangs."""

    answer = "ok"

    async def ping(self) -> None:
        if self.answer == "fails":
            raise OSError("no route, password=hunter2")
        if self.answer == "hangs":
            await asyncio.Event().wait()


@pytest.fixture
def backend() -> Backend:
    return Backend()


@asynccontextmanager
async def watched(backend: Backend) -> AsyncIterator[Health]:
    health = Health(ping=backend.ping, not_ready_after=lambda: 60.0, on_change=lambda: None)
    task = asyncio.create_task(health.run())
    try:
        yield health
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


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
