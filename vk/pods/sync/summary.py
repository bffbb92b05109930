"""A summary of this node's pods for `vk status`: what each waits for, and until when. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from math import inf
from typing import Any

from vk.models.time import format_time
from vk.pods.sync.records import ProviderState, Record

__all__ = ["pod_summaries"]


def pod_summaries(records: Iterable[Record], *, now: float, wall: datetime) -> list[dict[str, Any]]:
    """Return one entry a pod, those with a problem first.

    ``now`` is the time of the loop's clock, ``wall`` the same moment.
    """
    entries = [_entry(record, now, wall) for record in records]
    return sorted(
        entries, key=lambda one: ("reason" not in one, one["namespace"], one["name"], one["uid"])
    )


def _entry(record: Record, now: float, wall: datetime) -> dict[str, Any]:
    key, pod = record.key, record.pod
    phase = ((pod or {}).get("status") or {}).get("phase")
    entry: dict[str, Any] = {
        "namespace": key.namespace,
        "name": key.name,
        "uid": key.uid,
        "phase": phase or "Unknown",
        "held": record.provider_state.value,
    }
    if pod is None or pod["metadata"].get("deletionTimestamp"):
        entry["deleting"] = True
    reason, message = _reason(record)
    if reason:
        entry |= {"reason": reason, "message": message}
    waits = bool(reason) or record.delete_failed or record.provider_state is ProviderState.UNCERTAIN
    if waits and now < record.retry_at < inf and record.failure is None:
        entry["nextTry"] = format_time(wall + timedelta(seconds=record.retry_at - now))
    return entry


def _reason(record: Record) -> tuple[str, str]:
    if record.failure is not None:
        return record.failure.reason, record.failure.message
    if record.waiting is not None and record.provider_state is not ProviderState.PRESENT:
        return record.waiting
    if record.delete_failed:
        return "ProviderDeleteFailed", "the provider could not delete the pod"
    if record.provider_state is ProviderState.UNCERTAIN:
        return "OutcomeUnknown", "whether the provider has created the pod is not known"
    return "", ""
