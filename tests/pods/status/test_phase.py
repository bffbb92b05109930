"""The kubelet's phase rules, as a table of containers and restart policies."""

from __future__ import annotations

from typing import Any

import pytest

from vk.models.keys import PodKey
from vk.models.status import (
    ContainerState,
    ContainerStatus,
    PodStatus,
    Running,
    Terminated,
    Waiting,
)
from vk.pods.status.phase import initialized, is_final, phase_of

KEY = PodKey("default", "p", "u")
RUN, WAIT, DONE, BROKEN = Running(), Waiting(), Terminated(0), Terminated(3)
BACKOFF = (Waiting("CrashLoopBackOff"), Terminated(3))


def said(*states: Any, init: bool = False) -> tuple[ContainerStatus, ...]:
    result = []
    for number, one in enumerate(states):
        state, last = one if isinstance(one, tuple) else (one, None)
        name = f"{'i' if init else 'c'}{number}"
        result.append(ContainerStatus(name=name, state=state, last_state=last))
    return tuple(result)


def spec(count: int, policy: str, inits: int = 0, **init: Any) -> dict[str, Any]:
    return {
        "containers": [{"name": f"c{number}"} for number in range(count)],
        "initContainers": [{"name": f"i{number}", **init} for number in range(inits)],
        "restartPolicy": policy,
    }


@pytest.mark.parametrize(
    ("states", "always", "on_failure", "never"),
    [
        ([RUN], "Running", "Running", "Running"),
        ([WAIT], "Pending", "Pending", "Pending"),
        ([RUN, WAIT], "Pending", "Pending", "Pending"),
        ([DONE], "Running", "Succeeded", "Succeeded"),
        ([BROKEN], "Running", "Running", "Failed"),
        ([DONE, BROKEN], "Running", "Running", "Failed"),
        ([DONE, DONE], "Running", "Succeeded", "Succeeded"),
        ([DONE, RUN], "Running", "Running", "Running"),
        ([BROKEN, RUN], "Running", "Running", "Running"),
        ([BACKOFF], "Running", "Running", "Failed"),
    ],
)
def test_the_phase_follows_from_the_containers(
    states: list[Any], always: str, on_failure: str, never: str
) -> None:
    status = PodStatus(KEY, containers=said(*states))
    for policy, expected in (("Always", always), ("OnFailure", on_failure), ("Never", never)):
        assert phase_of(spec(len(states), policy), status, deleting=False) == expected


@pytest.mark.parametrize(
    ("state", "expected"), [(RUN, "Running"), (DONE, "Succeeded"), (BROKEN, "Failed")]
)
@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
def test_a_pod_that_is_being_deleted_restarts_nothing(
    state: ContainerState, expected: str, policy: str
) -> None:
    status = PodStatus(KEY, containers=said(state))
    assert phase_of(spec(1, policy), status, deleting=True) == expected


def test_nothing_said_is_pending_and_a_given_phase_is_taken() -> None:
    assert phase_of(spec(1, "Always"), PodStatus(KEY), deleting=False) == "Pending"
    given = PodStatus(KEY, phase="Failed", containers=said(RUN))
    assert phase_of(spec(1, "Always"), given, deleting=False) == "Failed"


@pytest.mark.parametrize(
    ("state", "policy", "expected"),
    [
        (WAIT, "Never", "Pending"),
        (RUN, "Never", "Pending"),
        (BROKEN, "Never", "Failed"),
        (BROKEN, "Always", "Pending"),
        (DONE, "Never", "Running"),
    ],
)
def test_init_containers_come_first(state: ContainerState, policy: str, expected: str) -> None:
    status = PodStatus(KEY, containers=said(RUN), init_containers=said(state, init=True))
    assert phase_of(spec(1, policy, 1), status, deleting=False) == expected


@pytest.mark.parametrize(
    ("state", "expected"), [(WAIT, False), (RUN, True), (BROKEN, True), (BACKOFF, True)]
)
def test_a_sidecar_only_has_to_start(state: Any, expected: bool) -> None:
    raw = spec(1, "Always", 1, restartPolicy="Always")
    assert initialized(raw, said(state, init=True)) is expected


def test_a_sidecar_that_breaks_during_initialization_fails_no_pod() -> None:
    raw = spec(1, "Never", 2)
    raw["initContainers"][0]["restartPolicy"] = "Always"
    status = PodStatus(KEY, containers=said(WAIT), init_containers=said(BROKEN, RUN, init=True))
    assert phase_of(raw, status, deleting=False) == "Pending"


@pytest.mark.parametrize(
    ("status", "expected"),
    [(None, False), ({}, False), ({"phase": "Running"}, False), ({"phase": "Failed"}, True)],
)
def test_is_final(status: dict[str, str] | None, expected: bool) -> None:
    assert is_final({"metadata": {}, "status": status}) is expected
