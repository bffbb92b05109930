"""Simulated usage of a pod: half of its requests while its containers run. Pure.

Containers without requests count with the defaults of the scheduler (DefaultMilliCPURequest,
DefaultMemoryRequest in pkg/scheduler/util), since metrics-server drops pods with a container that
uses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import vk

__all__ = ["pod_stats"]

_ASSUMED = {"cpu": "100m", "memory": "200Mi"}


def pod_stats(pod: vk.Pod, status: vk.PodStatus, time: datetime) -> vk.PodStats:
    """Return the usage of the running containers of ``pod`` at ``time``."""
    specs = {one.name: one.raw for one in (*pod.containers, *pod.init_containers)}
    usages = {
        one.name: _usage(specs.get(one.name, {}), one.state.started_at, time)
        for one in (*status.containers, *status.init_containers)
        if isinstance(one.state, vk.Running) and one.state.started_at is not None
    }
    return vk.PodStats(pod.key, containers=usages)


def _usage(spec: Mapping[str, Any], started_at: datetime, time: datetime) -> vk.Usage:
    requests = {**_ASSUMED, **((spec.get("resources") or {}).get("requests") or {})}
    cores = float(vk.parse_quantity(str(requests["cpu"]))) / 2
    memory = int(vk.parse_quantity(str(requests["memory"]))) // 2
    return vk.Usage(
        time=time,
        cpu_seconds=cores * (time - started_at).total_seconds(),
        cpu_cores=cores,
        memory_bytes=memory,
        working_set_bytes=memory,
        started_at=started_at,
    )
