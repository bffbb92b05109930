"""Events for `kubectl describe`: handed in from anywhere, written at a bounded rate.

In: `EventRecorder.emit`, which never waits. Out: core/v1 Events, created, and patched with a higher
count when the same happens again. RBAC: create and patch of events. Events are a courtesy: where
the API server cannot take them they are dropped and counted, Normal ones first.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from time import monotonic
from typing import Any

import attrs

from vk.aio.backoff import Backoff
from vk.cluster.client import Client
from vk.cluster.rate_limiter import RateLimiter
from vk.cluster.resources import EVENTS
from vk.errors import (
    ClusterError,
    ConflictError,
    ObjectNotFoundError,
    ThrottledError,
    UnavailableError,
)
from vk.models.keys import PodKey
from vk.models.time import format_time, now

__all__ = ["EventRecorder"]

log = logging.getLogger(__name__)

Identity = tuple[str, ...]

_QUEUE = 1000
_REMEMBERED = 4096
_RATE, _BURST = 50.0, 100  # a second
_ATTEMPTS = 12  # while the API server is away: some 5 minutes
_LOG_EVERY = 60.0
_LONGEST_MESSAGE = 1024  # what the API server accepts
_LONGEST_REASON = 128


@attrs.define(eq=False)
class _Pending:
    """One event that waits: ``count`` is how often it happened while it did."""

    identity: Identity
    reference: Mapping[str, str]
    type: str
    reason: str
    message: str
    once: bool
    first: datetime
    last: datetime
    count: int = 1
    attempts: int = 0
    name: str = ""
    """Given when it is first written: most of a burst's events are folded or dropped before."""


@attrs.define(eq=False)
class _Sent:
    name: str
    count: int


