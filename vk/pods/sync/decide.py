"""What one task does next for one pod. Pure: reads a record, changes nothing.

`vk.pods.sync.reconciler` asks again after each step, so each decision is one small step and a crash
between two of them loses nothing.
"""

from __future__ import annotations

from math import isinf
from typing import ClassVar

import attrs

from vk.models.api_object import spec_of, status_of
from vk.models.pod import Json
from vk.models.status import Terminated
from vk.models.time import parse_time
from vk.pods.status.phase import FINAL, has_ended, is_final, phase_of, sidecar_runs
from vk.pods.sync.changes import changed_fields
from vk.pods.sync.records import ProviderState, Record

SIDECARS_END = 10.0
"""Seconds beyond the grace period for a provider to end the sidecars of a finished pod itself."""

__all__ = [
    "Create",
    "Decision",
    "Delete",
    "Forget",
    "Lookup",
    "Lost",
    "Remove",
    "Update",
    "UpdateFiles",
    "Wait",
    "all_ended",
    "deadline_left",
    "decide",
]


@attrs.frozen
class Decision:
    """One step. Its class says which calls it shares a limit with, and what it may overtake."""

    limit: ClassVar[str] = ""
    """The limit on calls in flight that the step counts for; empty: none."""
    ends_workload: ClassVar[bool] = False
    """It is taken although the pod's status cannot be written: an end never waits for that."""


@attrs.frozen
class Create(Decision):
    """Create the pod at the provider."""

    limit = "create"


@attrs.frozen
class Update(Decision):
    """Apply changes: fields of the spec, of containers also the fields in them."""

    limit = "create"
    changed: frozenset[str]


@attrs.frozen
class UpdateFiles(Decision):
    """Give the provider the files of volumes that changed."""

    limit = "create"


@attrs.frozen
class Delete(Decision):
    """Ask the provider to end the workload."""

    limit, ends_workload = "delete", True
    grace_period: float


@attrs.frozen
class Lookup(Decision):
    """Find out whether a create took effect."""

    limit, ends_workload = "lookup", True


@attrs.frozen
class Lost(Decision):
    """The workload is proved gone although its deletion was not requested."""

    ends_workload = True


@attrs.frozen
class Remove(Decision):
    """Remove the API object: its workload has ended."""


@attrs.frozen
class Forget(Decision):
    """Nothing is left of this pod, neither at the API server nor at the provider."""


@attrs.frozen
class Wait(Decision):
    """Nothing to do before ``seconds`` have passed (None: before something changes)."""

    seconds: float | None = None


def decide(record: Record, *, now: float, wall: float, deadline: float | None = None) -> Decision:
    """Return the next step. ``now`` is the loop's clock, ``wall`` seconds since 1970.

    ``deadline`` is what `deadline_left` returned, None where the core does not enforce it.
    A status update comes before every step but is not one of them: the caller writes it first.
    """
    pod = record.pod
    if pod is None:
        return _without_object(record, now)
    if record.provider_state is ProviderState.UNKNOWN:
        return Wait()
    if record.provider_state is ProviderState.UNCERTAIN:
        return _paused(record, now) or Lookup()
    if pod["metadata"].get("deletionTimestamp"):
        return _deleting(record, pod, now)
    if is_final(pod):
        return _ended(record, pod, now)
    if record.failure is not None:
        return _ended(record, pod, now)  # the report has written it, if it could be written
    if record.provider_state is ProviderState.ABSENT:
        taken = record.applied is not None or status_of(pod).get("startTime")
        if taken and not record.recreatable:
            return Lost()
        return _paused(record, now) or Create()
    if _workload_ended(record):
        return _end_sidecars(record, pod, now, wall)
    changed = changed_fields(record.applied, pod, own=record.own_annotations)
    paused = _paused(record, now) if changed else None
    if changed and paused is None:
        return Update(changed)
    if record.changed_files:
        return UpdateFiles()  # tokens end, however long a change has to wait
    return Wait(deadline) if paused is None else _sooner(paused, deadline)


def _paused(record: Record, now: float) -> Wait | None:
    if isinf(record.retry_at):
        return Wait()
    return Wait(record.retry_at - now) if record.retry_at > now else None


