"""The open sessions of exec, attach, run and port-forward, and how a request becomes one.

In: authorized requests, from `vk.server.exec` and `vk.server.port_forward`. Out: a negotiated
protocol, and a `SessionLifetime` for each session. A session ends with its pod, told by its UID,
and that of a container with its run; when the provider is closed, `StreamingSessions.close` ends
all sessions.

A SPDY session takes the connection over from aiohttp: its handler returns a response that is never
sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
from aiohttp import web

from vk.models.api_object import container_statuses_of, status_of
from vk.models.keys import ContainerKey, PodKey
from vk.models.pod import Json
from vk.server.errors import StatusError
from vk.streaming.http_upgrade import UpgradedConnection, upgrade_connection
from vk.streaming.negotiation import (
    Protocol,
    StreamTransport,
    choose_spdy,
    choose_websocket,
    requested_transport,
)
from vk.streaming.session import SessionEnd, SessionLifetime

__all__ = ["StreamingSessions", "check_bodiless", "negotiate", "upgrade_to_spdy"]

log = logging.getLogger(__name__)

_CLOSE_TIMEOUT = 10.0
_LAST_OUTPUT = 2.0
"""Seconds that a session gets to pass on what was written before its container ended."""
_PROTOCOL = "X-Stream-Protocol-Version"


@attrs.define(eq=False)
class StreamingSessions:
    """Keeps the open sessions. ``idle_timeout`` and ``creation_timeout`` in s."""

    idle_timeout: float
    creation_timeout: float = 30.0
    """How long a SPDY client may take to open the streams of a call."""
    _open: dict[asyncio.Task[object], SessionLifetime] = attrs.field(
        factory=dict, init=False, repr=False
    )
    _of: dict[SessionLifetime, tuple[str, str]] = attrs.field(factory=dict, init=False, repr=False)
    """UID of the pod, and name of the container; empty: the whole pod."""
    _closing: bool = attrs.field(default=False, init=False)

    @asynccontextmanager
    async def begin(
        self, what: str, over: str, target: PodKey | ContainerKey
    ) -> AsyncIterator[SessionLifetime]:
        """Give the lifetime of a session that the current task serves; ``over`` is for the log.

        Raises StatusError 503 after `close`.
        """
        if self._closing:
            raise StatusError(503, "the node's process is stopping", retry_after=5.0)
        task = asyncio.current_task()
        assert task is not None
        log.info("session started", extra={"session": what, "over": over})
        lifetime = self._open[task] = SessionLifetime(self.idle_timeout)
        if isinstance(target, PodKey):
            self._of[lifetime] = target.uid, ""
        else:
            self._of[lifetime] = target.pod.uid, target.name
        try:
            yield lifetime
        finally:
            lifetime.close()
            del self._open[task], self._of[lifetime]

    def observe(self, old: Json | None, new: Json | None) -> None:
        """Note what the API server has of a pod; ``new`` None: it is gone. Never blocks."""
        if old is None or not self._of:
            return
        uid = old["metadata"]["uid"]
        if new is None or new["metadata"]["uid"] != uid or is_ended(new):
            self._end_soon(uid, None, SessionEnd.POD_GONE)
            return
        now = _runs(new)
        for name, run in _runs(old).items():
            if now.get(name) != run:
                self._end_soon(uid, name, SessionEnd.CONTAINER_ENDED)

    def _end_soon(self, uid: str, container: str | None, reason: SessionEnd) -> None:
        loop = asyncio.get_running_loop()
        for lifetime, (of, name) in self._of.items():
            if of == uid and container in (None, name):
                loop.call_later(_LAST_OUTPUT, lifetime.end, reason)

    async def close(self) -> None:
        """End all sessions and accept no more. Clients of exec and attach receive the reason."""
        self._closing = True
        for lifetime in self._open.values():
            lifetime.end(SessionEnd.STOPPING)
        if self._open:
            _, late = await asyncio.wait(set(self._open), timeout=_CLOSE_TIMEOUT)
            for task in late:
                task.cancel()


def is_ended(pod: Json) -> bool:
    """Return whether the pod's phase is final."""
    return status_of(pod).get("phase") in ("Succeeded", "Failed")


def _runs(pod: Json) -> dict[str, str]:
    """Return when the present run of each running container began."""
    return {
        one["name"]: one["state"]["running"].get("startedAt") or ""
        for one in container_statuses_of(pod, ephemeral=True)
        if "running" in (one.get("state") or {})
    }


def negotiate(
    request: web.Request, *, spdy: Sequence[Protocol], websocket: Sequence[Protocol]
) -> tuple[StreamTransport, Protocol]:
    """Return the transport and protocol of a request. Raises NegotiationError."""
    headers = request.headers
    transport = requested_transport(headers.getall("Connection", []), headers.getall("Upgrade", []))
    if transport is StreamTransport.SPDY:
        return transport, choose_spdy(headers.getall(_PROTOCOL, []), spdy)
    return transport, choose_websocket(headers.getall("Sec-WebSocket-Protocol", []), websocket)


def upgrade_to_spdy(request: web.Request, protocol: Protocol) -> UpgradedConnection:
    """Answer 101 with ``protocol`` and return the connection behind it."""
    headers = {"Upgrade": StreamTransport.SPDY.value, _PROTOCOL: protocol.name}
    return upgrade_connection(request, headers)


def check_bodiless(request: web.Request) -> None:
    """Raise StatusError 400 for a request with a body: it would be read as the stream."""
    if request.can_read_body:
        raise StatusError(400, "expected a request without a body")
