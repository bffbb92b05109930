"""Changes of a running pod: what is granted, refused and said; and pods that are never run."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest
from pod_world import Api, Backend, Direct, raw, running

from vk.errors import UnsupportedError
from vk.models.pod import Pod
from vk.models.status import ContainerStatus, PodStatus, Running
from vk.models.time import parse_time

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


class Changing(Backend):
    """Takes every change, unless it is told not to."""

    def __init__(self, *, refuses: bool = False) -> None:
        super().__init__()
        self.refuses = refuses
        self.changes: list[frozenset[str]] = []

    async def update_pod(self, pod: Pod, changed: Collection[str]) -> PodStatus | None:
        self.changes.append(frozenset(changed))
        if self.refuses:
            raise UnsupportedError("cannot do that")
        return None


def sized(cpu: str, name: str = "p", image: str = "busybox", generation: int = 1) -> dict[str, Any]:
    """A pod that requests ``cpu``."""
    resources = {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}
    containers = [{"name": "main", "image": image, "resources": resources}]
    pod = raw(name, f"uid-{name}", containers=containers)
    pod["metadata"]["generation"] = generation
    return pod


def write(api: Api, pod: dict[str, Any]) -> None:
    """Change the spec as another client; the status stays."""
    api.add({**pod, "status": api.status(pod["metadata"]["name"])})


def conditions(api: Api, name: str = "p") -> dict[str, dict[str, Any]]:
    return {one["type"]: one for one in api.status(name)["conditions"]}


def container(api: Api, name: str = "p") -> dict[str, Any]:
    return dict(api.status(name)["containerStatuses"][0])


async def test_a_running_container_says_what_resources_it_has() -> None:
    api = Api()
    async with running(api, Changing()):
        api.add(sized("2"))
        await asyncio.sleep(1)
        assert container(api)["allocatedResources"] == {"cpu": "2"}
        assert container(api)["resources"] == {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}


async def test_a_container_that_asked_for_nothing_says_so_as_well() -> None:
    """API servers refuse any resize of a pod whose first running container says nothing."""
    api = Api()
    async with running(api, Changing()):
        api.add(raw("p", "uid-p", containers=[{"name": "main", "image": "a"}]))
        await asyncio.sleep(1)
        assert container(api)["resources"] == {}
        assert "allocatedResources" not in container(api)


async def test_a_resize_is_told_by_field_and_shown_once_it_is_granted() -> None:
    api, provider = Api(), Changing()
    async with running(api, provider):
        api.add(sized("2"))
        await asyncio.sleep(1)
        write(api, sized("3", generation=2))
        await asyncio.sleep(1)
        assert provider.changes == [{"spec.containers", "spec.containers[].resources"}]
        assert container(api)["allocatedResources"] == {"cpu": "3"}
        assert api.status()["observedGeneration"] == 2
        assert conditions(api)["Ready"]["observedGeneration"] == 2
        assert "PodResizePending" not in conditions(api)


async def test_a_resize_beyond_the_node_is_infeasible_and_the_provider_is_not_called() -> None:
    api, provider = Api(), Changing()
    async with running(api, provider):
        api.add(sized("2"))
        await asyncio.sleep(1)
        write(api, sized("101", generation=2))
        await asyncio.sleep(1)
        pending = conditions(api)["PodResizePending"]
        assert (pending["status"], pending["reason"]) == ("True", "Infeasible")
        assert "cpu, requested: 101000" in pending["message"]
        assert provider.changes == []
        assert container(api)["allocatedResources"] == {"cpu": "2"}
        assert api.status()["observedGeneration"] == 2
        write(api, sized("4", generation=3))
        await asyncio.sleep(1)
        assert "PodResizePending" not in conditions(api)
        assert container(api)["allocatedResources"] == {"cpu": "4"}


async def test_an_infeasible_resize_from_before_a_restart_is_said_once() -> None:
    api, provider = Api(), Changing()
    async with running(api, provider):
        api.add(sized("2"))
        await asyncio.sleep(1)
    write(api, sized("101", image="other", generation=2))
    async with running(api, provider):
        await asyncio.sleep(1)
        assert conditions(api)["PodResizePending"]["reason"] == "Infeasible"
        assert [("spec.containers[].image" in one) for one in provider.changes] == [True]
        assert not any("spec.containers[].resources" in one for one in provider.changes)
        assert container(api)["allocatedResources"] == {"cpu": "2"}
        assert api.status()["observedGeneration"] == 2


@pytest.mark.parametrize("refuses", [True, False], ids=["unsupported", "infeasible"])
async def test_a_refused_resize_takes_no_room_after_a_restart(*, refuses: bool) -> None:
    api, provider = Api(), Changing(refuses=refuses)
    async with running(api, provider):
        api.add(sized("2"))
        await asyncio.sleep(1)
        write(api, sized("99" if refuses else "101", generation=2))
        await asyncio.sleep(1)
    async with running(api, provider):
        await asyncio.sleep(1)
        assert container(api)["allocatedResources"] == {"cpu": "2"}
        api.add(sized("90", "other"))
        await asyncio.sleep(1)
        assert (api.phase("other"), api.status("other").get("reason")) == ("Running", None)


async def test_an_infeasible_resize_takes_no_other_change_along() -> None:
    api, provider = Api(), Changing()
    async with running(api, provider):
        api.add(sized("2"))
        await asyncio.sleep(1)
        write(api, sized("101", image="other", generation=2))
        await asyncio.sleep(1)
        assert provider.changes == [{"spec.containers", "spec.containers[].image"}]
        assert container(api)["allocatedResources"] == {"cpu": "2"}
        assert conditions(api)["PodResizePending"]["reason"] == "Infeasible"


@pytest.mark.slow
async def test_a_resize_that_others_leave_no_room_for_waits_for_them() -> None:
    api, provider = Api(), Changing()
    async with running(api, provider):
        api.add(sized("2"))
        api.add(sized("90", "big"))
        await asyncio.sleep(1)
        write(api, sized("20", generation=2))
        await asyncio.sleep(30)
        pending = conditions(api)["PodResizePending"]
        assert (pending["status"], pending["reason"]) == ("True", "Deferred")
        assert api.status().get("observedGeneration") == 1
        api.ask_delete("big", 0)
        await asyncio.sleep(400)
        assert "PodResizePending" not in conditions(api)
        assert container(api)["allocatedResources"] == {"cpu": "20"}


async def test_a_resize_that_waits_and_is_taken_back_is_over() -> None:
    api, provider = Api(), Changing()
    async with running(api, provider):
        api.add(sized("2"))
        api.add(sized("90", "big"))
        await asyncio.sleep(1)
        write(api, sized("20", generation=2))
        await asyncio.sleep(5)
        write(api, sized("2", generation=3))
        await asyncio.sleep(400)
        assert "PodResizePending" not in conditions(api)


async def test_what_a_pod_was_resized_to_counts_for_the_next_one() -> None:
    api, provider = Api(), Changing()
    async with running(api, provider):
        api.add(sized("2"))
        await asyncio.sleep(1)
        write(api, sized("90", generation=2))
        await asyncio.sleep(1)
        api.add(sized("20", "other"))
        await asyncio.sleep(1)
        assert api.status("other")["reason"] == "OutOfcpu"


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ({"cpu": "3"}, "PodResizePending", "Infeasible"),
        ({"cpu": "2", "image": "other"}, "UpdateRefused", "Unsupported"),
    ],
)
async def test_what_the_provider_cannot_change_is_refused_once_with_a_condition(
    change: dict[str, str], kind: str, reason: str
) -> None:
    api, provider = Api(), Changing(refuses=True)
    async with running(api, provider) as world:
        api.add(sized("2"))
        await asyncio.sleep(1)
        write(api, sized(**change, generation=2))
        await asyncio.sleep(600)
        found = conditions(api)[kind]
        assert (found["status"], found["reason"]) == ("True", reason)
        assert found["message"] == "cannot do that"
        assert len(provider.changes) == 1
        assert world.reasons().count("ProviderUpdateFailed") == 1
        assert container(api)["allocatedResources"] == {"cpu": "2"}
        provider.refuses = False
        write(api, sized("5", image="third", generation=3))
        await asyncio.sleep(1)
        assert kind not in conditions(api)


async def test_a_container_shows_the_image_that_it_has_not_one_that_was_refused() -> None:
    """The provider names none itself; a later process must not take it for granted either."""
    api, provider = Api(), Changing(refuses=True)
    async with running(api, provider):
        api.add(sized("2", image="first"))
        await asyncio.sleep(1)
        write(api, sized("2", image="second", generation=2))
        await asyncio.sleep(1)
        assert container(api)["image"] == "first"
        provider.refuses = False
        write(api, sized("3", image="second", generation=3))
        await asyncio.sleep(1)
        assert container(api)["allocatedResources"] == {"cpu": "3"}
        assert container(api)["image"] == "first"
    async with running(api, provider):
        await asyncio.sleep(70)
        assert container(api)["image"] == "first"
        write(api, sized("3", image="third", generation=4))
        await asyncio.sleep(1)
        assert container(api)["image"] == "third"


class Losing(Changing, Direct):
    """Creates a pod after a second, but the answer is lost."""

    async def create_pod(self, pod: Pod) -> PodStatus | None:
        await asyncio.sleep(1)
        await super().create_pod(pod)
        raise ConnectionError("reset")


@pytest.mark.parametrize("after", [0.5, 30.0], ids=["during the create", "once it runs"])
async def test_a_change_is_told_of_a_pod_whose_create_got_no_answer(after: float) -> None:
    api, provider = Api(), Losing()
    async with running(api, provider):
        api.add(sized("2"))
        await asyncio.sleep(after)
        write(api, sized("2", image="other", generation=2))
        await asyncio.sleep(60)
        assert (provider.creates, api.phase()) == (1, "Running")
        assert provider.changes == [{"spec.containers", "spec.containers[].image"}]
        assert container(api)["image"] == "other"
        assert container(api)["allocatedResources"] == {"cpu": "2"}
        assert api.status()["observedGeneration"] == 2


async def test_a_label_that_the_provider_does_not_take_leaves_no_condition() -> None:
    api, provider = Api(), Changing(refuses=True)
    async with running(api, provider):
        api.add(sized("2"))
        await asyncio.sleep(1)
        pod = sized("2")
        pod["metadata"]["labels"] = {"a": "b"}
        write(api, pod)
        await asyncio.sleep(1)
        assert provider.changes == [{"metadata.labels"}]
        assert "UpdateRefused" not in conditions(api)


async def test_readiness_gates_are_waited_for_in_the_kubelets_words() -> None:
    api = Api()
    async with running(api, Changing()):
        gates = [{"conditionType": "lb/ready"}, {"conditionType": "lb/warm"}]
        api.add(raw(readinessGates=gates))
        await asyncio.sleep(1)
        ready = conditions(api)["Ready"]
        assert (ready["status"], ready["reason"]) == ("False", "ReadinessGatesNotReady")
        assert 'readiness gate "lb/ready" does not exist.' in ready["message"]
        pod = api.pods["p"]
        others = [
            {"type": "lb/ready", "status": "True"},
            {"type": "lb/warm", "status": "False"},
        ]
        status = {**pod["status"], "conditions": [*pod["status"]["conditions"], *others]}
        api.add({**pod, "status": status})
        await asyncio.sleep(1)
        text = 'the status of pod readiness gate "lb/warm" is not "True", but False'
        assert conditions(api)["Ready"]["message"] == text
        assert conditions(api)["ContainersReady"]["status"] == "True"


async def test_init_containers_that_are_not_done_are_named() -> None:
    class Starting(Changing):
        async def create_pod(self, pod: Pod) -> PodStatus | None:
            return PodStatus(pod.key)

    api = Api()
    async with running(api, Starting()):
        api.add(raw(initContainers=[{"name": "one"}, {"name": "two"}]))
        await asyncio.sleep(1)
        found = conditions(api)["Initialized"]
        assert (found["status"], found["reason"]) == ("False", "ContainersNotInitialized")
        assert found["message"] == "containers with incomplete status: [one two]"


async def test_started_and_ephemeral_containers_are_shown_as_the_provider_says() -> None:
    moment = Running(parse_time("2026-01-01T00:00:00Z"))

    class Probing(Changing):
        async def create_pod(self, pod: Pod) -> PodStatus | None:
            return PodStatus(
                pod.key,
                containers=[ContainerStatus(name="main", state=moment, started=False, ready=False)],
                ephemeral_containers=[ContainerStatus(name="debug", state=moment)],
            )

    api = Api()
    async with running(api, Probing()):
        api.add(raw(ephemeralContainers=[{"name": "debug", "image": "tools"}]))
        await asyncio.sleep(1)
        assert (container(api)["started"], container(api)["ready"]) == (False, False)
        (debug,) = api.status()["ephemeralContainerStatuses"]
        assert (debug["name"], debug["image"]) == ("debug", "tools")
        assert "running" in debug["state"]


class TestDaemonSets:
    """A pod of a DaemonSet stays Pending: a failed one would be replaced again and again."""

    def pod(self, name: str) -> dict[str, Any]:
        pod = raw(name, f"uid-{name}")
        owner = {"kind": "DaemonSet", "name": "agent", "uid": "ds", "controller": True}
        pod["metadata"]["ownerReferences"] = [owner]
        return pod

    @pytest.mark.slow
    async def test_it_says_why_and_how_to_keep_it_away(self) -> None:
        api, provider = Api(), Changing()
        async with running(api, provider) as world:
            for name in ("a", "b"):
                api.add(self.pod(name))
            await asyncio.sleep(4 * 3600)
            assert (api.phase("a"), api.phase("b"), provider.creates) == ("Pending", "Pending", 0)
            found = conditions(api, "a")["DaemonSetRefused"]
            assert found["status"] == "True"
            assert "rollout of default/agent" in found["message"]
            assert "type NotIn [virtual-kubelet]" in found["message"]
            assert "next try" not in container(api, "a")["state"]["waiting"]["message"]
            assert world.reasons() == ["DaemonSetRefused"]

    async def test_a_later_process_does_not_say_it_again(self) -> None:
        api = Api()
        for expected in (["DaemonSetRefused"], []):
            async with running(api, Changing()) as world:
                for name in ("a", "b"):
                    api.add(self.pod(name))
                await asyncio.sleep(5)
                assert world.reasons() == expected

    async def test_it_can_be_deleted_at_once(self) -> None:
        api, provider = Api(), Changing()
        async with running(api, provider):
            api.add(self.pod("a"))
            await asyncio.sleep(5)
            api.ask_delete("a")
            await asyncio.sleep(1)
            assert api.pods == {}
            assert provider.deletes == 0

    async def test_it_runs_where_the_operator_says_so(self) -> None:
        api, provider = Api(), Changing()
        async with running(api, provider, daemonsets="run"):
            pod = self.pod("a")
            refused = {"type": "DaemonSetRefused", "status": "True"}
            pod["status"] = {"phase": "Pending", "conditions": [refused]}
            api.add(pod)
            await asyncio.sleep(1)
            assert api.phase("a") == "Running"
            assert "DaemonSetRefused" not in conditions(api, "a")
