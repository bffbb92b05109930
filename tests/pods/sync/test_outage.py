"""The backend is unreachable for a while: what waited for it goes on once it answers again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from pod_world import Api, Backend, raw, running

from vk.errors import TemporaryError
from vk.models.keys import PodKey
from vk.models.pod import Pod
from vk.models.status import PodStatus

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio, pytest.mark.field]


@pytest.fixture
def api() -> Api:
    return Api()


class Unreachable(Backend):
    """Answers nothing while it is ``away``; ``full``: takes no new pods then."""

    away = full = False

    async def create_pod(self, pod: Pod) -> PodStatus | None:
        self._reach()
        if self.full:
            self.creates += 1
            raise TemporaryError("no room in this zone")
        return await super().create_pod(pod)

    async def delete_pod(self, key: PodKey, *, grace_period: float) -> PodStatus | None:
        self._reach()
        return await super().delete_pod(key, grace_period=grace_period)

    async def list_pods(self) -> Sequence[PodStatus]:
        self._reach()
        return await super().list_pods()

    async def ping(self) -> None:
        self._reach()

    def _reach(self) -> None:
        if self.away:
            raise TemporaryError("connection refused")


async def test_creates_that_wait_start_within_two_seconds_of_the_first_answer(api: Api) -> None:
    """Any call is an answer; here it is a ping."""
    provider = Unreachable()
    async with running(api, provider) as world:
        provider.away = True
        api.add(raw("p"))
        await asyncio.sleep(300)  # the backoff has grown
        assert api.status()["phase"] == "Pending"
        provider.away = False
        await world.reconciler.gateway.ping()
        await asyncio.sleep(2)
        assert api.status()["phase"] == "Running"
    assert provider.creates == 1


async def test_deletes_that_wait_go_on_too(api: Api) -> None:
    provider = Unreachable()
    async with running(api, provider) as world:
        api.add(raw("p"))
        await asyncio.sleep(1)
        provider.away = True
        api.ask_delete("p")
        await asyncio.sleep(300)
        provider.away = False
        await world.reconciler.gateway.ping()
        await asyncio.sleep(2)
        assert api.pods == {}


async def test_what_is_refused_while_the_backend_answers_keeps_its_backoff(api: Api) -> None:
    """Lists and pings that work prove nothing for a pod that finds no room."""
    provider = Unreachable()
    async with running(api, provider) as world:
        provider.full = True
        api.add(raw("p"))
        for _ in range(60):
            await asyncio.sleep(5)
            await world.reconciler.gateway.ping()
        assert provider.creates < 15
