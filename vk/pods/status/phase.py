"""The phase and readiness of a pod, from its containers. Pure; the kubelet's rules."""

from __future__ import annotations

from collections.abc import Sequence

from vk.models.api_object import status_of
from vk.models.pod import Json
from vk.models.status import ContainerStatus, PodStatus, Running, Terminated, Waiting

__all__ = [
    "FINAL",
    "RANK",
    "has_ended",
    "initialized",
    "is_final",
    "is_ready",
    "is_sidecar",
    "phase_of",
    "sidecar_names",
    "sidecar_runs",
]

FINAL = frozenset({"Succeeded", "Failed"})
RANK = {"Pending": 0, "Unknown": 0, "Running": 1, "Succeeded": 2, "Failed": 2}


def is_final(pod: Json) -> bool:
    """Return whether the pod's phase is final: Succeeded or Failed."""
    return (status_of(pod).get("phase") or "") in FINAL


def initialized(spec: Json, statuses: Sequence[ContainerStatus]) -> bool:
    """Return whether every init container has completed (a sidecar: started)."""
    known = {status.name: status for status in statuses}
    return all(_init_done(raw, known.get(raw["name"])) for raw in spec.get("initContainers") or ())


def is_sidecar(raw: Json) -> bool:
    """Return whether an init container is a sidecar, which keeps running beside the others."""
    return raw.get("restartPolicy") == "Always"


def sidecar_names(spec: Json) -> set[str]:
    """Return the names of the sidecars."""
    return {raw["name"] for raw in spec.get("initContainers") or () if is_sidecar(raw)}


def is_ready(status: ContainerStatus) -> bool:
    """Return whether a container is ready: from its start on, unless a probe failed."""
    runs = isinstance(status.state, Running)
    return runs and status.ready is not False and status.started is not False


def _init_done(raw: Json, status: ContainerStatus | None) -> bool:
    if status is None:
        return False
    if is_sidecar(raw):  # one that waits for its next start has started, too
        return not isinstance(status.state, Waiting) or status.last_state is not None
    return isinstance(status.state, Terminated) and status.state.exit_code == 0


def _init_failed(spec: Json, statuses: Sequence[ContainerStatus]) -> bool:
    sidecars = sidecar_names(spec)
    return any(
        isinstance(one.state, Terminated) and one.state.exit_code and one.name not in sidecars
        for one in statuses
    )


def _all_ended(status: PodStatus) -> bool:
    states = [one.state for one in status.containers]
    return bool(states) and all(isinstance(state, Terminated) for state in states)


def has_ended(spec: Json, status: PodStatus, *, deleting: bool) -> bool:
    """Return whether a pod has ended: its phase is final, and no sidecar still runs.

    A provider that reports the phase itself reports the end as a whole.
    """
    if phase_of(spec, status, deleting=deleting) not in FINAL:
        return False
    return status.phase is not None or not sidecar_runs(status)


def sidecar_runs(status: PodStatus) -> bool:
    """Return whether an init container still runs; where the others have ended, it is a sidecar."""
    return any(isinstance(one.state, Running) for one in status.init_containers)


def phase_of(spec: Json, status: PodStatus, *, deleting: bool) -> str:
    """Return the phase. A pod that is being deleted does not restart what has ended."""
    if status.phase is not None:
        return status.phase
    policy = "Never" if deleting else spec.get("restartPolicy") or "Always"
    over = deleting and _all_ended(status)  # a provider need not report completed init containers
    if not over and not initialized(spec, status.init_containers):
        failed = policy == "Never" and _init_failed(spec, status.init_containers)
        return "Failed" if failed else "Pending"
    states = {one.name: one for one in status.containers}
    running = stopped = succeeded = 0
    for raw in spec.get("containers") or ():
        one = states.get(raw["name"])
        if one is None or (isinstance(one.state, Waiting) and one.last_state is None):
            return "Pending"
        if isinstance(one.state, Running):
            running += 1
        else:
            ended = one.state if isinstance(one.state, Terminated) else one.last_state
            waits = isinstance(one.state, Waiting)
            stopped += 1
            succeeded += bool(ended and ended.exit_code == 0 and not waits)
    if running or policy == "Always":
        return "Running"
    if stopped == succeeded:
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"
