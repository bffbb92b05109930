"""A stop while the provider works: what is in flight gets 25 seconds, and no more."""

from __future__ import annotations

import asyncio

import pytest
from pod_world import Api, Backend, raw, running

from vk.models.pod import Pod
from vk.models.status import PodStatus

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


class Slow(Backend):
    """Takes ``seconds`` for each create."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    async def create_pod(self, pod: Pod) -> PodStatus | None:
        await asyncio.sleep(self.seconds)
        return await super().create_pod(pod)


@pytest.mark.parametrize(
    ("seconds", "creates", "stopped_after"), [(20.0, 1, 19.0), (100.0, 0, 25.0)]
)
async def test_a_create_in_flight_may_end_within_25_seconds_of_a_stop(
    seconds: float, creates: int, stopped_after: float
) -> None:
    api, provider = Api(), Slow(seconds)
    clock = asyncio.get_running_loop().time
    async with running(api, provider):
        api.add(raw("web", "u"))
        await asyncio.sleep(1)
        began = clock()
    assert clock() - began == pytest.approx(stopped_after, abs=0.5)
    assert provider.creates == creates
