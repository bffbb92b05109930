"""What changes while a pod runs reaches it, and what that costs."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import Any

import pytest
from pod_world import running
from reference_api import Files, ReferenceApi, Static, config_map, secret, token, using

from vk.errors import PermanentError, TemporaryError, UnsupportedError
from vk.models.pod import Pod
from vk.models.status import PodStatus

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


@pytest.fixture
def api() -> ReferenceApi:
    api = ReferenceApi()
    api.put("configmaps", "settings", data={"colour": "green"})
    api.put("secrets", "hush", data={"password": b64encode(b"old").decode()})
    return api


class LateApi(ReferenceApi):
    """Its answers are a second on their way."""

    async def get(self, resource: Any, name: str, **more: Any) -> dict[str, Any]:
        found = await super().get(resource, name, **more)
        if resource.plural != "pods":
            await asyncio.sleep(1)
        return found


class Unlucky(Files):
    """What its pods refer to goes while they are created."""

    api: ReferenceApi

    async def create_pod(self, pod: Pod) -> PodStatus | None:
        self.api.take("configmaps", "settings")
        return await super().create_pod(pod)


async def test_files_are_renewed_while_a_resize_waits_for_room(api: ReferenceApi) -> None:
    def sized(name: str, cpu: str) -> dict[str, Any]:
        main = {"name": "main", "image": "busybox", "resources": {"requests": {"cpu": cpu}}}
        return using(config_map("settings"), name=name, uid=name, containers=[main])

    provider = Files()
    async with running(api, provider):
        api.add(sized("other", "60"))
        api.add(sized("p", "2"))
        await asyncio.sleep(1)
        api.add({**sized("p", "50"), "status": api.status("p")})
        await asyncio.sleep(600)
        conditions = {one["type"]: one.get("reason") for one in api.status("p")["conditions"]}
        assert conditions["PodResizePending"] == "Deferred"
        api.put("configmaps", "settings", data={"shape": "round"})
        await asyncio.sleep(70)
        assert sorted(provider.given) == [("other", "settings"), ("p", "settings")]


async def test_a_changed_object_reaches_a_running_pod_within_70_seconds(api: ReferenceApi) -> None:
    provider = Files()
    async with running(api, provider):
        api.add(using(config_map("settings"), secret("hush"), token()))
        await asyncio.sleep(33)
        api.put("configmaps", "settings", data={"shape": "round"})
        await asyncio.sleep(70)
        assert provider.seen("settings") == {"shape": "round"}
        api.put("secrets", "hush", data={"password": b64encode(b"new").decode()})
        await asyncio.sleep(70)
        assert provider.seen("hush") == {"password": "new"}
        assert provider.given == [("u", "settings"), ("u", "hush")]


async def test_labels_reach_the_files_of_a_pod_at_once(api: ReferenceApi) -> None:
    item = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}
    provider = Files()
    async with running(api, provider):
        api.add(using({"name": "info", "downwardAPI": {"items": [item]}}))
        await asyncio.sleep(5)
        pod = api.pods["p"]
        api.add({**pod, "metadata": {**pod["metadata"], "labels": {"app": "web"}}})
        await asyncio.sleep(1)
        assert provider.seen("info") == {"labels": 'app="web"'}


async def test_a_pod_keeps_its_files_when_a_required_object_goes(api: ReferenceApi) -> None:
    provider = Files()
    async with running(api, provider) as world:
        api.add(using(config_map("settings"), secret("hush")))
        await asyncio.sleep(5)
        api.take("secrets", "hush")
        api.put("configmaps", "settings", data={"colour": "red"})
        await asyncio.sleep(400)
        assert provider.seen("hush") == {"password": "old"}
        assert provider.seen("settings") == {"colour": "red"}
        told = [text for _, reason, text in world.events if reason == "FailedMount"]
        assert len(told) == 1
        assert "volume 'hush': Secret 'hush' not found; the pod keeps" in told[0]
        api.put("secrets", "hush", data={"password": b64encode(b"new").decode()})
        await asyncio.sleep(70)
        assert provider.seen("hush") == {"password": "new"}


async def test_an_optional_object_that_goes_takes_its_files_along(api: ReferenceApi) -> None:
    provider = Files()
    async with running(api, provider):
        api.add(using(config_map("settings", optional=True)))
        await asyncio.sleep(5)
        api.take("configmaps", "settings")
        await asyncio.sleep(70)
        assert provider.seen("settings") == {}


async def test_the_files_of_a_pod_that_ends_are_left_alone(api: ReferenceApi) -> None:
    provider = Files()
    provider.slow_stop = True
    async with running(api, provider):
        api.add(using(config_map("settings"), token(600)))
        await asyncio.sleep(5)
        api.ask_delete("p", 3600)
        api.put("configmaps", "settings", data={})
        await asyncio.sleep(1000)
        assert (provider.given, len(api.requests)) == ([], 1)


async def test_a_new_process_gives_every_pod_its_files_once(api: ReferenceApi) -> None:
    """What changed while no process ran is not known, so all of it is said again."""
    provider = Files()
    async with running(api, provider):
        api.add(using(config_map("settings")))
        await asyncio.sleep(5)
    api.put("configmaps", "settings", data={"colour": "blue"})
    async with running(api, provider):
        await asyncio.sleep(70)
        assert provider.seen("settings") == {"colour": "blue"}
        await asyncio.sleep(300)
        assert provider.given == [("u", "settings")]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TemporaryError("the disk is full"), "volume 'settings': the disk is full"),
        (PermanentError("too many files"), "volume 'settings': too many files"),
        (RuntimeError("secret text"), "volume 'settings': the update failed (RuntimeError)"),
    ],
)
async def test_an_update_that_fails_is_told_and_tried_again(
    api: ReferenceApi, error: Exception, told: str
) -> None:
    provider = Files()
    async with running(api, provider) as world:
        api.add(using(config_map("settings")))
        await asyncio.sleep(5)
        provider.failures = [error]
        api.put("configmaps", "settings", data={"colour": "red"})
        await asyncio.sleep(70)
        assert ("Warning", "ProviderUpdateFailed", told) in world.events
        assert provider.seen("settings") == {"colour": "green"}
        await asyncio.sleep(60)
        assert provider.seen("settings") == {"colour": "red"}


async def test_a_provider_without_live_files_costs_no_reads_and_says_so_once(
    api: ReferenceApi,
) -> None:
    provider = Static()
    async with running(api, provider) as world:
        api.add(using(config_map("settings")))
        await asyncio.sleep(600)
        assert api.reads["configmaps", "settings"] == 1
        ((kind, _, text),) = [one for one in world.events if one[1] == "StaticFiles"]
        assert kind == "Normal"
        assert "changes and renewed tokens do not reach the pod" in text


async def test_a_provider_that_refuses_at_the_first_change_is_not_asked_again(
    api: ReferenceApi,
) -> None:
    provider = Files()
    async with running(api, provider) as world:
        api.add(using(config_map("settings")))
        await asyncio.sleep(5)
        provider.failures = [UnsupportedError("no")]
        api.put("configmaps", "settings", data={})
        await asyncio.sleep(600)
        assert provider.given == []
        assert world.reasons().count("StaticFiles") == 1


async def test_an_object_that_is_gone_keeps_no_other_change_of_the_pod_back(
    api: ReferenceApi,
) -> None:
    provider = Files()
    async with running(api, provider):
        claim = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
        spec = {"volumeName": "pv", "accessModes": ["ReadWriteOnce"]}
        api.put("persistentvolumeclaims", "data", spec=spec, status={"phase": "Bound"})
        owner = {"uid": "persistentvolumeclaims-data"}
        modes = ["ReadWriteOnce"]
        api.put("persistentvolumes", "pv", spec={"claimRef": owner, "accessModes": modes})
        api.add(using(config_map("settings"), claim))
        await asyncio.sleep(20)
        api.take("configmaps", "settings")
        api.take("persistentvolumeclaims", "data")
        await asyncio.sleep(20)
        pod = api.pods["p"]
        api.add({**pod, "metadata": {**pod["metadata"], "labels": {"app": "web"}}})
        await asyncio.sleep(1)
        assert provider.updates == 1


async def test_a_file_that_has_become_too_large_keeps_no_other_change_of_the_pod_back(
    api: ReferenceApi,
) -> None:
    class Small(Files):
        file_limit = 5

    api.put("configmaps", "settings", data={"colour": "green"})
    provider = Small()
    async with running(api, provider):
        api.add(using(config_map("settings")))
        await asyncio.sleep(1)
        api.put("configmaps", "settings", data={"colour": "turquoise"})
        await asyncio.sleep(20)
        pod = api.pods["p"]
        api.add({**pod, "metadata": {**pod["metadata"], "labels": {"app": "web"}}})
        await asyncio.sleep(1)
        assert provider.updates == 1


@pytest.mark.slow
async def test_a_thousand_pods_that_share_ten_config_maps_cost_ten_reads_a_minute(
    api: ReferenceApi,
) -> None:
    for number in range(10):
        api.put("configmaps", f"c{number}", data={"n": str(number)})
    provider = Files()
    async with running(api, provider):
        for number in range(1000):
            volumes = [config_map(f"c{each}", f"v{each}") for each in range(10)]
            api.add(using(*volumes, name=f"p{number}", uid=f"u{number}"))
        await asyncio.sleep(65)
        assert provider.creates == 1000
        api.reads.clear()
        await asyncio.sleep(600)
        assert api.reads.total() == 10 * 10
        assert provider.given == []


async def test_what_is_immutable_is_never_read_again(api: ReferenceApi) -> None:
    api.put("configmaps", "fixed", data={"a": "1"}, immutable=True)
    provider = Files()
    async with running(api, provider):
        api.add(using(config_map("fixed"), config_map("settings", "other")))
        await asyncio.sleep(10)
        api.reads.clear()
        await asyncio.sleep(600)
        assert api.reads["configmaps", "fixed"] == 0
        assert api.reads["configmaps", "settings"] == 10


class TestWatches:
    """`--watch-references`: changes come at once, and nothing is read again without one."""

    async def test_a_change_arrives_within_ten_seconds_and_costs_one_read(
        self, api: ReferenceApi
    ) -> None:
        provider = Files()
        async with running(api, provider, watched=True):
            for number in range(20):
                api.add(using(config_map("settings"), name=f"p{number}", uid=f"u{number}"))
            await asyncio.sleep(10)
            api.reads.clear()
            api.put("configmaps", "settings", data={"colour": "red"})
            await asyncio.sleep(2)
            assert all(
                provider.seen("settings", f"u{number}") == {"colour": "red"} for number in range(20)
            )
            assert api.reads.total() == 1
            api.put("configmaps", "unused", data={"colour": "red"})
            await asyncio.sleep(600)
            assert api.reads.total() == 1

    async def test_where_watches_are_refused_it_is_read_every_minute(
        self, api: ReferenceApi
    ) -> None:
        api.may_watch = False
        provider = Files()
        async with running(api, provider, watched=True):
            api.add(using(config_map("settings")))
            await asyncio.sleep(33)
            api.put("configmaps", "settings", data={"colour": "red"})
            await asyncio.sleep(70)
            assert provider.seen("settings") == {"colour": "red"}

    async def test_an_object_that_goes_is_noticed_too(self, api: ReferenceApi) -> None:
        provider = Files()
        async with running(api, provider, watched=True):
            api.add(using(config_map("settings", optional=True)))
            await asyncio.sleep(10)
            api.take("configmaps", "settings")
            await asyncio.sleep(2)
            assert provider.seen("settings") == {}
            api.put("configmaps", "settings", data={"colour": "blue"})
            await asyncio.sleep(2)
            assert provider.seen("settings") == {"colour": "blue"}

    async def test_a_change_while_the_object_is_read_is_not_lost(self) -> None:
        """The answer on its way is of before, and no other event will say so."""
        api, provider = LateApi(), Files()
        api.put("configmaps", "settings", data={"colour": "green"})
        async with running(api, provider, watched=True):
            api.add(using(config_map("settings")))
            await asyncio.sleep(20)
            api.put("configmaps", "settings", data={"colour": "yellow"})
            await asyncio.sleep(0.5)  # the read that this wakes takes a second
            api.put("configmaps", "settings", data={"colour": "red"})
            await asyncio.sleep(10)
            assert provider.seen("settings") == {"colour": "red"}

    async def test_an_object_that_goes_before_the_watch_begins_is_noticed(self) -> None:
        api, provider = LateApi(), Unlucky()
        provider.api = api
        api.put("configmaps", "settings", data={"colour": "green"})
        async with running(api, provider, watched=True):
            api.add(using(config_map("settings", optional=True)))
            await asyncio.sleep(70)
            assert provider.seen("settings") == {}