@attrs.define(eq=False)
class EventRecorder:
    """Writes events of one component on one node. ``dropped`` counts those that were lost."""

    _client: Client = attrs.field(repr=False)
    _component: str
    _node_name: str
    dropped: int = attrs.field(default=0, init=False)
    _warnings: OrderedDict[Identity, _Pending] = attrs.field(
        factory=OrderedDict, init=False, repr=False
    )
    _normals: OrderedDict[Identity, _Pending] = attrs.field(
        factory=OrderedDict, init=False, repr=False
    )
    _sent: OrderedDict[Identity, _Sent] = attrs.field(factory=OrderedDict, init=False, repr=False)
    _wake: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)
    _flying: Identity | None = attrs.field(default=None, init=False, repr=False)
    _logged: float = attrs.field(default=float("-inf"), init=False)

    def emit(
        self,
        reference: Mapping[str, str],
        type: str,
        reason: str,
        message: str,
        *,
        id: str | None = None,
    ) -> None:
        """Hand in an event about the object that ``reference`` names.

        ``reference`` has kind, namespace, name, uid, apiVersion; ``type`` is Normal or Warning.
        Equal events are folded into one with a count. With ``id`` the event of that object is
        written once and never again, also by a later process. Call it on the event loop's thread;
        it never blocks and never raises.
        """
        try:
            self._add(_pending(reference, type, reason, message, id))
        except Exception:  # an event must not break what it tells of
            log.exception("event not taken", extra={"reason": reason})

    def emit_about_pod(
        self, key: PodKey, type: str, reason: str, message: str, *, id: str | None = None
    ) -> None:
        """Hand in an event about a pod, as `emit` does."""
        reference = {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": key.namespace,
            "name": key.name,
            "uid": key.uid,
        }
        self.emit(reference, type, reason, message, id=id)

    async def run(self) -> None:
        """Write what was handed in until cancelled; errors are logged once a minute."""
        limiter = RateLimiter(_RATE, _BURST)
        backoff = Backoff(first=1.6, cap=30.0)
        while True:
            await self._wake.wait()
            queue = self._warnings or self._normals
            if not queue:
                self._wake.clear()
                continue
            await limiter.wait()
            await self._client.quiet()  # status writes go first
            queue = self._warnings or self._normals  # others may have come in while we waited
            self._flying, event = queue.popitem(last=False)
            pause = await self._deliver(event, backoff)
            self._flying = None
            await asyncio.sleep(pause)

    def _add(self, event: _Pending) -> None:
        if event.once and (event.identity in self._sent or event.identity == self._flying):
            return
        queue = self._queue(event)
        waiting = queue.get(event.identity)
        if waiting is not None:
            if not event.once:
                waiting.count += event.count
                waiting.last = event.last
            return
        if len(self._warnings) + len(self._normals) >= _QUEUE:
            self.dropped += 1
            if event.type == "Normal" or not self._normals:
                return
            self._normals.popitem(last=False)
        queue[event.identity] = event
        self._wake.set()

    def _queue(self, event: _Pending) -> OrderedDict[Identity, _Pending]:
        return self._normals if event.type == "Normal" else self._warnings

    async def _deliver(self, event: _Pending, backoff: Backoff) -> float:
        """Write ``event`` and return how long to wait before the next."""
        try:
            await self._write(event)
        except (UnavailableError, ThrottledError) as error:
            self._log(error)
            event.attempts += 1
            self._flying = None
            if event.attempts < _ATTEMPTS:
                self._add(event)  # under the same name: if it was written after all, 409 says so
            else:
                self.dropped += 1
            return max(backoff.next(), min(error.retry_after or 0.0, 60.0))
        except ClusterError as error:
            self.dropped += 1
            ending = error.reason == "NamespaceTerminating"
            if not ending and not isinstance(error, ObjectNotFoundError):
                self._log(error)
        backoff.reset()
        return 0.0

    async def _write(self, event: _Pending) -> None:
        sent = self._sent.get(event.identity)
        if sent is not None and not event.once and await self._raise_count(sent, event):
            return
        event.name = event.name or _name(event)
        body = self._document(event)
        try:
            await self._client.create(EVENTS, body, namespace=_namespace(event.reference))
        except ConflictError:
            log.debug("event was there already", extra={"event": event.name})
        self._remember(event.identity, _Sent(event.name, event.count))

    async def _raise_count(self, sent: _Sent, event: _Pending) -> bool:
        """Add to an event written before; False if the API server has forgotten it (1 h)."""
        count = sent.count + event.count
        try:
            await self._client.patch(
                EVENTS,
                sent.name,
                {"count": count, "lastTimestamp": format_time(event.last)},
                namespace=_namespace(event.reference),
            )
        except ObjectNotFoundError:
            event.count = count
            self._sent.pop(event.identity, None)
            return False
        sent.count = count
        self._sent.move_to_end(event.identity)
        return True

    def _remember(self, identity: Identity, sent: _Sent) -> None:
        self._sent[identity] = sent
        if len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)

    def _document(self, event: _Pending) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": event.name, "namespace": _namespace(event.reference)},
            "involvedObject": {key: value for key, value in event.reference.items() if value},
            "type": event.type,
            "reason": event.reason,
            "message": event.message,
            "firstTimestamp": format_time(event.first),
            "lastTimestamp": format_time(event.last),
            "count": event.count,
            "source": {"component": self._component, "host": self._node_name},
            "reportingComponent": self._component,
            "reportingInstance": self._node_name,
        }

    def _log(self, error: ClusterError) -> None:
        if monotonic() - self._logged < _LOG_EVERY:
            return
        self._logged = monotonic()
        log.warning("events not written", extra={"error": str(error), "dropped": self.dropped})


def _pending(
    reference: Mapping[str, str], type: str, reason: str, message: str, id: str | None
) -> _Pending:
    object_ = tuple(reference.get(field) or "" for field in ("kind", "namespace", "name", "uid"))
    message = message[:_LONGEST_MESSAGE]
    reason = reason[:_LONGEST_REASON]
    identity = (*object_, type, reason, message) if id is None else (*object_, "id", id)
    moment = now()
    return _Pending(
        identity=identity,
        reference=reference,
        type=type,
        reason=reason,
        message=message,
        once=id is not None,
        first=moment,
        last=moment,
    )


def _name(event: _Pending) -> str:
    """Return a name of the event's own; the same for the same, where it is for once."""
    suffix = secrets.token_hex(8)
    if event.once:
        suffix = hashlib.sha256("\0".join(event.identity).encode()).hexdigest()[:32]
    return f"{event.reference['name'][:200]}.{suffix}"


def _namespace(reference: Mapping[str, str]) -> str:
    return reference.get("namespace") or "default"  # as the kubelet does for its node
