"""The columns of pods. Pure.

In: a stored pod. Out: its cells; STATUS is the famous one that is no field of the API. Called by
`vk.devcluster.tables.table`, and wherever pods are shown as kubectl does.

Note: STATUS is the reason of the *first* container that has one, though they are looked at
from the last to the first; a pod that is being deleted is Terminating unless it has ended.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from vk.devcluster.tables.column import AGE, NAME, NONE, Column, Columns, since, wide
from vk.models.api_object import Json, condition_of, spec_of, status_of
from vk.models.time import parse_time

__all__ = ["PODS", "pod_status"]

_ENDED = ("Failed", "Succeeded")
_UNREACHABLE = "NodeLost"


@attrs.define
class _Summary:
    """The result of one walk over the containers."""

    reason: str
    ready: int = 0
    total: int = 0
    restarts: int = 0
    last_restart: str = ""

    def count(self, status: dict[str, Any]) -> None:
        """Add the restarts of one container."""
        self.restarts += status.get("restartCount", 0)
        ended = _last_end(status)
        if ended and (not self.last_restart or _later(ended, self.last_restart)):
            self.last_restart = ended


def pod_status(pod: dict[str, Any]) -> str:
    """Return what kubectl shows as STATUS."""
    return _summary(pod).reason


def _cells(pod: dict[str, Any], now: datetime) -> list[Any]:
    summary, status = _summary(pod), status_of(pod)
    restarts = str(summary.restarts)
    if summary.restarts and summary.last_restart:
        restarts += f" ({since(summary.last_restart, now)} ago)"
    ips = status.get("podIPs") or []
    return [
        pod["metadata"]["name"],
        f"{summary.ready}/{summary.total}",
        summary.reason,
        restarts,
        since(pod["metadata"].get("creationTimestamp"), now),
        (ips[0].get("ip") if ips else "") or NONE,
        spec_of(pod).get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _gates(pod),
    ]


def _summary(pod: dict[str, Any]) -> _Summary:
    spec, status = spec_of(pod), status_of(pod)
    init = {container["name"]: container for container in spec.get("initContainers") or ()}
    sidecars = {name for name, one in init.items() if one.get("restartPolicy") == "Always"}
    reason = status.get("reason") or status.get("phase", "")
    if condition_of(pod, "PodScheduled").get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    total = len(spec.get("containers") or ()) + len(sidecars)
    running = _Summary(reason, total=total)
    during_init = _Summary(reason, total=total)
    initializing = _walk_init(status, len(init), sidecars, during_init, running)
    if initializing and not _is_true(pod, "Initialized"):
        summary = during_init
    else:
        running.reason, running.ready = during_init.reason, during_init.ready
        _walk_containers(pod, running)
        summary = running
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == _UNREACHABLE:
            summary.reason = "Unknown"
        elif status.get("phase") not in _ENDED:
            summary.reason = "Terminating"
    return summary


def _walk_init(
    status: Json, count: int, sidecars: set[str], all_: _Summary, later: _Summary
) -> bool:
    """Look at the init containers up to the first that is not done; return whether there is one.

    ``all_`` gets the restarts of those, ``later`` only the sidecars', which count ever after.
    """
    for index, container in enumerate(status.get("initContainerStatuses") or ()):
        sidecar = container["name"] in sidecars
        all_.count(container)
        if sidecar:
            later.count(container)
        state = container.get("state") or {}
        ended = state.get("terminated")
        if ended is not None and not ended.get("exitCode"):
            continue
        if sidecar and container.get("started"):
            all_.ready += bool(container.get("ready"))
            continue
        waiting = (state.get("waiting") or {}).get("reason", "")
        if ended is not None:
            all_.reason = f"Init:{_end_reason(ended)}"
        elif waiting and waiting != "PodInitializing":
            all_.reason = f"Init:{waiting}"
        else:
            all_.reason = f"Init:{index}/{count}"
        return True
    return False


def _walk_containers(pod: Json, summary: _Summary) -> None:
    running, error = False, ""
    for container in reversed(status_of(pod).get("containerStatuses") or ()):
        summary.count(container)
        state = container.get("state") or {}
        waiting, ended = (state.get("waiting") or {}).get("reason"), state.get("terminated")
        if waiting:
            summary.reason = waiting
        elif ended is not None:
            summary.reason = _end_reason(ended)
            if ended.get("exitCode"):
                error = summary.reason
        elif container.get("ready") and state.get("running") is not None:
            running = True
            summary.ready += 1
    if summary.reason == "Completed":
        if running and _is_true(pod, "Ready"):
            summary.reason = "Running"
        elif error or running:
            summary.reason = error or "NotReady"


def _end_reason(ended: dict[str, Any]) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode', 0)}"


def _last_end(container: dict[str, Any]) -> str:
    ended = (container.get("lastState") or {}).get("terminated") or {}
    return ended.get("finishedAt") or ""


def _later(one: str, other: str) -> bool:
    first, second = parse_time(one), parse_time(other)
    return first is not None and (second is None or first > second)


def _is_true(pod: Json, kind: str) -> bool:
    return bool(condition_of(pod, kind).get("status") == "True")


def _gates(pod: dict[str, Any]) -> str:
    gates = spec_of(pod).get("readinessGates") or []
    if not gates:
        return NONE
    passed = sum(_is_true(pod, gate["conditionType"]) for gate in gates)
    return f"{passed}/{len(gates)}"


_END_TEXTS = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}


def _row_conditions(pod: dict[str, Any]) -> list[dict[str, str]]:
    phase = status_of(pod).get("phase", "")
    if phase not in _END_TEXTS:
        return []
    text = _END_TEXTS[phase]
    return [{"type": "Completed", "status": "True", "reason": phase, "message": text}]


PODS = Columns(
    (
        NAME,
        Column("Ready", "Containers that are ready, and all that should be."),
        Column("Status", "The state of the containers in a word."),
        Column("Restarts", "How often containers have started again, and when the last one did."),
        AGE,
        wide("IP", "Address of the pod."),
        wide("Node", "Node that the pod is bound to."),
        wide("Nominated Node", "Node that preemption makes room on for the pod."),
        wide("Readiness Gates", "Gates that are passed, and all there are."),
    ),
    _cells,
    _row_conditions,
)
