"""What one task does next for one pod. Pure: reads a record, changes nothing.

`vk.pods.sync.reconciler` asks again after each step, so each decision is one small step and a crash
between two of them loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf

import attrs

from vk.models.pod import Json
from vk.models.status import Running, Terminated
from vk.models.time import parse_time
from vk.pods.status.phase import FINAL, is_final, phase_of
from vk.pods.sync.records import Accepted, Held, Record

__all__ = [
    "CONTAINERS",
    "IMAGES",
    "RESOURCES",
    "Create",
    "Decision",
    "Delete",
    "Expire",
    "Forget",
    "GiveFiles",
    "Lookup",
    "Lost",
    "Remove",
    "Update",
    "Wait",
    "decide",
]


CONTAINERS = frozenset({"spec.containers", "spec.initContainers"})
IMAGES = frozenset({"spec.containers[].image", "spec.initContainers[].image"})
RESOURCES = frozenset({"spec.containers[].resources", "spec.initContainers[].resources"})


@attrs.frozen
class Create:
    """Give the pod to the provider."""


@attrs.frozen
class Update:
    """Tell the provider what changed: fields of the spec, of containers also what in them."""

    changed: frozenset[str]


@attrs.frozen
class GiveFiles:
    """Give the provider files of volumes that changed."""


@attrs.frozen
class Delete:
    """Ask the provider to end the workload."""

    grace_period: float


@attrs.frozen
class Lookup:
    """Find out whether a create took effect."""


@attrs.frozen
class Lost:
    """The workload is proved gone although nobody asked for that."""


@attrs.frozen
class Expire:
    """The pod has run longer than its activeDeadlineSeconds."""


@attrs.frozen
class Remove:
    """Remove the API object: its workload has ended."""


@attrs.frozen
class Forget:
    """Nothing is left of this pod, here or there."""


@attrs.frozen
class Wait:
    """Nothing to do before ``seconds`` have passed (None: before something changes)."""

    seconds: float | None = None


Decision = Create | Update | GiveFiles | Delete | Lookup | Lost | Expire | Remove | Forget | Wait


def decide(record: Record, *, now: float, wall: float, enforce_deadline: bool) -> Decision:
    """Return the next step. ``now`` is the loop's clock, ``wall`` seconds since 1970.

    A report comes before every step but is not one of them: the caller writes what differs first.
    """
    pod = record.pod
    if pod is None:
        return _unasked(record, now)
    if record.held is Held.UNKNOWN:
        return Wait()
    if record.held is Held.UNCERTAIN:
        return _paused(record, now) or Lookup()
    if pod["metadata"].get("deletionTimestamp"):
        return _deleting(record, pod, now)
    if is_final(pod):
        return _ended(record, pod, now)
    if record.verdict is not None:
        return _ended(record, pod, now)  # the report has written it, if it could be written
    left = _left(pod, wall) if enforce_deadline else None
    if left is not None and left <= 0:
        return Expire()
    if record.held is Held.ABSENT:
        taken = record.accepted is not None or (pod.get("status") or {}).get("startTime")
        if taken and not record.unplaced:
            return Lost()
        return _paused(record, now) or Create()
    changed = _changed(record, pod)
    paused = _paused(record, now) if changed else None
    if changed and paused is None:
        return Update(changed)
    if record.fresh_files:
        return GiveFiles()  # tokens end, however long a change has to wait
    return Wait(left) if paused is None else _sooner(paused, left)


def _paused(record: Record, now: float) -> Wait | None:
    if isinf(record.retry_at):
        return Wait()
    return Wait(record.retry_at - now) if record.retry_at > now else None


def _sooner(paused: Wait, left: float | None) -> Wait:
    if left is None or (paused.seconds is not None and paused.seconds <= left):
        return paused
    return Wait(left)


def _unasked(record: Record, now: float) -> Decision:
    """No API object: a DELETED event for a pod that this process knew is proof by itself."""
    if record.held in (Held.ABSENT, Held.UNKNOWN):
        return Forget()
    if record.held is Held.UNCERTAIN:
        return _paused(record, now) or Lookup()
    if record.delete_grace is not None and _workload_ended(record):
        return Forget()
    paused = _paused(record, now) if record.delete_grace == 0.0 or record.failed_delete else None
    return paused or Delete(0.0)


def _deleting(record: Record, pod: Json, now: float) -> Decision:
    if record.removed:
        return Wait()  # somebody's finalizer keeps the object
    if record.held is Held.ABSENT:
        return Remove()
    if record.delete_grace is not None and _workload_ended(record) and not _sidecar_runs(record):
        return Remove()
    grace = pod["metadata"].get("deletionGracePeriodSeconds")
    grace = 30.0 if grace is None else float(grace)
    shrunk = record.delete_tried is not None and grace < record.delete_tried
    if not shrunk:
        paused = _paused(record, now)
        if paused is not None:
            return paused
    return Delete(grace)


def _ended(record: Record, pod: Json, now: float) -> Decision:
    """A terminal pod keeps its finished workload; a running one has lost its reason to run."""
    if record.held is not Held.PRESENT or _workload_ended(record):
        return Wait()
    if record.status is None and record.verdict is None:
        return Wait()  # nothing says that it still runs
    return _paused(record, now) or Delete(float(_grace(pod)))


def _grace(pod: Json) -> float:
    seconds = (pod.get("spec") or {}).get("terminationGracePeriodSeconds")
    return 30.0 if seconds is None else float(seconds)


def _workload_ended(record: Record) -> bool:
    if record.status is None:
        return False
    if record.pod is None:
        return record.status.phase in FINAL or all(
            isinstance(one.state, Terminated) for one in record.status.containers
        )
    spec = record.pod.get("spec") or {}
    deleting = record.delete_grace is not None
    if not record.status.containers and record.status.phase is None:
        return False
    return phase_of(spec, record.status, deleting=deleting) in FINAL


def _sidecar_runs(record: Record) -> bool:
    """Say whether one still ends; the phase does not wait for that."""
    status = record.status
    return status is not None and any(
        isinstance(one.state, Running) for one in status.init_containers
    )


def _left(pod: Json, wall: float) -> float | None:
    deadline = (pod.get("spec") or {}).get("activeDeadlineSeconds")
    started = parse_time((pod.get("status") or {}).get("startTime"))
    if deadline is None or started is None:
        return None
    return started.timestamp() + float(deadline) - wall


def _changed(record: Record, pod: Json) -> frozenset[str]:
    accepted = record.accepted
    if accepted is None:
        return frozenset()
    if accepted.spec is (pod.get("spec") or {}):
        return frozenset()
    current = Accepted.of(pod)
    changed = set()
    if current.spec != accepted.spec:
        before, after = accepted.spec, current.spec
        names = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        changed = {f"spec.{name}" for name in names}
        for name in names & {"containers", "initContainers"}:
            changed |= _in_containers(name, before.get(name) or (), after.get(name) or ())
    if current.labels != accepted.labels:
        changed.add("metadata.labels")
    ours = record.annotations
    if _others(current.annotations, ours) != _others(accepted.annotations, ours):
        changed.add("metadata.annotations")
    return frozenset(changed)


def _in_containers(group: str, before: Sequence[Json], after: Sequence[Json]) -> set[str]:
    known = {one["name"]: one for one in before}
    return {
        f"spec.{group}[].{field}"
        for one in after
        for field in {*one, *known.get(one["name"], {})}
        if one.get(field) != known.get(one["name"], {}).get(field)
    }


def _others(annotations: Json, ours: Json) -> Json:
    if not ours:
        return annotations
    return {name: text for name, text in annotations.items() if name not in ours}
