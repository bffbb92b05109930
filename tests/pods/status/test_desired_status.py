"""The status of a pod as a table, and that it only moves forward."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pod_world import STARTED, deleted, merge, raw

from vk.models.pod import pod_key
from vk.models.status import (
    Condition,
    ContainerState,
    ContainerStatus,
    PodStatus,
    Running,
    Terminated,
    Waiting,
)
from vk.models.time import parse_time
from vk.pods.status.desired import desired
from vk.pods.status.facts import StatusFacts, TerminalFailure
from vk.pods.status.patch import difference
from vk.pods.status.phase import RANK

KEY = pod_key(raw())
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)


def says(state: ContainerState, **more: Any) -> PodStatus:
    return PodStatus(KEY, containers=[ContainerStatus(name="main", state=state, **more)])


def work(pod: dict[str, Any], status: PodStatus | None, **facts: Any) -> dict[str, Any]:
    return desired(pod, StatusFacts(status=status, present=True, **facts), NOW)


def after(pod: dict[str, Any], *statuses: PodStatus) -> dict[str, Any]:
    """The API object after one status and the next were written."""
    for status in statuses:
        patch = difference(pod, work(pod, status), {})
        pod = merge(pod, patch) if patch else pod
    return pod


def main(status: dict[str, Any]) -> dict[str, Any]:
    return dict(status["containerStatuses"][0])


def conditions(status: dict[str, Any]) -> dict[str, str]:
    return {one["type"]: one["status"] for one in status["conditions"]}


def test_a_running_pod() -> None:
    status = work(raw(), says(Running(NOW)))
    assert (status["phase"], status["startTime"]) == ("Running", STARTED)
    assert conditions(status) == dict.fromkeys(
        ("PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"),
        "True",
    )
    assert main(status) == {
        "name": "main",
        "state": {"running": {"startedAt": STARTED}},
        "lastState": {},
        "ready": True,
        "started": True,
        "restartCount": 0,
        "image": "busybox",
        "imageID": "",
    }


def test_a_pod_that_waits_says_why() -> None:
    facts = StatusFacts(waiting=("ProviderFailed", "no capacity"))
    status = desired(raw(), facts, NOW)
    waiting = {"reason": "ProviderFailed", "message": "no capacity"}
    assert (status["phase"], main(status)["state"]) == ("Pending", {"waiting": waiting})
    assert conditions(status)["Ready"] == "False"
    assert "startTime" not in status


def test_a_rejected_pod_has_no_container_statuses() -> None:
    status = desired(raw(), StatusFacts(failure=TerminalFailure("OutOfcpu", "too much")), NOW)
    assert (status["phase"], status["reason"]) == ("Failed", "OutOfcpu")
    assert "containerStatuses" not in status


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_terminal_is_sticky(phase: str) -> None:
    assert work(raw(status={"phase": phase}), says(Running(NOW))) == {}


@pytest.mark.parametrize("state", [Waiting(), Waiting("ImagePullBackOff")])
def test_a_running_pod_never_becomes_pending(state: ContainerState) -> None:
    pod = after(raw(), says(Running(NOW)))
    assert work(pod, says(state))["phase"] == "Running"
    assert work(pod, PodStatus(KEY, phase="Pending"))["phase"] == "Running"


@pytest.mark.parametrize(
    ("policy", "exit_code", "state"),
    [
        ("Never", 0, "terminated"),
        ("Never", 1, "terminated"),
        ("OnFailure", 0, "terminated"),
        ("OnFailure", 1, "running"),
        ("Always", 0, "running"),
    ],
)
def test_a_container_leaves_terminated_only_by_a_restart(
    policy: str, exit_code: int, state: str
) -> None:
    pod = raw(restartPolicy=policy)
    pod["spec"]["containers"].append({"name": "other"})
    other = ContainerStatus(name="other", state=Running(NOW))

    def both(one: ContainerState) -> PodStatus:
        return PodStatus(KEY, containers=[ContainerStatus(name="main", state=one), other])

    pod = after(pod, both(Terminated(exit_code)), both(Running(LATER)))
    assert list(main(pod["status"])["state"]) == [state]
    assert main(pod["status"])["restartCount"] == (1 if state == "running" else 0)


def test_restarts_are_counted_where_the_backend_does_not_count() -> None:
    pod = after(raw(), says(Running(NOW)), says(Running(LATER)), says(Running(LATER)))
    assert main(pod["status"])["restartCount"] == 1
    pod = after(pod, says(Terminated(1)), says(Waiting("CrashLoopBackOff")), says(Running(NOW)))
    assert main(pod["status"])["restartCount"] == 2
    assert main(pod["status"])["lastState"]["terminated"]["exitCode"] == 1


EXACT = NOW.replace(microsecond=123_456)


@pytest.mark.parametrize(
    "state",
    [
        Running(EXACT),
        Terminated(3, "Error", started_at=EXACT, finished_at=EXACT),
    ],
)
@pytest.mark.field
def test_a_time_that_is_more_exact_than_the_api_is_no_other_run(state: ContainerState) -> None:
    """The API has whole seconds, providers have microseconds: the same run is reported again."""
    pod = after(raw(restartPolicy="Never"), says(state), says(state))
    assert main(pod["status"])["restartCount"] == 0
    assert not main(pod["status"])["lastState"]
    assert difference(pod, work(pod, says(state)), {}) is None


@pytest.mark.field
def test_a_last_run_that_is_reported_more_exactly_is_no_change() -> None:
    last = Terminated(1, "Error", started_at=EXACT, finished_at=EXACT)
    status = says(Running(EXACT), last_state=last, restart_count=1)
    pod = after(raw(), status)
    assert difference(pod, work(pod, status), {}) is None


@pytest.mark.field
def test_the_start_time_that_was_chosen_once_is_written_again() -> None:
    """Where the answer to the first write is lost, the second one has the same time."""
    status = work(raw(), says(Running(NOW)), start_time="2020-01-01T00:00:00Z")
    assert status["startTime"] == "2020-01-01T00:00:00Z"


def test_a_restart_count_never_sinks() -> None:
    pod = after(raw(), says(Running(NOW), restart_count=7), says(Running(NOW), restart_count=2))
    assert main(pod["status"])["restartCount"] == 7


def test_the_start_time_is_fixed() -> None:
    pod = raw(status={"phase": "Running", "startTime": "2020-01-01T00:00:00Z"})
    assert "startTime" not in work(pod, says(Running(NOW)))


def test_an_empty_address_never_takes_one_away() -> None:
    pod = raw(status={"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]})
    assert not {"podIP", "podIPs"} & set(work(pod, says(Running(NOW))))


def test_what_is_gone_ended_with_an_unknown_outcome() -> None:
    began = parse_time("2026-01-01T00:00:00Z")
    status = work(deleted(after(raw(), says(Running(began)))), None, gone=True)
    ended = main(status)["state"]["terminated"]
    assert status["phase"] == "Failed"
    assert (ended["exitCode"], ended["reason"]) == (137, "ContainerStatusUnknown")
    assert ended["startedAt"] == STARTED


def test_a_known_outcome_is_kept_when_the_workload_is_gone() -> None:
    pod = deleted(after(raw(), says(Terminated(0))))
    status = work(pod, None, gone=True)
    assert (status["phase"], main(status)["state"]["terminated"]["exitCode"]) == ("Succeeded", 0)


def test_conditions_of_others_are_not_written() -> None:
    """B11."""
    pod = raw(status={"phase": "Pending", "conditions": [{"type": "x.io/gate", "status": "True"}]})
    assert "x.io/gate" not in conditions(work(pod, says(Running(NOW))))


@pytest.mark.parametrize(("gate", "ready"), [("True", "True"), ("False", "False"), (None, "False")])
def test_ready_waits_for_the_readiness_gates(gate: str | None, ready: str) -> None:
    pod = raw(readinessGates=[{"conditionType": "x.io/gate"}])
    pod["status"]["conditions"] = [{"type": "x.io/gate", "status": gate}] if gate else []
    status = conditions(work(pod, says(Running(NOW))))
    assert (status["ContainersReady"], status["Ready"]) == ("True", ready)


def test_a_condition_keeps_its_transition_time_while_its_status_stays() -> None:
    old = {"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}
    pod = raw(status={"phase": "Pending", "conditions": [old]})
    for state, expected in ((Running(NOW), old["lastTransitionTime"]), (Waiting(), STARTED)):
        ready = next(one for one in work(pod, says(state))["conditions"] if one["type"] == "Ready")
        assert ready["lastTransitionTime"] == expected


def test_conditions_that_the_backend_gives_are_taken() -> None:
    mine = Condition(type="Ready", status="False", reason="Draining")
    status = PodStatus(KEY, containers=says(Running(NOW)).containers, conditions=[mine])
    assert conditions(work(raw(), status))["Ready"] == "False"


@pytest.mark.parametrize(("generation", "expected"), [(4, 3), (None, None)])
def test_the_generation_is_reported_only_where_the_pod_has_one(
    generation: int | None, expected: int | None
) -> None:
    pod = raw()
    if generation:
        pod["metadata"]["generation"] = generation
    status = work(pod, says(Running(NOW)), observed_generation=3)
    assert status.get("observedGeneration") == expected


STATES = st.one_of(
    st.builds(Waiting, st.sampled_from(["ContainerCreating", "CrashLoopBackOff"])),
    st.builds(Running, st.sampled_from([NOW, LATER, None])),
    st.builds(Terminated, st.sampled_from([0, 1, 137])),
)
STATUSES = st.builds(
    lambda states, ips, phase: PodStatus(
        KEY,
        containers=[ContainerStatus(name="main", state=state) for state in states],
        pod_ips=ips,
        phase=phase,
    ),
    st.lists(STATES, max_size=1),
    st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2"]), max_size=1),
    st.sampled_from([None, None, "Pending", "Running", "Succeeded", "Failed"]),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(STATUSES, max_size=6), st.sampled_from(["Always", "OnFailure", "Never"]))
def test_whatever_is_said_the_status_only_moves_forward(
    statuses: list[PodStatus], policy: str
) -> None:
    pod = raw(restartPolicy=policy)
    for status in statuses:
        before, pod = pod["status"], after(pod, status)
        now = pod["status"]
        assert RANK[now["phase"]] >= RANK[before["phase"]]
        assert "podIP" not in before or "podIP" in now
        assert len(now.get("podIPs") or ()) <= 1
        old, new = ((one.get("containerStatuses") or [{}])[0] for one in (before, now))
        assert new.get("restartCount", 0) >= old.get("restartCount", 0)
        if before["phase"] in ("Succeeded", "Failed") and now != before:  # a late end, no more
            assert {**now, "containerStatuses": []} == {**before, "containerStatuses": []}
            assert "running" in old["state"]
            assert "terminated" in new["state"]


@settings(deadline=None, max_examples=200)
@given(st.lists(STATUSES, min_size=1, max_size=4))
def test_a_status_that_was_written_is_not_written_again(statuses: list[PodStatus]) -> None:
    pod = after(raw(), *statuses)
    assert difference(pod, work(pod, statuses[-1]), {}) is None


SIDECAR = {"name": "side", "image": "x", "restartPolicy": "Always"}


def beside(side: ContainerState, *, phase: str | None = None) -> PodStatus:
    """The main container has ended; its sidecar is in this state."""
    return PodStatus(
        KEY,
        containers=[ContainerStatus(name="main", state=Terminated(0))],
        init_containers=[ContainerStatus(name="side", state=side)],
        phase=phase,
    )


@pytest.mark.field
def test_a_pod_has_not_ended_while_its_sidecar_runs() -> None:
    pod = raw(restartPolicy="Never", initContainers=[SIDECAR])
    running = after(pod, beside(Running(NOW)))
    assert running["status"]["phase"] == "Running"
    ended = after(running, beside(Terminated(1)))
    assert ended["status"]["phase"] == "Succeeded"
    [side] = ended["status"]["initContainerStatuses"]
    assert side["state"]["terminated"]["exitCode"] == 1


@pytest.mark.field
def test_a_final_status_takes_the_late_end_of_a_container() -> None:
    """Where a provider reports the phase before its containers' ends."""
    pod = after(
        raw(restartPolicy="Never", initContainers=[SIDECAR]), beside(Running(NOW), phase="Failed")
    )
    assert pod["status"]["phase"] == "Failed"
    pod = after(pod, beside(Terminated(7), phase="Failed"))
    [side] = pod["status"]["initContainerStatuses"]
    assert side["state"]["terminated"]["exitCode"] == 7
    assert after(pod, beside(Running(NOW))) == pod


