"""Orphans: what is deleted at the provider that no pod asks for, and above all what is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from pod_world import Api, Backend, World, ended, raw, running

from vk.errors import TemporaryError, UnavailableError
from vk.models.keys import PodKey
from vk.models.pod import Pod
from vk.models.status import PodStatus
from vk.models.time import now
from vk.pods.sync.orphans import EVERY

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]

LONG = 360.0
SOON = 60.0
"""Seconds in which an orphan is ended once a list shows it."""


def stranger(number: int = 0, *, age: float | None = None) -> PodStatus:
    """A workload that no pod asks for; without an age the backend does not say how old it is."""
    key = PodKey("default", f"old{number}", f"uid-old{number}")
    created = None if age is None else now() - timedelta(seconds=age)
    return PodStatus(key, created_at=created)


class Cloud(Backend):
    """A backend that outlives the process; ``ended_at`` is when which workload was deleted."""

    def __init__(self, *strangers: PodStatus) -> None:
        super().__init__()
        self.workloads = {one.key.uid: one for one in strangers}
        self.ended_at: dict[str, float] = {}
        self.broken = 0
        """Deletes that fail, from now on."""

    async def delete_pod(self, key: PodKey, *, grace_period: float) -> PodStatus | None:
        if self.broken:
            self.broken -= 1
            raise TemporaryError("not now")
        status = await super().delete_pod(key, grace_period=grace_period)
        del self.workloads[key.uid]
        self.ended_at[key.uid] = asyncio.get_running_loop().time()
        return status


@pytest.fixture
def api() -> Api:
    return Api()


@asynccontextmanager
async def collecting(api: Api, provider: Backend, policy: str = "delete") -> AsyncIterator[World]:
    """A process that acts for the node and collects orphans."""
    async with running(api, provider) as world:
        world.change_settings(orphans=policy)
        task = asyncio.create_task(world.feed.orphans.run())
        try:
            yield world
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_an_orphan_is_deleted_once_it_is_proved_one(api: Api) -> None:
    cloud = Cloud(stranger())
    async with collecting(api, cloud):
        await asyncio.sleep(EVERY - 1)
        assert cloud.ended_at == {}
        await asyncio.sleep(SOON - EVERY)
        assert set(cloud.ended_at) == {"uid-old0"}
        assert cloud.graces == [0.0]


class Streaming(Cloud):
    """A backend whose lists come once an hour; ``changes`` is its stream."""

    list_interval = 3600.0

    def __init__(self, *strangers: PodStatus) -> None:
        super().__init__(*strangers)
        self.changes: asyncio.Queue[PodStatus] = asyncio.Queue()
        self.lists = 0

    async def watch_pods(self) -> AsyncIterator[PodStatus]:
        while True:
            yield await self.changes.get()

    async def list_pods(self) -> Sequence[PodStatus]:
        self.lists += 1
        return await super().list_pods()


async def test_an_orphan_is_ended_soon_although_the_next_list_is_far(api: Api) -> None:
    cloud = Streaming(stranger(age=1.0))
    async with collecting(api, cloud):
        await asyncio.sleep(SOON)
        assert cloud.workloads == {}


async def test_an_orphan_that_the_stream_shows_is_ended_soon(api: Api) -> None:
    """As the group of a create whose answer was lost, of a pod that was deleted meanwhile."""
    cloud = Streaming()
    async with collecting(api, cloud):
        await asyncio.sleep(100)
        late = stranger(age=1.0)
        cloud.workloads[late.key.uid] = late
        cloud.changes.put_nowait(late)
        await asyncio.sleep(SOON)
        assert cloud.workloads == {}


async def test_without_orphans_no_list_is_asked_for(api: Api) -> None:
    cloud = Streaming()
    async with collecting(api, cloud):
        api.add(raw())
        await asyncio.sleep(LONG)
        assert cloud.lists == 1


async def test_what_is_not_in_the_cache_at_the_start_is_not_deleted_for_that(api: Api) -> None:
    """B26: upstream deletes at once what its cache lacks; here a live read has the last word."""
    cloud = Cloud()
    pod = raw("evicted", "uid-evicted")
    cloud.workloads["uid-evicted"] = PodStatus.running(Pod(pod))
    async with collecting(api, cloud):
        api.observe = lambda old, new: None  # the cache lags behind: it never hears of the pod
        api.add(pod)
        await asyncio.sleep(LONG)
        assert "uid-evicted" in cloud.workloads


async def test_pods_evicted_while_vk_was_down_end_by_proof_and_not_at_the_start(api: Api) -> None:
    """B26: their deletion is obeyed, but only after two lists and a live read."""
    cloud = Cloud()
    async with running(api, cloud):
        api.add(raw())
        await asyncio.sleep(1)
    api.remove("p")
    async with collecting(api, cloud):
        await asyncio.sleep(EVERY - 1)
        assert (cloud.deletes, len(cloud.workloads)) == (0, 1)
        await asyncio.sleep(SOON - EVERY)
        assert cloud.workloads == {}


@pytest.mark.parametrize("policy", ["report", "keep"])
async def test_pods_evicted_while_vk_was_down_stay_where_that_is_asked_for(
    api: Api, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    """B26: with --orphans=report or keep nothing is ever deleted; a report names it once."""
    cloud = Cloud(stranger(age=3600.0))
    async with collecting(api, cloud, policy):
        await asyncio.sleep(LONG)
        assert (cloud.deletes, len(cloud.workloads)) == (0, 1)
    named = [record for record in caplog.records if record.getMessage() == "orphan"]
    assert [vars(record)["uid"] for record in named] == (["uid-old0"] if policy == "report" else [])


async def test_a_workload_that_a_list_misses_once_starts_over(api: Api) -> None:
    class Flickering(Cloud):
        hidden = False

        async def list_pods(self) -> Sequence[PodStatus]:
            self.hidden = not self.hidden
            return [] if self.hidden else await super().list_pods()

    cloud = Flickering(stranger())
    async with collecting(api, cloud):
        await asyncio.sleep(LONG)
        assert cloud.deletes == 0


async def test_a_pod_of_another_uid_under_the_name_is_no_reason_to_keep_it(api: Api) -> None:
    cloud = Cloud(stranger())
    async with collecting(api, cloud):
        api.add(raw("old0", "uid-new"))
        await asyncio.sleep(LONG)
        assert set(cloud.workloads) == {"uid-new"}
        assert api.phase("old0") == "Running"


async def test_nothing_is_deleted_while_the_api_server_does_not_answer(api: Api) -> None:
    class Silent(Api):
        silent = True

        async def get(self, resource: Any, name: str, **more: Any) -> dict[str, Any]:
            if self.silent:
                raise UnavailableError("get pods: no answer")
            return await super().get(resource, name, **more)

    silent, cloud = Silent(), Cloud(stranger())
    async with collecting(silent, cloud):
        await asyncio.sleep(LONG)
        assert cloud.deletes == 0
        silent.silent = False
        await asyncio.sleep(60)
        assert cloud.workloads == {}


async def test_nothing_is_deleted_without_the_lease(api: Api) -> None:
    cloud = Cloud(stranger())

    def lost() -> None:
        raise TemporaryError("the lease may have expired")

    async with collecting(api, cloud) as world:
        world.check_lease = lost
        await asyncio.sleep(LONG)
        assert cloud.deletes == 0


async def test_at_most_ten_or_a_tenth_go_at_a_time(api: Api) -> None:
    """A wrong identity must not empty a backend before an operator can look."""
    cloud = Cloud(*(stranger(number, age=3600.0) for number in range(25)))
    async with collecting(api, cloud):
        await asyncio.sleep(100)
        moments = sorted(cloud.ended_at.values())
        assert [moments.count(moment) for moment in sorted(set(moments))] == [10, 10, 5]
        assert moments[10] - moments[9] >= EVERY - 1


async def test_a_tenth_of_many_goes_at_a_time(api: Api) -> None:
    cloud = Cloud(*(stranger(number, age=3600.0) for number in range(200)))
    async with collecting(api, cloud):
        await asyncio.sleep(35)
        assert len(cloud.ended_at) == 20


async def test_a_delete_that_fails_is_tried_again(api: Api) -> None:
    cloud = Cloud(stranger(age=3600.0))
    cloud.broken = 3
    async with collecting(api, cloud):
        await asyncio.sleep(60)
        assert cloud.workloads != {}
        await asyncio.sleep(100)
        assert cloud.workloads == {}


async def test_the_pods_of_the_node_are_no_orphans(api: Api) -> None:
    """Neither running ones, nor finished ones whose object is still there."""
    cloud = Cloud()
    async with collecting(api, cloud):
        api.add(raw("a", "uid-a"))
        api.add(raw("b", "uid-b", restartPolicy="Never"))
        await asyncio.sleep(1)
        cloud.workloads["uid-b"] = ended(cloud.workloads["uid-b"].key)
        await asyncio.sleep(LONG)
        assert set(cloud.workloads) == {"uid-a", "uid-b"}
        assert cloud.deletes == 0
