"""What running pods use, as `kubectl top` shows it, from the service's measurements."""

from __future__ import annotations

from typing import Any

import pytest
from eci_world import World, is_running, until

from vk_providers.alibabacloud.emulator import EmulatorSettings, serve

pytestmark = pytest.mark.slow


async def test_each_running_pod_is_measured_container_by_container() -> None:
    async with serve(EmulatorSettings(speed=40.0, seed=1)) as emulator:
        world = World(emulator)
        pods = [world.add("one"), world.add("two")]
        running: set[str] = set()

        def both(change: Any) -> bool:
            if is_running(change):
                running.add(change.key.uid)
            return len(running) == len(pods)

        async with world.provider() as provider:
            for pod in pods:
                await provider.create_pod(pod)
            await until(provider, both)
            found = {one.key: one for one in (await provider.stats()).pods}
        assert set(found) == {pod.key for pod in pods}
        for one in found.values():
            assert set(one.containers) == {"c"}
            assert one.total is not None
            assert one.total.cpu_cores
            assert 0 < (one.total.working_set_bytes or 0) <= 4 * 2**30  # the group's size
            assert one.containers["c"].cpu_seconds
            assert one.received_bytes
