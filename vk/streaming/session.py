"""How long one streaming session lasts: until its client goes, nothing passes, or the server stops.

In: whoever knows one of these calls `Lifetime.end`; whoever moves bytes calls `Lifetime.moved`.
Out: the work inside `Lifetime.limit` is cancelled, and `Ended` comes out of it. Used by exec,
attach, run and port-forward, there also for each forwarded connection.

Surprising: a provider may copy a stream without ever having to wait, which would starve everybody
else, so `moved` gives way now and then. Pings count as nothing: an API server sends one every few
seconds for as long as the client lives, however idle it is.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

import attrs

__all__ = ["ClientGoneError", "End", "Ended", "Lifetime"]

_TURN = 1 << 18


class End(Enum):
    """Why a session ends before its work has."""

    CLIENT_GONE = "the client has gone"
    IDLE = "nothing was sent or received for too long"
    STOPPING = "the node's process is stopping"
    TOO_LONG = "the output is too long"


class ClientGoneError(ConnectionResetError):
    """What a stream raises when there is nobody to write to, or to read from."""


class Ended(Exception):
    """The work was cancelled because its session has ended."""

    def __init__(self, reason: End) -> None:
        super().__init__(reason.value)
        self.reason = reason


@attrs.define(eq=False)
class Lifetime:
    """Made in the running loop; `close` it. ``idle_timeout`` (s) without a byte ends it."""

    idle_timeout: float = math.inf
    reason: End | None = attrs.field(default=None, init=False)
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
        """Cancel what is inside when the lifetime ends; then Ended is raised instead.

        May be entered several times, by several tasks; raises Ended at once after the end.
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

    def end(self, reason: End) -> None:
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
        """Note that ``size`` bytes have passed, and let others run after each 256 KiB."""
        self._touched = self._loop.time()
        self._since_turn += size
        if self._since_turn >= _TURN:
            self._since_turn = 0
            await asyncio.sleep(0)

    def _check(self) -> None:
        if self.reason is not None:
            raise Ended(self.reason)

    def _check_idle(self) -> None:
        self._timer = None
        when = self._touched + self.idle_timeout
        if self._loop.time() >= when:
            self.end(End.IDLE)
        else:
            self._timer = self._loop.call_at(when, self._check_idle)
