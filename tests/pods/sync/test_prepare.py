"""What a pod waits for before it is created, and what the provider then gets of it."""

from __future__ import annotations

import asyncio
import copy
from base64 import b64encode
from collections.abc import Collection
from typing import Any

import pytest
from pod_world import Api, Backend, raw, running

from vk.errors import ForbiddenError, ObjectNotFoundError
from vk.models.pod import Pod
from vk.models.status import PodStatus

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


KEPT = 10.0
"""Seconds for which an object that was read counts as known: the key may be new in it."""


class ApiWithObjects(Api):
    """Has config maps and secrets too, by plural and name; ``reads`` counts who asked for them."""

    def __init__(self) -> None:
        super().__init__()
        self.others: dict[tuple[str, str], dict[str, Any]] = {}
        self.reads = 0
        self.forbidden = False

    async def get(self, resource: Any, name: str, **more: Any) -> dict[str, Any]:
        if resource.plural == "pods":
            return await super().get(resource, name, **more)
        self.reads += 1
        text = f"get {resource.plural} {name}"
        if self.forbidden:
            raise ForbiddenError(f"{text}: 403 Forbidden: cannot get {resource.plural}", status=403)
        try:
            return copy.deepcopy(self.others[resource.plural, name])
        except KeyError:
            raise ObjectNotFoundError(f"{text}: 404 NotFound", status=404) from None


