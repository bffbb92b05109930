"""What lists, look-ups and the stream prove, with the real controller, act and report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from pod_world import Api, Backend, Direct, ended, raw, running

from vk.aio.latest import Latest
from vk.errors import TemporaryError
from vk.models.keys import PodKey
from vk.models.pod import Pod
from vk.models.status import Gone, PodChange, PodStatus, Unplaced

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


@pytest.fixture
def api() -> Api:
    return Api()


def add(api: Api, count: int) -> None:
    for number in range(count):
        api.add(raw(f"p{number}", f"u{number}"))


def phases(api: Api) -> set[str]:
    return {pod["status"]["phase"] for pod in api.pods.values()}


async def test_a_list_that_misses_a_pod_proves_nothing(api: Api) -> None:
    """Gone only after three complete lists, 30 s apart."""
    provider = Backend()
    async with running(api, provider):
        add(api, 3)
        await asyncio.sleep(1)
        del provider.workloads["u0"]
        await asyncio.sleep(58)
        assert phases(api) == {"Running"}
        await asyncio.sleep(20)
        assert api.phase("p0") == "Failed"
        assert api.phase("p1") == "Running"
        assert provider.creates == 3


async def test_a_pod_that_comes_back_starts_the_count_again(api: Api) -> None:
    provider = Backend()
    async with running(api, provider):
        add(api, 3)
        await asyncio.sleep(1)
        for _ in range(5):
            kept = provider.workloads.pop("u0")
            await asyncio.sleep(40)
            provider.workloads["u0"] = kept
            await asyncio.sleep(10)
        assert phases(api) == {"Running"}


async def test_a_direct_look_up_is_proof(api: Api) -> None:
    provider = Direct()
    async with running(api, provider):
        add(api, 3)
        await asyncio.sleep(1)
        del provider.workloads["u0"]
        await asyncio.sleep(7)
        assert api.phase("p0") == "Failed"
        state = api.status("p0")["containerStatuses"][0]["state"]["terminated"]
        assert (state["exitCode"], state["reason"]) == (137, "ContainerStatusUnknown")


async def test_a_list_that_a_direct_look_up_contradicts_is_wrong(api: Api) -> None:
    class Forgetful(Direct):
        async def list_pods(self) -> Sequence[PodStatus]:
            return [one for one in self.workloads.values() if one.key.uid != "u0"]

    async with running(api, Forgetful()):
        add(api, 3)
        await asyncio.sleep(600)
        assert phases(api) == {"Running"}


@pytest.mark.parametrize("kind", [Backend, Direct])
async def test_a_mass_disappearance_makes_the_provider_suspect_and_ends_no_pod(
    api: Api, kind: type[Backend]
) -> None:
    """An empty answer for 9 minutes: nothing is marked gone, deleted or created again."""
    provider = kind()
    async with running(api, provider) as world:
        add(api, 10)
        await asyncio.sleep(1)
        kept, provider.workloads = provider.workloads, {}
        await asyncio.sleep(540)
        assert world.suspect == [True]
        assert phases(api) == {"Running"}
        assert (provider.creates, provider.deletes) == (10, 0)
        provider.workloads = kept
        await asyncio.sleep(10)
        assert world.suspect == [True, False]
        assert phases(api) == {"Running"}


async def test_a_suspect_provider_without_a_look_up_is_never_believed(api: Api) -> None:
    provider = Backend()
    async with running(api, provider):
        add(api, 10)
        await asyncio.sleep(1)
        provider.workloads = {}
        await asyncio.sleep(3600)
        assert phases(api) == {"Running"}


async def test_confirmed_losses_are_believed_after_ten_minutes_a_few_at_a_time(api: Api) -> None:
    provider = Direct()
    async with running(api, provider):
        add(api, 10)
        await asyncio.sleep(1)
        provider.workloads = {}
        await asyncio.sleep(590)
        assert phases(api) == {"Running"}
        await asyncio.sleep(25)
        assert phases(api) == {"Running", "Failed"}
        await asyncio.sleep(600)
        assert phases(api) == {"Failed"}


async def test_a_failed_list_means_unknown_and_never_empty(api: Api) -> None:
    class Down(Backend):
        down = False

        async def list_pods(self) -> Sequence[PodStatus]:
            if self.down:
                raise TemporaryError("down")
            return await super().list_pods()

    provider = Down()
    async with running(api, provider) as world:
        add(api, 3)
        await asyncio.sleep(1)
        provider.down = True
        await asyncio.sleep(3600)
        assert (phases(api), world.suspect, provider.creates) == ({"Running"}, [], 3)


async def test_nothing_is_created_before_the_first_list_worked(api: Api) -> None:
    class Late(Backend):
        lists = 0

        async def list_pods(self) -> Sequence[PodStatus]:
            self.lists += 1
            if self.lists < 4:
                raise ConnectionResetError
            return await super().list_pods()

        async def create_pod(self, pod: Pod) -> PodStatus | None:
            assert self.lists >= 4
            return await super().create_pod(pod)

    api.add(raw())
    provider = Late()
    async with running(api, provider):
        await asyncio.sleep(1)
        assert api.phase() == "Running"


async def test_a_new_pod_may_be_missing_from_a_list_for_the_list_lag(api: Api) -> None:
    class Lagging(Backend):
        list_lag = 300.0

        async def list_pods(self) -> Sequence[PodStatus]:
            return []

    provider = Lagging()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(290)
        assert (api.phase(), provider.creates) == ("Running", 1)


class Streaming(Backend):
    list_interval = 10_000.0

    def __init__(self) -> None:
        super().__init__()
        self.changes: Latest[str, PodChange] = Latest()
        self.streams = 0

    async def watch_pods(self) -> AsyncIterator[PodChange]:
        self.streams += 1
        async for change in self.changes:
            yield change


async def test_the_stream_is_told_at_once(api: Api) -> None:
    provider = Streaming()
    async with running(api, provider):
        api.add(raw(restartPolicy="Never"))
        await asyncio.sleep(1)
        provider.changes.put("u", ended(PodKey("default", "p", "u"), 3))
        await asyncio.sleep(0.1)
        assert api.phase() == "Failed"
        assert api.status()["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


async def test_gone_is_proof(api: Api) -> None:
    provider = Streaming()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1)
        provider.workloads.clear()
        provider.changes.put("u", Gone(PodKey("default", "p", "u")))
        await asyncio.sleep(0.1)
        assert api.phase() == "Failed"
        assert provider.creates == 1


async def test_an_unplaced_pod_stays_pending_and_is_created_again(api: Api) -> None:
    class Accepting(Streaming):
        async def create_pod(self, pod: Pod) -> PodStatus | None:
            self.creates += 1
            self.workloads[pod.key.uid] = PodStatus(pod.key)
            return None

    provider = Accepting()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1)
        provider.workloads.clear()
        key = PodKey("default", "p", "u")
        provider.changes.put("u", Unplaced(key, reason="NoStock", message="none", retry_after=50.0))
        await asyncio.sleep(1)
        waiting = api.status()["containerStatuses"][0]["state"]["waiting"]
        assert (api.phase(), waiting["reason"], provider.creates) == ("Pending", "NoStock", 1)
        await asyncio.sleep(50)
        assert provider.creates == 2


async def test_news_of_a_stranger_and_a_broken_stream_do_no_harm(api: Api) -> None:
    class Breaking(Streaming):
        async def watch_pods(self) -> AsyncIterator[PodChange]:
            self.streams += 1
            yield Gone(PodKey("default", "stranger", "x"))
            raise ConnectionResetError

    provider = Breaking()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1)
        provider.stop("u", 1)
        await asyncio.sleep(120)
        assert provider.streams > 3
        assert api.status()["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 1


async def test_a_stale_list_does_not_undo_what_the_stream_said(api: Api) -> None:
    class Stale(Streaming):
        list_interval = 5.0

        async def list_pods(self) -> Sequence[PodStatus]:
            answer = list(self.workloads.values())
            await asyncio.sleep(3)
            return answer

    provider = Stale()
    async with running(api, provider) as world:
        api.add(raw())
        await asyncio.sleep(7)
        record = world.records.get("u")
        assert record is not None
        newest = provider.stop("u", 1)
        provider.changes.put("u", newest)
        await asyncio.sleep(2)
        assert record.status == newest


async def test_the_status_never_goes_backwards(api: Api) -> None:
    provider = Backend()
    async with running(api, provider):
        api.add(raw(restartPolicy="Never"))
        await asyncio.sleep(1)
        run = provider.workloads["u"]
        for status in (PodStatus(run.key), run, ended(run.key, 1), run, PodStatus(run.key)):
            provider.workloads["u"] = status
            await asyncio.sleep(10)
        assert api.phases["u"] == ["Pending", "Running", "Failed"]
