"""What is read off the pods and the queue whenever somebody asks for the metrics.

In: the records and the work queue. Out: gauges under the kubelet's names. `kubelet.py` calls it
once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import TypeVar

from vk.metrics import Metrics, Sample
from vk.models.status import Running, Terminated
from vk.pods.sync.records import Held, Records
from vk.workqueue import WorkQueue

__all__ = ["watch"]

K = TypeVar("K", bound=Hashable)


def watch(metrics: Metrics, records: Records, queue: WorkQueue[K], name: str) -> None:
    """Add the gauges to ``metrics``; ``name`` is the queue's."""
    labels = {"name": name}
    metrics.gauge(
        "kubelet_running_pods",
        "Pods with a running container.",
        lambda: [({}, float(_running_pods(records)))],
    )
    metrics.gauge(
        "kubelet_running_containers",
        "Containers by their state.",
        lambda: _containers(records),
    )
    metrics.gauge("vk_pods", "Pods by what the provider holds for them.", lambda: _held(records))
    metrics.gauge(
        "workqueue_depth", "Keys that wait, due or not.", lambda: [(labels, float(len(queue)))]
    )
    metrics.gauge(
        "workqueue_unfinished_work_seconds",
        "Seconds of work that is under way.",
        lambda: [(labels, sum(queue.unfinished()))],
    )
    metrics.gauge(
        "workqueue_longest_running_processor_seconds",
        "Seconds of the work that takes longest.",
        lambda: [(labels, max(queue.unfinished(), default=0.0))],
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


def _held(records: Records) -> Iterable[Sample]:
    count = Counter(record.held for record in records)
    return [({"held": held.value}, float(count[held])) for held in Held]