class Recording(Backend):
    """Keeps the pods as it got them."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[Pod] = []

    async def create_pod(self, pod: Pod) -> PodStatus | None:
        self.got.append(pod)
        return await super().create_pod(pod)

    async def update_pod(self, pod: Pod, changed: Collection[str]) -> PodStatus | None:
        self.updates += 1
        self.got.append(pod)
        return None


@pytest.fixture
def api() -> ApiWithObjects:
    return ApiWithObjects()


def needing(*env: dict[str, Any], **container: Any) -> dict[str, Any]:
    return raw(containers=[{"name": "main", "image": "busybox", "env": list(env), **container}])


def key(name: str, kind: str, of: str, entry: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {f"{kind}KeyRef": {"name": of, "key": entry}}}


def field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("entry", "plural", "of", "told"),
    [
        (key("A", "configMap", "settings", "colour"), "configmaps", "settings", "ConfigMap"),
        (key("A", "secret", "hush", "colour"), "secrets", "hush", "Secret"),
    ],
)
async def test_a_pod_whose_environment_misses_an_object_says_so_and_runs_soon_after_it_is_there(
    api: ApiWithObjects, entry: dict[str, Any], plural: str, of: str, told: str
) -> None:
    """B5: the status names what is missing, and the wait does not grow with its length."""
    provider = Recording()
    async with running(api, provider) as world:
        api.add(needing(entry))
        await asyncio.sleep(4 * 3600)
        waiting = api.status()["containerStatuses"][0]["state"]["waiting"]
        assert (api.phase(), waiting["reason"]) == ("Pending", "CreateContainerConfigError")
        assert f"{told} '{of}' not found" in waiting["message"]
        kind, reason, message = world.events[-1]
        assert (kind, reason) == ("Warning", f"Mandatory{told}NotFound")
        assert f"{told} '{of}'" in message
        api.others[plural, of] = {"data": {"shape": b64encode(b"round").decode()}}
        await asyncio.sleep(10)
        kind, reason, message = world.events[-1]
        assert reason == f"Mandatory{told}KeyNotFound"
        assert "key 'colour'" in message
        assert f"{told} '{of}'" in message
        api.others[plural, of] = {"data": {"colour": b64encode(b"green").decode()}}
        await asyncio.sleep(KEPT + 10)
        assert (api.phase(), provider.creates) == ("Running", 1)


async def test_an_object_that_appears_is_used_within_ten_seconds(api: ApiWithObjects) -> None:
    """B5: whenever in the course of the waiting it appears."""
    for number, waited in enumerate((0.1, 3.0, 61.0, 1000.0)):
        name = f"p{number}"
        async with running(api, Recording()):
            pod = needing(key("A", "configMap", name, "a"))
            pod["metadata"] |= {"name": name, "uid": name}
            api.add(pod)
            await asyncio.sleep(waited)
            assert api.phase(name) == "Pending"
            api.others["configmaps", name] = {"data": {"a": "1"}}
            await asyncio.sleep(10)
            assert api.phase(name) == "Running"


@pytest.mark.slow
async def test_many_pods_that_wait_for_one_object_share_its_reads(api: ApiWithObjects) -> None:
    async with running(api, Recording()):
        for number in range(200):
            pod = needing(key("A", "configMap", "settings", "a"))
            pod["metadata"] |= {"name": f"p{number}", "uid": f"u{number}"}
            api.add(pod)
        await asyncio.sleep(600)
        assert api.reads <= 600 / 2


async def test_an_object_that_may_not_be_read_is_named_with_the_verb(api: ApiWithObjects) -> None:
    api.forbidden = True
    async with running(api, Recording()):
        api.add(needing(key("A", "secret", "hush", "a")))
        await asyncio.sleep(60)
        waiting = api.status()["containerStatuses"][0]["state"]["waiting"]
        assert waiting["reason"] == "CreateContainerConfigError"
        assert "get secrets hush: 403 Forbidden" in waiting["message"]
        api.forbidden, api.others["secrets", "hush"] = False, {"data": {"a": ""}}
        await asyncio.sleep(600)
        assert api.phase() == "Running"


async def test_a_pod_that_wants_to_know_its_own_address_is_created(api: ApiWithObjects) -> None:
    """B24: what only a running pod has stays open; the provider fills it in with `with_ips`."""
    paths = {
        "POD_IP": "status.podIP",
        "HOST_IP": "status.hostIP",
        "PHASE": "status.phase",
        "POLICY": "spec.restartPolicy",
        "SCHEDULER": "spec.schedulerName",
    }
    limit = {"resource": "limits.memory", "divisor": "1Mi"}
    pod = needing(
        *(field(name, path) for name, path in paths.items()),
        {"name": "URL", "value": "http://$(POD_IP):80"},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef": limit}},
        resources={"limits": {"memory": "64Mi"}},
        args=["--listen=$(POD_IP)"],
    )
    provider = Recording()
    async with running(api, provider):
        api.add(pod)
        await asyncio.sleep(1)
        assert api.phase() == "Running"
        (got,) = provider.got
        assert got.containers[0].open_env == ("POD_IP", "HOST_IP", "URL")
        opened = got.with_ips(["10.1.2.3"], ["192.0.2.1"]).containers[0]
        assert opened.open_env == ()
        assert opened.args == ("--listen=10.1.2.3",)
        assert opened.env == {
            "POD_IP": "10.1.2.3",
            "HOST_IP": "192.0.2.1",
            "PHASE": "Pending",
            "POLICY": "Always",
            "SCHEDULER": "default-scheduler",
            "URL": "http://10.1.2.3:80",
            "MEMORY": "64",
        }


async def test_an_ephemeral_container_comes_as_an_update_with_its_environment(
    api: ApiWithObjects,
) -> None:
    api.others["configmaps", "settings"] = {"data": {"colour": "green"}}
    provider = Recording()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1)
        pod = api.pods["p"]
        entry = key("COLOUR", "configMap", "settings", "colour")
        debug = {"name": "debug", "image": "busybox", "env": [entry], "args": ["$(COLOUR)"]}
        api.add({**pod, "spec": {**pod["spec"], "ephemeralContainers": [debug]}})
        await asyncio.sleep(1)
        created, updated = provider.got
        assert created.ephemeral_containers == ()
        (found,) = updated.ephemeral_containers
        assert (found.env, found.args) == ({"COLOUR": "green"}, ("green",))
        assert (provider.creates, provider.updates) == (1, 1)


async def test_an_environment_that_is_gone_keeps_no_change_back_that_starts_no_container(
    api: ApiWithObjects,
) -> None:
    """The kubelet too wants it only when a container starts; what is there still comes along."""
    api.others["configmaps", "settings"] = {"data": {"colour": "green"}}
    api.others["secrets", "hush"] = {"data": {"a": b64encode(b"x").decode()}}
    provider = Recording()
    sources = [{"configMapRef": {"name": "settings"}}]
    wanted = needing(
        key("A", "configMap", "settings", "colour"),
        key("B", "secret", "hush", "a"),
        field("IP", "status.podIP"),
        envFrom=sources,
    )
    async with running(api, provider) as world:
        api.add(wanted)
        await asyncio.sleep(20)
        del api.others["configmaps", "settings"]
        changes: tuple[dict[str, Any], ...] = (
            {"activeDeadlineSeconds": 9000},
            {"tolerations": [{"operator": "Exists"}]},
            resized(wanted, "2"),
        )
        for number, change in enumerate(changes, 1):
            pod = api.pods["p"]
            api.add({**pod, "spec": {**pod["spec"], **change}})
            await asyncio.sleep(20)
            assert provider.updates == number
        assert provider.got[-1].containers[0].env == {"B": "x"}
        opened = provider.got[-1].with_ips(["10.0.0.1"]).containers[0]
        assert opened.env == {"B": "x", "IP": "10.0.0.1"}
        assert "MandatoryConfigMapNotFound" not in world.reasons()


@pytest.mark.parametrize("change", ["image", "debug", "resize with a restart"])
async def test_a_change_that_starts_a_container_waits_for_its_environment(
    api: ApiWithObjects, change: str
) -> None:
    api.others["configmaps", "settings"] = {"data": {"colour": "green"}}
    provider = Recording()
    wanted = needing(key("A", "configMap", "settings", "colour"))
    restart = [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]
    wanted["spec"]["containers"][0]["resizePolicy"] = restart
    async with running(api, provider) as world:
        api.add(wanted)
        await asyncio.sleep(20)
        del api.others["configmaps", "settings"]
        (container,) = wanted["spec"]["containers"]
        spec = {
            "image": {"containers": [{**container, "image": "other"}]},
            "debug": {"ephemeralContainers": [{"name": "debug", "image": "busybox"}]},
            "resize with a restart": resized(wanted, "2"),
        }[change]
        pod = api.pods["p"]
        api.add({**pod, "spec": {**pod["spec"], **spec}})
        await asyncio.sleep(60)
        assert provider.updates == 0
        assert "MandatoryConfigMapNotFound" in world.reasons()
        api.others["configmaps", "settings"] = {"data": {"colour": "red"}}
        await asyncio.sleep(20)
        assert provider.got[-1].containers[0].env == {"A": "red"}


def resized(pod: dict[str, Any], cpu: str) -> dict[str, Any]:
    (container,) = pod["spec"]["containers"]
    return {"containers": [{**container, "resources": {"requests": {"cpu": cpu}}}]}
