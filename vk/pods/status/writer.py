"""The only writer of pod status and the only remover of pod objects at the API server.

Each write carries the pod's UID as a precondition. Events follow a write that succeeded, never
precede it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import attrs

from vk.cluster.client import Client
from vk.cluster.resources import PODS
from vk.errors import ConflictError, InvalidObjectError, ObjectNotFoundError
from vk.models.api_object import status_of
from vk.models.keys import PodKey
from vk.models.pod import Json
from vk.models.time import parse_time
from vk.provider import Emit

__all__ = ["StatusWriter", "is_gone"]

log = logging.getLogger(__name__)

_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


@attrs.define(eq=False, kw_only=True)
class StatusWriter:
    """Writes status patches. Counts its writes, for tests and benchmarks."""

    client: Client
    emit: Emit
    started: Callable[[float], None] = lambda seconds: None
    """Called with the seconds that a pod took from its creation to the write of Running."""
    written: int = 0

    async def write(self, key: PodKey, before: Json, patch: Mapping[str, Any]) -> Json | None:
        """Write a patch that was made from ``before``; return the object, None: the pod is gone.

        Raises ClusterError for every other failure.
        """
        try:
            pod: dict[str, Any] = await self.client.patch(
                PODS, key.name, patch, namespace=key.namespace, subresource="status"
            )
        except (ConflictError, InvalidObjectError, ObjectNotFoundError):
            if not await is_gone(self.client, key):
                raise
            return None
        self.written += 1
        pod["metadata"].pop("managedFields", None)
        self._emit_changes(key, before, patch["status"])
        old = status_of(before).get("phase")
        if patch["status"].get("phase") == "Running" and old != "Running":
            made = parse_time(pod["metadata"].get("creationTimestamp"))
            if made is not None:
                self.started(max(0.0, (datetime.now(UTC) - made).total_seconds()))
        return pod

    async def annotate(self, key: PodKey, annotations: Mapping[str, str]) -> None:
        """Put annotations on the pod; nothing happens where it is gone or another one."""
        body = {"metadata": {"uid": key.uid, "annotations": dict(annotations)}}
        with suppress(ObjectNotFoundError, ConflictError, InvalidObjectError):
            await self.client.patch(
                PODS, key.name, body, namespace=key.namespace, subresource="status"
            )

    async def remove(self, key: PodKey) -> bool:
        """Remove the API object, if it is still this pod; return False where it was gone already.

        Raises ClusterError.
        """
        try:
            await self.client.delete(
                PODS, key.name, namespace=key.namespace, uid=key.uid, grace_period=0
            )
        except (ObjectNotFoundError, ConflictError):
            if not await is_gone(self.client, key):
                raise
            return False
        log.info("pod removed", extra={"pod": str(key), "uid": key.uid})
        return True

    def _emit_changes(self, key: PodKey, before: Json, written: Json) -> None:
        """Emit the kubelet's events for what the write changed, also of runs that are over."""
        for field in _STATUSES:
            known = status_of(before).get(field) or ()
            olds = {one["name"]: one for one in known}
            for one in written.get(field) or ():
                name, old = one["name"], olds.get(one["name"], {})
                if _has_started(one, old):
                    self.emit(key, "Normal", "Created", f"Created container {name}")
                    self.emit(key, "Normal", "Started", f"Started container {name}")
                if (wait := _back_off(one)) is not None and wait != _back_off(old):
                    text = f"Back-off restarting failed container {name}"
                    self.emit(key, "Warning", "BackOff", text)


def _has_started(one: Json, old: Json) -> bool:
    """Return whether a run began, not merely its time became known or is not given any more."""
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


async def is_gone(client: Client, key: PodKey) -> bool:
    """Return whether the pod is gone, by a live read: a refused write proves nothing.

    Raises ClusterError where the read fails.
    """
    try:
        found = await client.get(PODS, key.name, namespace=key.namespace)
    except ObjectNotFoundError:
        return True
    return bool(found["metadata"]["uid"] != key.uid)
