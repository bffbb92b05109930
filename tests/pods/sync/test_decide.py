"""The next step for one pod, as a table: what is known on the left, the decision on the right."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pod_world import STARTED, deleted, ended, raw

from vk.models.pod import pod_key
from vk.models.status import ContainerStatus, PodStatus, Running, Terminated, Waiting
from vk.pods.status.facts import TerminalFailure
from vk.pods.sync.applied import AppliedSpec
from vk.pods.sync.decide import (
    Create,
    Decision,
    Delete,
    Forget,
    Lookup,
    Lost,
    Remove,
    Update,
    Wait,
    deadline_left,
    decide,
)
from vk.pods.sync.records import ProviderState, Record

NOW = 1000.0
UNKNOWN, UNCERTAIN, ABSENT, PRESENT = ProviderState
KEY = pod_key(raw())
RUNS = PodStatus(KEY, containers=[ContainerStatus(name="main", state=Running())])
WAITS = PodStatus(KEY, containers=[ContainerStatus(name="main", state=Waiting())])
RAN = {"phase": "Running", "startTime": STARTED}


def final(phase: str = "Failed", **spec: Any) -> dict[str, Any]:
    return raw(status={"phase": phase, "startTime": STARTED}, **spec)


def record(pod: dict[str, Any] | None, state: ProviderState, **known: Any) -> Record:
    return Record(KEY, pod=pod, provider_state=state, **known)


def step(one: Record, *, wall: float = 0.0, deadline: float | None = None) -> Decision:
    return decide(one, now=NOW, wall=wall, deadline=deadline)


@pytest.mark.parametrize(
    ("state", "known", "expected"),
    [
        (UNKNOWN, {}, Wait()),
        (UNCERTAIN, {}, Lookup()),
        (UNCERTAIN, {"retry_at": NOW + 5}, Wait(5.0)),
        (ABSENT, {}, Create()),
        (ABSENT, {"retry_at": NOW + 5}, Wait(5.0)),
        (ABSENT, {"retry_at": NOW - 5}, Create()),
        (ABSENT, {"failure": TerminalFailure("x", "y")}, Wait()),
        (PRESENT, {}, Wait()),
        (PRESENT, {"status": RUNS}, Wait()),
    ],
)
def test_a_pod_that_is_wanted(
    state: ProviderState, known: dict[str, Any], expected: Decision
) -> None:
    assert step(record(raw(), state, **known)) == expected


def test_an_accepted_pod_that_is_gone_is_lost_and_never_created_again() -> None:
    assert step(record(raw(status=RAN), ABSENT)) == Lost()


def test_an_accepted_pod_that_never_ran_is_created_again() -> None:
    assert step(record(raw(status=RAN), ABSENT, recreatable=True)) == Create()


@pytest.mark.parametrize(
    ("state", "known", "expected"),
    [
        (UNKNOWN, {}, Wait()),
        (UNCERTAIN, {}, Lookup()),
        (ABSENT, {}, Remove()),
        (ABSENT, {"removed": True}, Wait()),
        (PRESENT, {}, Delete(30.0)),
        (PRESENT, {"status": RUNS}, Delete(30.0)),
        (PRESENT, {"status": RUNS, "retry_at": NOW + 5}, Wait(5.0)),
        (
            PRESENT,
            {"status": RUNS, "delete_grace": 30.0, "retry_at": NOW + 5},
            Wait(5.0),
        ),
        (
            PRESENT,
            {"status": RUNS, "delete_grace": 30.0, "retry_at": NOW - 5},
            Delete(30.0),
        ),
        (
            PRESENT,
            {"status": RUNS, "delete_tried": 60.0, "retry_at": NOW + 5},
            Delete(30.0),
        ),
        (
            PRESENT,
            {"status": WAITS, "delete_grace": 30.0, "retry_at": NOW + 5},
            Wait(5.0),
        ),
        (PRESENT, {"status": ended(KEY), "delete_grace": 30.0}, Delete(30.0)),
        (PRESENT, {"status": ended(KEY), "delete_grace": 30.0, "delete_confirmed": True}, Remove()),
        (
            PRESENT,
            {"status": ended(KEY, 9), "delete_grace": 1.0, "delete_confirmed": True},
            Remove(),
        ),
        (PRESENT, {"status": RUNS, "delete_grace": 30.0, "delete_confirmed": True}, Delete(30.0)),
        (
            PRESENT,
            {
                "status": ended(KEY),
                "delete_grace": 30.0,
                "delete_failed": True,
                "retry_at": NOW + 5,
            },
            Wait(5.0),
        ),
        (PRESENT, {"status": ended(KEY)}, Delete(30.0)),
        (PRESENT, {"status": PodStatus(KEY), "delete_grace": 30.0}, Delete(30.0)),
    ],
)
@pytest.mark.parametrize("status", [None, RAN, {"phase": "Failed"}])
def test_a_pod_that_is_being_deleted(
    state: ProviderState, known: dict[str, Any], expected: Decision, status: dict[str, Any] | None
) -> None:
    """B2: neither the grace period nor the phase ends it, only what the provider says."""
    assert step(record(deleted(raw(status=status)), state, **known)) == expected


def test_no_grace_period_means_none() -> None:
    assert step(record(deleted(raw(), 0), PRESENT)) == Delete(0.0)


@pytest.mark.parametrize(
    ("state", "known", "expected"),
    [
        (UNKNOWN, {}, Forget()),
        (ABSENT, {}, Forget()),
        (UNCERTAIN, {}, Lookup()),
        (PRESENT, {}, Delete(0.0)),
        (PRESENT, {"delete_grace": 30.0, "retry_at": NOW + 5}, Delete(0.0)),
        (PRESENT, {"delete_grace": 0.0, "retry_at": NOW + 5}, Wait(5.0)),
        (PRESENT, {"delete_failed": True, "retry_at": NOW + 5}, Wait(5.0)),
        (PRESENT, {"delete_grace": 0.0, "status": RUNS}, Delete(0.0)),
        (PRESENT, {"delete_grace": 0.0, "status": ended(KEY)}, Delete(0.0)),
        (
            PRESENT,
            {"delete_grace": 0.0, "status": ended(KEY), "delete_confirmed": True},
            Forget(),
        ),
    ],
)
def test_a_pod_without_an_api_object(
    state: ProviderState, known: dict[str, Any], expected: Decision
) -> None:
    """B1, B27: a deletion that was not seen to begin still ends the workload, at once."""
    assert step(record(None, state, **known)) == expected


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
@pytest.mark.parametrize(
    ("state", "known", "expected"),
    [
        (ABSENT, {}, Wait()),
        (PRESENT, {"status": RUNS}, Delete(7.0)),
        (PRESENT, {"status": RUNS, "retry_at": NOW + 5}, Wait(5.0)),
        (PRESENT, {"status": ended(KEY), "delete_grace": 30.0}, Wait()),
        (PRESENT, {}, Wait()),
    ],
)
def test_a_terminal_pod(
    phase: str, state: ProviderState, known: dict[str, Any], expected: Decision
) -> None:
    pod = final(phase, terminationGracePeriodSeconds=7)
    assert step(record(pod, state, **known)) == expected


def test_a_terminal_pod_keeps_its_finished_workload() -> None:
    pod = final("Succeeded", restartPolicy="Never")
    assert step(record(pod, PRESENT, status=ended(KEY))) == Wait()


BEGAN = 1767225600.0  # 2026-01-01, as STARTED


def test_a_pod_is_looked_at_again_when_its_deadline_passes() -> None:
    assert step(record(raw(status=RAN), PRESENT), deadline=40.0) == Wait(40.0)


def test_a_deadline_counts_from_the_start_time() -> None:
    one = record(raw(status=RAN, activeDeadlineSeconds=60), PRESENT, status=RUNS)
    assert deadline_left(one, BEGAN + 20) == 40.0
    assert deadline_left(one, BEGAN + 70) == -10.0
    assert deadline_left(record(raw(status=RAN), PRESENT), BEGAN) is None


@pytest.mark.parametrize(("after", "left"), [(59, None), (61, -40.0)])
def test_a_pod_that_ended_before_its_deadline_has_not_exceeded_it(
    after: int, left: float | None
) -> None:
    """However late that is seen; one that ended after it has."""
    state = Terminated(0, finished_at=datetime.fromtimestamp(BEGAN + after, UTC))
    status = PodStatus(KEY, containers=[ContainerStatus(name="main", state=state)])
    pod = raw(status=RAN, activeDeadlineSeconds=60, restartPolicy="Never")
    assert deadline_left(record(pod, PRESENT, status=status), BEGAN + 100) == left


def with_sidecar(finished: float) -> PodStatus:
    state = Terminated(0, finished_at=datetime.fromtimestamp(finished, UTC))
    return PodStatus(
        KEY,
        containers=[ContainerStatus(name="main", state=state)],
        init_containers=[ContainerStatus(name="side", state=Running())],
    )


def test_sidecars_that_the_provider_leaves_running_are_ended() -> None:
    """It has the grace period and ten seconds more to end them itself: they may show how."""
    side = {"name": "side", "image": "x", "restartPolicy": "Always"}
    pod = raw(
        status=RAN, restartPolicy="Never", terminationGracePeriodSeconds=7, initContainers=[side]
    )
    one = record(pod, PRESENT, status=with_sidecar(BEGAN))
    assert step(one, wall=BEGAN + 5) == Wait(12.0)
    assert step(one, wall=BEGAN + 17) == Delete(7.0)


METADATA = raw()["metadata"]


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (raw(), Wait()),
        (raw(activeDeadlineSeconds=9), Update(frozenset({"spec.activeDeadlineSeconds"}))),
        ({**raw(), "metadata": {**METADATA, "labels": {"a": "b"}}}, {"metadata.labels"}),
        ({**raw(), "metadata": {**METADATA, "annotations": {"a": "b"}}}, {"metadata.annotations"}),
        ({**raw(), "metadata": {**METADATA, "annotations": {"ours": "b"}}}, Wait()),
        (deleted(raw(activeDeadlineSeconds=9)), Delete(30.0)),
        (final("Failed", activeDeadlineSeconds=9), Wait()),
    ],
)
def test_an_update_is_what_differs_from_what_was_accepted(
    pod: dict[str, Any], expected: Decision | set[str]
) -> None:
    """Never with a deletionTimestamp; annotations that we wrote are no change."""
    one = record(pod, PRESENT, applied=AppliedSpec.of(raw()), annotations={"ours": "b"})
    wanted = Update(frozenset(expected)) if isinstance(expected, set) else expected
    assert step(one) == wanted


def test_a_failed_update_waits_for_its_next_try() -> None:
    pod = raw(activeDeadlineSeconds=9)
    one = record(pod, PRESENT, applied=AppliedSpec.of(raw()), retry_at=NOW + 5)
    assert step(one) == Wait(5.0)


def test_a_deadline_does_not_wait_for_the_next_try_of_an_update() -> None:
    pod = raw(status=RAN, activeDeadlineSeconds=60)
    one = record(pod, PRESENT, applied=AppliedSpec.of(raw()), retry_at=NOW + 50)
    assert step(one, deadline=40.0) == Wait(40.0)
    assert step(one, deadline=60.0) == Wait(50.0)


def test_deciding_changes_nothing() -> None:
    pod = raw(activeDeadlineSeconds=9)
    one = record(pod, PRESENT, applied=AppliedSpec.of(raw()))
    assert step(one) == step(one)
    assert pod == raw(activeDeadlineSeconds=9)