def _sooner(paused: Wait, left: float | None) -> Wait:
    if left is None or (paused.seconds is not None and paused.seconds <= left):
        return paused
    return Wait(left)


def _without_object(record: Record, now: float) -> Decision:
    """No API object: a DELETED event for a pod that this process knew is proof by itself."""
    if record.provider_state in (ProviderState.ABSENT, ProviderState.UNKNOWN):
        return Forget()
    if record.provider_state is ProviderState.UNCERTAIN:
        return _paused(record, now) or Lookup()
    if all_ended(record):
        return Forget() if record.delete_confirmed else _confirm_delete(record, 0.0, now)
    paused = _paused(record, now) if record.delete_grace == 0.0 or record.delete_failed else None
    return paused or Delete(0.0)


def _deleting(record: Record, pod: Json, now: float) -> Decision:
    if record.removed:
        return Wait()  # a finalizer keeps the object
    if record.provider_state is ProviderState.ABSENT:
        return Remove()
    grace = pod["metadata"].get("deletionGracePeriodSeconds")
    grace = 30.0 if grace is None else float(grace)
    if all_ended(record):
        return Remove() if record.delete_confirmed else _confirm_delete(record, grace, now)
    shrunk = record.delete_tried is not None and grace < record.delete_tried
    if not shrunk:
        paused = _paused(record, now)
        if paused is not None:
            return paused
    return Delete(grace)


def _confirm_delete(record: Record, grace_period: float, now: float) -> Decision:
    """Delete what has ended once more: what is left of it would be an orphan.

    The wait for a grace period is over with the workload; only a failed delete is waited for.
    """
    paused = _paused(record, now) if record.delete_failed else None
    return paused or Delete(grace_period)


def _ended(record: Record, pod: Json, now: float) -> Decision:
    """A terminal pod keeps its finished workload; a running one has lost its reason to run."""
    if record.provider_state is not ProviderState.PRESENT or _is_over(record, pod):
        return Wait()
    if record.status is None and record.failure is None:
        return Wait()  # there is no report that it still runs
    return _paused(record, now) or Delete(_grace(pod))


def _is_over(record: Record, pod: Json) -> bool:
    status, deleting = record.status, record.delete_grace is not None
    return status is not None and has_ended(spec_of(pod), status, deleting=deleting)


def _end_sidecars(record: Record, pod: Json, now: float, wall: float) -> Decision:
    """End what runs beside a workload that has ended, where the provider does not."""
    assert record.status is not None
    states = [one.state for one in record.status.containers]
    ends = [one.finished_at for one in states if isinstance(one, Terminated)]
    last = max((end.timestamp() for end in ends if end is not None), default=wall)
    left = last + _grace(pod) + SIDECARS_END - wall
    if left > 0:
        return Wait(left)
    return _paused(record, now) or Delete(_grace(pod))


def _grace(pod: Json) -> float:
    seconds = spec_of(pod).get("terminationGracePeriodSeconds")
    return 30.0 if seconds is None else float(seconds)


def all_ended(record: Record) -> bool:
    """Return whether the provider reported that the workload, sidecars included, has ended."""
    ended = _workload_ended(record)
    return ended and (record.status is None or not sidecar_runs(record.status))


def _workload_ended(record: Record) -> bool:
    if record.status is None:
        return False
    if record.pod is None:
        return record.status.phase in FINAL or all(
            isinstance(one.state, Terminated) for one in record.status.containers
        )
    spec = spec_of(record.pod)
    deleting = record.delete_grace is not None
    if not record.status.containers and record.status.phase is None:
        return False
    return phase_of(spec, record.status, deleting=deleting) in FINAL


def deadline_left(record: Record, wall: float) -> float | None:
    """Return the seconds until the pod's activeDeadlineSeconds have passed.

    None: it has no deadline, or it ended before.
    """
    pod = record.pod or {"metadata": {}}
    deadline = spec_of(pod).get("activeDeadlineSeconds")
    started = parse_time(status_of(pod).get("startTime"))
    if deadline is None or started is None:
        return None
    moment = started.timestamp() + float(deadline)
    if record.status is not None and _is_over(record, pod):
        states = [one.state for one in record.status.containers]
        ends = [one.finished_at for one in states if isinstance(one, Terminated)]
        if all(end is not None and end.timestamp() < moment for end in ends):
            return None
    return moment - wall
