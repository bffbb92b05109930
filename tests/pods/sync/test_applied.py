"""What changed in a pod while no process ran is told to the provider by the next one."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Collection
from typing import Any

import attrs
import pytest
from pod_world import Api, Backend, raw, running

from vk.models.pod import Pod
from vk.models.status import PodStatus
from vk.pods.sync.applied import APPLIED, AppliedDigest, AppliedSpec

pytestmark = [pytest.mark.looptime, pytest.mark.field]

OWN = "backend.example/id"


class Lasting(Backend):
    """Outlives the process, as its pods do; puts an annotation of its own on each."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[set[str]] = []

    async def create_pod(self, pod: Pod) -> PodStatus | None:
        status = attrs.evolve(PodStatus.running(pod), annotations={OWN: "1"})
        return self.workloads.setdefault(pod.key.uid, status)

    async def update_pod(self, pod: Pod, changed: Collection[str]) -> PodStatus | None:
        self.changes.append(set(changed))
        return None


@pytest.fixture
def api() -> Api:
    return Api()


async def started_once(api: Api, provider: Lasting) -> dict[str, Any]:
    """Return the pod as an earlier process left it."""
    async with running(api, provider):
        api.add(raw("p"))
        await asyncio.sleep(2)
    return copy.deepcopy(api.pods["p"])


def change(pod: dict[str, Any], what: str) -> None:
    metadata, container = pod["metadata"], pod["spec"]["containers"][0]
    match what:
        case "labels":
            metadata["labels"] = {"new": "label"}
        case "annotations":
            metadata["annotations"]["theirs"] = "changed"
        case "image":
            container["image"] = "another:2"
        case "tolerations":
            pod["spec"]["tolerations"] = [{"key": "a", "operator": "Exists"}]
        case "their own annotation":
            metadata["annotations"][OWN] = "2"
        case "a default of a newer API server":
            pod["spec"]["newField"] = "default"


CHANGED = {
    "labels": "metadata.labels",
    "annotations": "metadata.annotations",
    "image": "spec.containers[].image",
    "tolerations": "spec.tolerations",
}


@pytest.mark.asyncio
@pytest.mark.parametrize("what", CHANGED)
async def test_a_change_from_while_no_process_ran_is_applied_after_the_restart(
    api: Api, what: str
) -> None:
    """Once, also where the API server counts no generations."""
    provider = Lasting()
    pod = await started_once(api, provider)
    change(pod, what)
    api.add(pod)
    async with running(api, provider):
        await asyncio.sleep(5)
    assert len(provider.changes) == 1
    assert CHANGED[what] in provider.changes[0]
    async with running(api, provider):
        await asyncio.sleep(5)
    assert len(provider.changes) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("what", ["their own annotation", "a default of a newer API server", ""])
async def test_what_no_author_changed_is_no_update(api: Api, what: str) -> None:
    provider = Lasting()
    pod = await started_once(api, provider)
    assert APPLIED in pod["metadata"]["annotations"]
    change(pod, what)
    api.add(pod)
    async with running(api, provider):
        await asyncio.sleep(5)
    assert provider.changes == []


@pytest.mark.asyncio
async def test_a_pod_without_a_digest_counts_as_applied_and_is_not_written_for_that(
    api: Api,
) -> None:
    """As pods of older versions are: an upgrade updates and writes nothing."""
    provider = Lasting()
    pod = await started_once(api, provider)
    del pod["metadata"]["annotations"][APPLIED]
    change(pod, "labels")
    api.add(pod)
    async with running(api, provider) as world:
        await asyncio.sleep(5)
        assert world.reconciler.writer.written == 0
    assert provider.changes == []
    assert APPLIED not in api.pods["p"]["metadata"]["annotations"]


@pytest.mark.asyncio
async def test_a_refused_change_is_not_tried_again_after_a_restart(api: Api) -> None:
    provider = Backend()  # changes nothing
    async with running(api, provider):
        api.add(raw("p"))
        await asyncio.sleep(2)
        pod = copy.deepcopy(api.pods["p"])
        change(pod, "image")
        api.add(pod)
        await asyncio.sleep(2)
    async with running(api, provider) as world:
        await asyncio.sleep(5)
        assert world.reasons() == []


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "{}", '{"spec": 1, "own": 2}'])
def test_a_digest_that_cannot_be_read_is_none(text: str) -> None:
    pod = raw("p")
    pod["metadata"]["annotations"] = {APPLIED: text}
    assert AppliedDigest.shown(pod) is None


def test_a_digest_is_read_as_it_was_written() -> None:
    digest = AppliedDigest.of(AppliedSpec.of(raw("p")), {"b", "a"})
    pod = raw("p")
    pod["metadata"]["annotations"] = {APPLIED: digest.text()}
    assert AppliedDigest.shown(pod) == digest
