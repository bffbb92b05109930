"""A streaming session: how it runs on a connection, and how long it lasts.

`run_session` reads the connection while ``serve`` works with its streams, and closes it in any
case. A `SessionLifetime` ends the work when the client disconnects, when no byte passes for the
idle time-out, or when the server stops: `SessionLifetime.end` may be called from anywhere. Used by
exec, attach, run and port-forward, over SPDY and over WebSocket alike.

After a session over SPDY the client closes the connection, not the server: a peer that closes with
bytes unread makes the kernel discard what it has still to deliver. A client that stays all the same
is given 10 s after it has read everything. A WebSocket has a closing handshake of its own.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import ClassVar, Protocol

import attrs

__all__ = [
    "ClientGoneError",
    "SessionConnection",
    "SessionEnd",
    "SessionEndedError",
    "SessionLifetime",
    "run_session",
]

_TURN = 1 << 18
_LINGER = 10.0
_NOTIFY_TIMEOUT = 2.0


class SessionEnd(Enum):
    """Why a session ends before its work has. The value is sent to the client."""

    CLIENT_GONE = "the client disconnected"
    IDLE = "nothing was sent or received for too long"
    STOPPING = "the node's process is stopping"
    TOO_LONG = "the output is too long"
    POD_GONE = "the pod is gone"
    CONTAINER_ENDED = "the container has ended"


class ClientGoneError(ConnectionResetError):
    """Raised by reads and writes of a stream whose client has disconnected."""


class SessionEndedError(Exception):
    """The work was cancelled because its session has ended."""

    def __init__(self, reason: SessionEnd) -> None:
        super().__init__(reason.value)
        self.reason = reason


@attrs.define(eq=False)
class SessionLifetime:
    """Made in the running loop; `close` it. ``idle_timeout`` (s) without a byte ends it.

    Pings do not count as bytes: an API server sends one every few seconds for as long as its client
    is connected, however idle it is.
    """

    idle_timeout: float = math.inf
    reason: SessionEnd | None = attrs.field(default=None, init=False)
    """None as long as it lasts."""
    _limits: set[asyncio.Timeout] = attrs.field(factory=set, init=False, repr=False)
    _loop: asyncio.AbstractEventLoop = attrs.field(
        factory=asyncio.get_running_loop, init=False, repr=False
    )
    _touched: float = attrs.field(init=False)
    _since_turn: int = attrs.field(default=0, init=False)
    _timer: asyncio.TimerHandle | None = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._touched = self._loop.time()
        if self.idle_timeout < math.inf:
            self._check_idle()

    @asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """Cancel what is inside when the lifetime ends; then raise SessionEndedError instead.

        May be entered several times, by several tasks; raises SessionEndedError at once after the
        end.
        """
        self._check()
        timeout = asyncio.timeout(None)
        try:
            async with timeout:
                self._limits.add(timeout)
                try:
                    yield
                finally:
                    self._limits.discard(timeout)
        except TimeoutError:
            if timeout.expired():
                self._check()
            raise  # the work's own

    def end(self, reason: SessionEnd) -> None:
        """End it; the first reason counts. Never blocks."""
        if self.reason is None:
            self.reason = reason
            self.close()
            for timeout in self._limits:
                timeout.reschedule(self._loop.time())

    def close(self) -> None:
        """Stop watching for idleness. May be repeated."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def touch(self) -> None:
        """Note that bytes have passed."""
        self._touched = self._loop.time()

    async def moved(self, size: int) -> None:
        """Note that ``size`` bytes have passed, and let other tasks run after each 256 KiB.

        A provider may copy a stream without ever having to wait, which would starve them.
        """
        self._touched = self._loop.time()
        self._since_turn += size
        if self._since_turn >= _TURN:
            self._since_turn = 0
            await asyncio.sleep(0)

    def _check(self) -> None:
        if self.reason is not None:
            raise SessionEndedError(self.reason)

    def _check_idle(self) -> None:
        self._timer = None
        when = self._touched + self.idle_timeout
        if self._loop.time() >= when:
            self.end(SessionEnd.IDLE)
        else:
            self._timer = self._loop.call_at(when, self._check_idle)


class SessionConnection(Protocol):
    """A `SpdyConnection` or `ChannelConnection`."""

    client_closes: ClassVar[bool]
    """Whether the client closes the connection after the session."""

    async def run(self) -> None:
        """Read until the client disconnects."""
        ...

    async def settle(self) -> None:
        """Return once the client has read everything. Raises ConnectionError."""
        ...

    async def close(self) -> None:
        """Close, in a time that does not depend on the client."""
        ...


Serve = Callable[[], Awaitable[None]]
NotifyEnd = Callable[[SessionEnd], Awaitable[None]]


async def run_session(
    connection: SessionConnection, lifetime: SessionLifetime, serve: Serve, notify_end: NotifyEnd
) -> None:
    """Run ``serve`` while the client is connected and ``lifetime`` lasts; then close.

    ``serve`` is cancelled when either ends; where the client is still connected, ``notify_end``
    then sends it the reason, in 2 s at most. Cancelling this closes the connection at once.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(connection.run())
            reading.add_done_callback(lambda _: lifetime.end(SessionEnd.CLIENT_GONE))
            try:
                async with lifetime.limit():
                    await serve()
            except SessionEndedError as ended:
                if ended.reason is not SessionEnd.CLIENT_GONE:
                    await _notify(notify_end, ended.reason)
            except ConnectionError:
                pass  # the client has disconnected
            else:
                await _linger(connection, lifetime, reading)
            reading.cancel()
    finally:
        await connection.close()


async def _linger(
    connection: SessionConnection, lifetime: SessionLifetime, reading: asyncio.Task[None]
) -> None:
    try:
        async with lifetime.limit():
            await connection.settle()
            if connection.client_closes:
                await asyncio.wait({reading}, timeout=_LINGER)
    except (ConnectionError, SessionEndedError):
        pass  # the client has read what it wanted


async def _notify(notify_end: NotifyEnd, reason: SessionEnd) -> None:
    try:
        async with asyncio.timeout(_NOTIFY_TIMEOUT):
            await notify_end(reason)
    except (ConnectionError, TimeoutError):
        pass  # it does not read, or has disconnected now
