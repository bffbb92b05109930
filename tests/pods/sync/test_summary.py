"""What `vk status` shows of a pod: why it waits, and until when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pod_world import raw

from vk.metrics import Metrics
from vk.models.pod import pod_key
from vk.models.status import ContainerStatus, PodStatus, Running, Terminated, Waiting
from vk.pods.status.facts import TerminalFailure
from vk.pods.sync import gauges
from vk.pods.sync.records import ProviderState, Record, Records
from vk.pods.sync.summary import pod_summaries
from vk.workqueue import WorkQueue

WALL = datetime(2026, 1, 31, 12, tzinfo=UTC)


def record(name: str = "web", **fields: Any) -> Record:
    pod = raw(name, uid=name)
    return Record(pod_key(pod), **{"pod": pod, **fields})


def shown(one: Record) -> dict[str, object]:
    return pod_summaries([one], now=100.0, wall=WALL)[0]


def test_a_pod_that_is_well_has_no_reason() -> None:
    found = shown(record(provider_state=ProviderState.PRESENT, retry_at=200.0))
    assert (found["name"], found["held"]) == ("web", "present")
    assert not {"reason", "nextTry", "deleting"} & set(found)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"provider_state": ProviderState.ABSENT, "waiting": ("OutOfStock", "none left")},
            "OutOfStock",
        ),
        ({"provider_state": ProviderState.PRESENT, "delete_failed": True}, "ProviderDeleteFailed"),
        ({"provider_state": ProviderState.UNCERTAIN}, "OutcomeUnknown"),
    ],
)
def test_a_pod_that_waits_says_why_and_until_when(fields: dict[str, Any], reason: str) -> None:
    found = shown(record(retry_at=130.0, **fields))
    assert (found["reason"], found["nextTry"]) == (reason, "2026-01-31T12:00:30Z")
    assert "nextTry" not in shown(record(retry_at=90.0, **fields))


def test_a_refused_pod_has_no_next_try() -> None:
    failure = TerminalFailure("OutOfcpu", "too large")
    found = shown(record(provider_state=ProviderState.ABSENT, failure=failure, retry_at=130.0))
    assert (found["reason"], found["message"]) == ("OutOfcpu", "too large")
    assert "nextTry" not in found


def test_a_pod_without_api_object_is_being_deleted() -> None:
    found = shown(record(pod=None, provider_state=ProviderState.PRESENT))
    assert (found["deleting"], found["phase"]) == (True, "Unknown")


def test_pods_with_a_problem_come_first() -> None:
    well, ill = record("a"), record("b", provider_state=ProviderState.UNCERTAIN)
    names = [one["name"] for one in pod_summaries([well, ill], now=0.0, wall=WALL)]
    assert names == ["b", "a"]


async def test_gauges_count_pods_and_containers() -> None:
    records, metrics = Records(), Metrics("n1")
    queue: WorkQueue[str] = WorkQueue()
    gauges.add(metrics, lambda: records, lambda: queue, "pods")
    pod = raw("web", uid="web")
    states = (Running(), Terminated(0), Waiting())
    containers = [ContainerStatus(name=f"{n}", state=one) for n, one in enumerate(states)]
    one = records.add(pod_key(pod))
    one.reported(PodStatus(one.key, containers=containers), 0.0)
    queue.add("a")
    queue.add("b")
    await queue.get()
    found = metrics.render().decode().splitlines()
    for line in (
        "kubelet_running_pods 1.0",
        'kubelet_running_containers{container_state="running"} 1.0',
        'kubelet_running_containers{container_state="exited"} 1.0',
        'kubelet_running_containers{container_state="created"} 1.0',
        'vk_pods{held="present"} 1.0',
        'vk_pods{held="absent"} 0.0',
        'workqueue_depth{name="pods"} 1.0',
    ):
        assert line in found
    assert [line for line in found if line.startswith("workqueue_longest_running_processor")]