EXCEEDED = TerminalFailure("DeadlineExceeded", "too long", ran=True)


@pytest.mark.field
def test_a_pod_that_is_ended_for_its_deadline_is_failed_once_its_containers_have_ended() -> None:
    """With their own exit codes, and the reason for which they were ended."""
    pod = raw(restartPolicy="Never")
    status = work(pod, says(Running(NOW)), failure=EXCEEDED)
    assert (status["phase"], status["reason"]) == ("Running", None)
    assert "running" in status["containerStatuses"][0]["state"]
    status = work(pod, says(Terminated(7)), failure=EXCEEDED)
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 7


@pytest.mark.field
def test_what_nothing_can_report_any_more_counts_as_ended() -> None:
    pod = raw(restartPolicy="Never")
    status = desired(pod, StatusFacts(status=says(Running(NOW)), failure=EXCEEDED), NOW)
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137


REFUSED = Condition(
    type="UpdateRefused", status="True", reason="Unsupported", message="no ephemeral containers"
)


@pytest.mark.field
def test_an_ephemeral_container_that_the_provider_refuses_has_ended() -> None:
    """`kubectl debug` would wait for it indefinitely."""
    pod = raw(ephemeralContainers=[{"name": "debugger", "image": "x"}])
    waiting = work(pod, says(Running(NOW)))
    assert "ephemeralContainerStatuses" not in waiting
    [row] = work(pod, says(Running(NOW)), last_update=REFUSED)["ephemeralContainerStatuses"]
    ended = row["state"]["terminated"]
    assert (row["name"], ended["exitCode"]) == ("debugger", 1)
    assert (ended["reason"], ended["message"]) == (
        "EphemeralContainerRefused",
        "no ephemeral containers",
    )


@pytest.mark.field
def test_a_refused_ephemeral_container_stays_ended_after_another_update() -> None:
    pod = raw(ephemeralContainers=[{"name": "debugger", "image": "x"}])
    first = difference(pod, work(pod, says(Running(NOW)), last_update=REFUSED), {})
    assert first is not None
    pod = merge(pod, first)
    accepted = Condition(type="UpdateRefused", status="False")
    again = difference(pod, work(pod, says(Running(NOW)), last_update=accepted), {})
    assert again is None or "ephemeralContainerStatuses" not in again["status"]
