"""How fast the service is asked: a token bucket an action, and deletes before creates.

The rates are those of the vendor's limits page, for a whole account; ours are a share of them. An
answer that says Throttling halves a rate, which then grows back within a minute.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs

__all__ = ["CallBucket", "ConcurrencyLimit", "Throttle"]

_A_MINUTE = {
    "DescribeContainerGroups": 2000,
    "DescribeContainerGroupStatus": 10_000,
    "DescribeContainerGroupEvents": 10_000,
    "DescribeMultiContainerGroupMetric": 500,
    "DescribeContainerGroupPrice": 1000,
    "DescribeContainerLog": 500,
    "ExecContainerCommand": 500,
    "UpdateContainerGroup": 500,
}
_OTHERWISE = 500
_BURSTS = {"CreateContainerGroup": (20.0, 80.0), "DeleteContainerGroup": (20.0, 80.0)}
"""Calls a second and calls at once: the service takes 100, but it counts when a call arrives, and
calls that are late by up to a second come closer together there than they left here."""
_LEAST = 1 / 20
_RECOVERY = 60.0
_IN_FLIGHT = 32
_ORDER = {"DeleteContainerGroup": 0, "CreateContainerGroup": 2}


@attrs.define(eq=False)
class CallBucket:
    """Lets ``burst`` calls through at once, then ``rate`` a second. First come, first served."""

    rate: float
    burst: float
    _factor: float = attrs.field(default=1.0, init=False)
    _shrunk_at: float = attrs.field(default=float("-inf"), init=False)
    _next: float = attrs.field(default=float("-inf"), init=False)

    async def take(self) -> None:
        """Wait for a token. A cancelled wait gives its token up."""
        now = asyncio.get_running_loop().time()
        rate = self.rate * self.factor(now)
        self._next = max(self._next, now - (self.burst - 1) / rate)
        wait, self._next = self._next - now, self._next + 1 / rate
        if wait > 0:
            await asyncio.sleep(wait)

    def factor(self, now: float) -> float:
        """Return the part of the rate that holds at ``now``."""
        return min(1.0, self._factor + max(0.0, now - self._shrunk_at) / _RECOVERY)

    def shrink(self) -> None:
        """Take note that the service wanted fewer calls: half the rate, and no burst."""
        now = asyncio.get_running_loop().time()
        self._factor, self._shrunk_at = max(_LEAST, self.factor(now) / 2), now
        self._next = max(self._next, now + 1 / (self.rate * self._factor))


@attrs.define(eq=False)
class ConcurrencyLimit:
    """Lets ``places`` calls run at a time; of those that wait, the lowest order goes first."""

    places: int = _IN_FLIGHT
    _waiting: list[tuple[int, int, asyncio.Future[None]]] = attrs.field(factory=list, init=False)
    _numbers: itertools.count[int] = attrs.field(factory=itertools.count, init=False)

    @asynccontextmanager
    async def place(self, order: int) -> AsyncIterator[None]:
        """Hold a place for as long as the block runs."""
        if self.places:
            self.places -= 1
        else:
            turn = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (order, next(self._numbers), turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._leave()  # the place was ours already
                raise
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self.places += 1


@attrs.define(eq=False)
class Throttle:
    """All buckets of one account's share, and the gate before the connection."""

    share: float
    _buckets: dict[str, CallBucket] = attrs.field(factory=dict, init=False)
    _gate: ConcurrencyLimit = attrs.field(factory=ConcurrencyLimit, init=False)

    @asynccontextmanager
    async def turn(self, action: str) -> AsyncIterator[None]:
        """Wait until ``action`` may be sent, and hold its place while it is."""
        await self.bucket(action).take()
        async with self._gate.place(_ORDER.get(action, 1)):
            yield

    def bucket(self, action: str) -> CallBucket:
        """Return the bucket of ``action``."""
        if action not in self._buckets:
            rate = _A_MINUTE.get(action, _OTHERWISE) / 60
            rate, burst = _BURSTS.get(action, (rate, rate))
            self._buckets[action] = CallBucket(rate * self.share, max(1.0, burst * self.share))
        return self._buckets[action]
