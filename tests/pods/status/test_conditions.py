"""The conditions of a pod with init containers and sidecars, as the kubelet of 1.36 gives them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pod_world import raw

from vk.models.pod import pod_key
from vk.models.status import (
    ContainerState,
    ContainerStatus,
    PodStatus,
    Running,
    Terminated,
    Waiting,
)
from vk.pods.status.desired import desired
from vk.pods.status.facts import StatusFacts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUNS, DONE, WAITS = Running(NOW), Terminated(0, "Completed"), Waiting("PodInitializing")
SIDECAR = {"name": "sidecar", "restartPolicy": "Always"}
FIRST = {"name": "first"}


def status_of(
    inits: list[dict[str, Any]],
    said: list[ContainerStatus],
    main: ContainerState,
    *,
    pod_ips: tuple[str, ...] = (),
    policy: str = "Always",
) -> dict[str, Any]:
    pod = raw(initContainers=inits, restartPolicy=policy)
    containers = [ContainerStatus(name="main", state=main)]
    status = PodStatus(pod_key(pod), containers=containers, init_containers=said, pod_ips=pod_ips)
    return desired(pod, StatusFacts(status=status, present=True), NOW)


def condition(status: dict[str, Any], kind: str) -> tuple[str, str, str]:
    found = next(one for one in status["conditions"] if one["type"] == kind)
    return found["status"], found["reason"] or "", found["message"] or ""


def sidecar(state: ContainerState, **more: Any) -> ContainerStatus:
    return ContainerStatus(name="sidecar", state=state, **more)


def first(state: ContainerState) -> ContainerStatus:
    return ContainerStatus(name="first", state=state)


@pytest.mark.parametrize("kind", ["ContainersReady", "Ready"])
@pytest.mark.parametrize(
    "said",
    [sidecar(RUNS, ready=False), sidecar(RUNS, started=False), sidecar(DONE)],
    ids=["not ready", "not started", "ended"],
)
def test_a_pod_is_ready_only_with_its_sidecars(kind: str, said: ContainerStatus) -> None:
    status = status_of([SIDECAR], [said], RUNS)
    message = "containers with unready status: [sidecar]"
    assert condition(status, kind) == ("False", "ContainersNotReady", message)
    ready = status_of([SIDECAR], [sidecar(RUNS, ready=True)], RUNS)
    assert condition(ready, kind) == ("True", "", "")


def test_unready_sidecars_are_named_before_containers() -> None:
    status = status_of([SIDECAR, FIRST], [sidecar(RUNS, ready=False), first(RUNS)], WAITS)
    message = "containers with unready status: [sidecar main]"
    assert condition(status, "Ready")[2] == message


def test_a_sidecar_that_has_started_is_not_incomplete() -> None:
    status = status_of([SIDECAR, FIRST], [sidecar(RUNS), first(RUNS)], WAITS)
    message = "containers with incomplete status: [first]"
    assert condition(status, "Initialized") == ("False", "ContainersNotInitialized", message)


def test_a_sidecar_counts_as_initialized_once_its_startup_probe_has_passed() -> None:
    status = status_of([SIDECAR], [sidecar(RUNS, started=False)], WAITS)
    assert condition(status, "Initialized")[0] == "False"
    status = status_of([SIDECAR], [sidecar(RUNS, started=True)], WAITS)
    assert condition(status, "Initialized")[0] == "True"


def test_a_pod_stays_initialized_while_a_sidecar_restarts() -> None:
    status = status_of([SIDECAR], [sidecar(RUNS, started=False)], RUNS)
    assert condition(status, "Initialized") == ("True", "", "")


def test_a_pod_that_succeeded_was_initialized_and_says_that_it_completed() -> None:
    status = status_of([FIRST], [first(DONE)], DONE, policy="Never")
    assert status["phase"] == "Succeeded"
    assert condition(status, "Initialized") == ("True", "PodCompleted", "")


def test_containers_can_start_once_the_pod_has_its_network_or_an_init_container_ran() -> None:
    """The phase is Pending for all of that time."""
    kind = "PodReadyToStartContainers"
    assert condition(status_of([FIRST], [first(WAITS)], WAITS), kind)[0] == "False"
    assert condition(status_of([FIRST], [first(RUNS)], WAITS), kind)[0] == "True"
    assert condition(status_of([FIRST], [first(DONE)], WAITS), kind)[0] == "True"
    pulling = status_of([], [], Waiting("ContainerCreating"), pod_ips=("10.0.0.1",))
    assert (pulling["phase"], condition(pulling, kind)[0]) == ("Pending", "True")


@pytest.mark.parametrize(("main", "policy"), [(RUNS, "Always"), (DONE, "Never")])
def test_an_init_container_that_completed_is_ready(main: ContainerState, policy: str) -> None:
    status = status_of([FIRST], [first(DONE)], main, policy=policy)
    assert status["initContainerStatuses"][0]["ready"] is True


def test_nothing_else_that_ended_is_ready() -> None:
    status = status_of([SIDECAR], [sidecar(DONE, ready=True)], RUNS)
    assert status["initContainerStatuses"][0]["ready"] is False
    failed = status_of([FIRST], [first(Terminated(1, "Error"))], WAITS)
    assert failed["initContainerStatuses"][0]["ready"] is False


def test_a_container_that_has_not_started_is_not_ready() -> None:
    status = status_of([SIDECAR], [sidecar(RUNS, started=False)], WAITS)
    assert status["initContainerStatuses"][0]["ready"] is False
