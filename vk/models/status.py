"""The status of a pod as a provider reports it: container states, addresses, reasons.

A provider returns these from every call and yields them from `watch_pods`. Phase and conditions
are computed from the containers (`vk.pods.status.desired`) unless the provider gives them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import attrs

from vk.models.keys import PodKey
from vk.models.pod import Json, Pod
from vk.models.time import now, parse_time
from vk.models.tuples import as_tuple

__all__ = [
    "Condition",
    "ContainerState",
    "ContainerStatus",
    "Gone",
    "PodChange",
    "PodStatus",
    "Running",
    "Terminated",
    "Unplaced",
    "Waiting",
]


@attrs.frozen
class Waiting:
    """The container does not run yet, or waits for its restart."""

    reason: str = "ContainerCreating"
    message: str = ""


@attrs.frozen
class Running:
    """The container runs since ``started_at`` (None: not known)."""

    started_at: datetime | None = None


@attrs.frozen
class Terminated:
    """The container ended. ``reason`` defaults to Completed or Error by the exit code."""

    exit_code: int
    reason: str = attrs.field()
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @reason.default
    def _default_reason(self) -> str:
        return "Completed" if self.exit_code == 0 else "Error"


ContainerState = Waiting | Running | Terminated


@attrs.frozen(kw_only=True)
class ContainerStatus:
    """The state of one container.

    ``ready`` None means ready while running, ``started`` None: started while running (a container
    whose startup probe has not succeeded is not). ``restart_count`` None: the core counts.
    ``image`` None: the one of the spec.
    """

    name: str
    state: ContainerState
    ready: bool | None = None
    started: bool | None = None
    restart_count: int | None = None
    last_state: Terminated | None = None
    image: str | None = None
    image_id: str = ""
    container_id: str = ""


@attrs.frozen(kw_only=True)
class Condition:
    """One condition of a pod or node; ``status`` is True, False or Unknown, as text."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition: datetime | None = None


@attrs.frozen(kw_only=True)
class PodStatus:
    """The complete status of one pod at the backend: an empty field means "not known".

    ``phase`` and ``conditions`` need not be given: they follow from the containers. ``annotations``
    are written to the pod and kept there. ``backend_id`` is the backend's name for the workload.
    """

    key: PodKey = attrs.field(kw_only=False)
    containers: tuple[ContainerStatus, ...] = attrs.field(default=(), converter=as_tuple)
    init_containers: tuple[ContainerStatus, ...] = attrs.field(default=(), converter=as_tuple)
    ephemeral_containers: tuple[ContainerStatus, ...] = attrs.field(default=(), converter=as_tuple)
    pod_ips: tuple[str, ...] = attrs.field(default=(), converter=as_tuple)
    host_ips: tuple[str, ...] = attrs.field(default=(), converter=as_tuple)
    phase: str | None = None
    conditions: tuple[Condition, ...] = attrs.field(default=(), converter=as_tuple)
    reason: str = ""
    message: str = ""
    annotations: Mapping[str, str] = attrs.field(factory=dict)
    created_at: datetime | None = None
    backend_id: str = ""

    @classmethod
    def running(cls, pod: Pod, *, pod_ips: Sequence[str] = ()) -> PodStatus:
        """Return a status with all containers running since now, and init containers completed."""
        moment = now()
        return cls(
            pod.key,
            containers=tuple(
                ContainerStatus(name=container.name, state=Running(moment))
                for container in pod.containers
            ),
            init_containers=tuple(
                ContainerStatus(name=container.name, state=_started(container.raw, moment))
                for container in pod.init_containers
            ),
            pod_ips=tuple(pod_ips),
            created_at=moment,
        )

    @classmethod
    def from_json(cls, key: PodKey, status: Json) -> PodStatus:
        """Return a status read from that of a Kubernetes pod, for backends with its API."""
        return cls(
            key,
            containers=_containers(status.get("containerStatuses")),
            init_containers=_containers(status.get("initContainerStatuses")),
            ephemeral_containers=_containers(status.get("ephemeralContainerStatuses")),
            pod_ips=_ips(status, "podIP"),
            host_ips=_ips(status, "hostIP"),
            phase=status.get("phase"),
            reason=status.get("reason") or "",
            message=status.get("message") or "",
            conditions=tuple(_conditions(status.get("conditions"))),
            created_at=parse_time(status.get("startTime")),
        )


@attrs.frozen
class Gone:
    """The backend is known to hold nothing for ``key`` any more."""

    key: PodKey
    reason: str = ""


@attrs.frozen(kw_only=True)
class Unplaced:
    """The workload never ran and the backend holds nothing for it: the core creates it again.

    The pod stays Pending and shows ``reason`` and ``message``; the next try comes after
    ``retry_after`` seconds, or the core's backoff.
    """

    key: PodKey = attrs.field(kw_only=False)
    reason: str
    message: str = ""
    retry_after: float | None = None


PodChange = PodStatus | Gone | Unplaced


def _started(raw: Json, moment: datetime) -> ContainerState:
    sidecar = raw.get("restartPolicy") == "Always"
    return Running(moment) if sidecar else Terminated(0, started_at=moment, finished_at=moment)


def _containers(raw: Iterable[Json] | None) -> tuple[ContainerStatus, ...]:
    return tuple(
        ContainerStatus(
            name=status["name"],
            state=_state(status.get("state")),
            ready=status.get("ready"),
            started=status.get("started"),
            restart_count=status.get("restartCount"),
            last_state=_last_state(status.get("lastState")),
            image=status.get("image"),
            image_id=status.get("imageID") or "",
            container_id=status.get("containerID") or "",
        )
        for status in raw or ()
    )


def _state(raw: Json | None) -> ContainerState:
    raw = raw or {}
    if "terminated" in raw:
        return _terminated(raw["terminated"] or {})
    if "running" in raw:
        return Running(parse_time((raw["running"] or {}).get("startedAt")))
    waiting = raw.get("waiting") or {}
    return Waiting(waiting.get("reason") or "", waiting.get("message") or "")


def _last_state(raw: Json | None) -> Terminated | None:
    terminated = (raw or {}).get("terminated")
    return _terminated(terminated) if terminated else None


def _terminated(raw: Json) -> Terminated:
    return Terminated(
        int(raw.get("exitCode") or 0),
        reason=raw.get("reason") or "",
        message=raw.get("message") or "",
        started_at=parse_time(raw.get("startedAt")),
        finished_at=parse_time(raw.get("finishedAt")),
    )


def _conditions(raw: Iterable[Json] | None) -> Iterable[Condition]:
    for condition in raw or ():
        yield Condition(
            type=condition["type"],
            status=condition["status"],
            reason=condition.get("reason") or "",
            message=condition.get("message") or "",
            last_transition=parse_time(condition.get("lastTransitionTime")),
        )


def _ips(status: Json, field: str) -> tuple[str, ...]:
    several = tuple(entry["ip"] for entry in status.get(field + "s") or ())
    return several or ((status[field],) if status.get(field) else ())
