"""Gauges of the pods and the work queue, under the kubelet's names, read at each scrape.

In: functions that return the records and the queue of the present term. `vk.kubelet` adds them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from vk.metrics import Metrics, Sample
from vk.models.status import Running, Terminated
from vk.pods.sync.records import ProviderState, Records
from vk.workqueue import WorkQueue

__all__ = ["add"]

K = TypeVar("K", bound=Hashable)


def add(
    metrics: Metrics,
    records: Callable[[], Records],
    queue: Callable[[], WorkQueue[K] | None],
    name: str,
) -> None:
    """Add the gauges to ``metrics``; ``name`` is the queue's, None where there is none now."""
    labels = {"name": name}

    def unfinished() -> list[float]:
        found = queue()
        return [] if found is None else list(found.unfinished())

    def depth() -> int:
        found = queue()
        return 0 if found is None else len(found)

    metrics.gauge(
        "kubelet_running_pods",
        "Pods with a running container.",
        lambda: [({}, float(_running_pods(records())))],
    )
    metrics.gauge(
        "kubelet_running_containers",
        "Containers by their state.",
        lambda: _containers(records()),
    )
    metrics.gauge(
        "vk_pods", "Pods by what the provider holds for them.", lambda: _provider_states(records())
    )
    metrics.gauge(
        "workqueue_depth", "Keys that wait, due or not.", lambda: [(labels, float(depth()))]
    )
    metrics.gauge(
        "workqueue_unfinished_work_seconds",
        "Seconds of work that is under way.",
        lambda: [(labels, sum(unfinished()))],
    )
    metrics.gauge(
        "workqueue_longest_running_processor_seconds",
        "Seconds of the work that takes longest.",
        lambda: [(labels, max(unfinished(), default=0.0))],
    )


def _running_pods(records: Records) -> int:
    return sum(
        1
        for record in records
        if record.status is not None
        and any(isinstance(one.state, Running) for one in record.status.containers)
    )


def _containers(records: Records) -> Iterable[Sample]:
    count: Counter[str] = Counter({"running": 0, "exited": 0, "created": 0})
    for record in records:
        for one in record.status.containers if record.status is not None else ():
            match one.state:
                case Running():
                    count["running"] += 1
                case Terminated():
                    count["exited"] += 1
                case _:
                    count["created"] += 1
    return [({"container_state": state}, float(number)) for state, number in count.items()]


def _provider_states(records: Records) -> Iterable[Sample]:
    count = Counter(record.provider_state for record in records)
    return [({"held": state.value}, float(count[state])) for state in ProviderState]
