"""The only writer of pod status and the only remover of pod objects at the API server.

Skips what is equal, carries the UID as precondition, and says what happened in events afterwards,
never before.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import attrs

from vk.cluster.client import Client
from vk.cluster.resources import PODS
from vk.errors import ConflictError, InvalidObjectError, ObjectNotFoundError
from vk.models.keys import PodKey
from vk.models.pod import Json
from vk.models.status import Condition
from vk.models.time import now, parse_time
from vk.pods.admission import DEFERRED
from vk.pods.status.conditions import ACCEPTED
from vk.pods.status.desired import desired
from vk.pods.status.facts import Facts
from vk.pods.status.patch import difference
from vk.pods.status.phase import is_final
from vk.pods.sync.records import Held, Record
from vk.provider import Emit

__all__ = ["Report", "is_gone"]

log = logging.getLogger(__name__)

_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


@attrs.define(eq=False, kw_only=True)
class Report:
    """Writes what differs. Counts its writes, for tests and benchmarks."""

    client: Client
    emit: Emit
    started: Callable[[float], None] = lambda seconds: None
    """Told how long a pod took to start, from being made to the write that says Running."""
    host_ips: Callable[[], tuple[str, ...]] = tuple
    """The node's addresses."""
    written: int = 0

    def patch(self, record: Record) -> dict[str, Any] | None:
        """Return the patch that the record calls for, None where there is nothing to write."""
        pod = record.pod
        if pod is None or not _has_news(record, pod):
            return None
        inputs = (pod, *_said(record))
        if record.judged is not None and all(map(operator.is_, record.judged[0], inputs)):
            return record.judged[1]
        patch = difference(pod, desired(pod, self._facts(record, pod), now()), record.annotations)
        record.judged = (inputs, patch)
        return patch

    async def write(self, record: Record, patch: dict[str, Any]) -> None:
        """Write one patch; raises ClusterError, other than that the pod is gone."""
        before, key = record.pod, record.key
        assert before is not None
        said = _said(record)
        try:
            pod = await self.client.patch(
                PODS, key.name, patch, namespace=key.namespace, subresource="status"
            )
        except (ConflictError, InvalidObjectError, ObjectNotFoundError):
            if not await is_gone(self.client, key):
                raise
            record.pod = None
            return
        self.written += 1
        pod["metadata"].pop("managedFields", None)
        if record.pod is before:  # else the watch was faster, and has this object or a newer one
            record.pod = pod
        if record.pod is not None and _version(record.pod) == _version(pod):
            record.judged = ((record.pod, *said), None)
        self._tell(record, before, patch["status"])
        old = (before.get("status") or {}).get("phase")
        if patch["status"].get("phase") == "Running" and old != "Running":
            made = parse_time(pod["metadata"].get("creationTimestamp"))
            if made is not None:
                self.started(max(0.0, (datetime.now(UTC) - made).total_seconds()))

    async def annotate(self, key: PodKey, annotations: Mapping[str, str]) -> None:
        """Put annotations on the pod; nothing happens where it is gone or another one."""
        body = {"metadata": {"uid": key.uid, "annotations": dict(annotations)}}
        with suppress(ObjectNotFoundError, ConflictError, InvalidObjectError):
            await self.client.patch(
                PODS, key.name, body, namespace=key.namespace, subresource="status"
            )

    async def remove(self, record: Record) -> None:
        """Remove the API object, if it is still this pod."""
        key = record.key
        try:
            await self.client.delete(
                PODS, key.name, namespace=key.namespace, uid=key.uid, grace_period=0
            )
        except (ObjectNotFoundError, ConflictError):
            if not await is_gone(self.client, key):
                raise
            record.pod = None
            return
        record.removed = True
        log.info("pod removed", extra={"pod": str(key), "uid": key.uid})

    def _facts(self, record: Record, pod: Json) -> Facts:
        deleting = bool(pod["metadata"].get("deletionTimestamp"))
        absent = record.held is Held.ABSENT
        return Facts(
            status=record.status,
            verdict=record.verdict,
            problem=record.problem if absent and not deleting else None,
            gone=absent and deleting,
            host_ips=self.host_ips(),
            accepted=record.held is Held.PRESENT,
            observed_generation=record.observed_generation,
            last_update=_last_update(record, pod),
            granted=record.granted,
        )

    def _tell(self, record: Record, before: Json, written: Json) -> None:
        """Emit the kubelet's events for what the write changed, also of runs that are over."""
        for field in _STATUSES:
            known = (before.get("status") or {}).get(field) or ()
            olds = {one["name"]: one for one in known}
            for one in written.get(field) or ():
                name, old = one["name"], olds.get(one["name"], {})
                if _has_started(one, old):
                    self.emit(record.key, "Normal", "Created", f"Created container {name}")
                    self.emit(record.key, "Normal", "Started", f"Started container {name}")
                if (wait := _back_off(one)) is not None and wait != _back_off(old):
                    text = f"Back-off restarting failed container {name}"
                    self.emit(record.key, "Warning", "BackOff", text)


def _has_started(one: Json, old: Json) -> bool:
    """Say whether a run began; that its time becomes known, or is no longer said, is none."""
    start, known = _start(one), _start(old)
    if start is None or start == known:
        return False
    return known is None or bool(start and known) or one["restartCount"] != old.get("restartCount")


def _start(status: Json) -> str | None:
    """Return when the container's newest run began (empty: not known), None: there was none."""
    state, last = status.get("state") or {}, status.get("lastState") or {}
    if (running := state.get("running")) is not None:
        return running.get("startedAt") or ""
    ended = state.get("terminated") or last.get("terminated") or {}
    return ended.get("startedAt") or None


def _back_off(status: Json) -> int | None:
    """Return after how many restarts the container waits for its next start, None: it does not."""
    waiting = (status.get("state") or {}).get("waiting") or {}
    return status.get("restartCount") if waiting.get("reason") == "CrashLoopBackOff" else None


def _version(pod: Json) -> object:
    return pod["metadata"].get("resourceVersion")


def _has_news(record: Record, pod: Json) -> bool:
    if is_final(pod):
        return False
    if record.verdict is not None or record.problem is not None:
        return True
    if record.held is Held.PRESENT:
        return True
    return record.held is Held.ABSENT and bool(pod["metadata"].get("deletionTimestamp"))


def _last_update(record: Record, pod: Json) -> Condition | None:
    """Return what became of the last update; one that waited and is no longer asked for is over."""
    last, accepted = record.last_update, record.accepted
    if last is None or last.reason != DEFERRED or accepted is None:
        return last
    return ACCEPTED if accepted.spec == (pod.get("spec") or {}) else last


async def is_gone(client: Client, key: PodKey) -> bool:
    """Say whether the pod is no more, by a read of this moment: a refused write proves nothing.

    Raises ClusterError where the API server cannot tell.
    """
    try:
        found = await client.get(PODS, key.name, namespace=key.namespace)
    except ObjectNotFoundError:
        return True
    return bool(found["metadata"]["uid"] != key.uid)


def _said(record: Record) -> tuple[object, ...]:
    """Return what else than the pod a report follows from; compared by identity."""
    return (
        record.status,
        record.verdict,
        record.problem,
        record.held,
        record.last_update,
        record.granted,
    )
