"""Client-side throttling: a token bucket for each action, and deletes before creates.

The rates are a share of the account's documented rate limits. An answer with a Throttling code
halves a rate, which recovers within a minute.
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
"""Rate a second and burst: the service accepts a burst of 100, but counts calls on arrival, and
delays on the network make them arrive closer together than they were sent."""
_LEAST = 1 / 20
_RECOVERY = 60.0
_IN_FLIGHT = 32
_ORDER = {"DeleteContainerGroup": 0, "CreateContainerGroup": 2}


@attrs.define(eq=False)
class CallBucket:
    """A token bucket: ``burst`` calls at once, then ``rate`` a second, in FIFO order."""

    rate: float
    burst: float
    _factor: float = attrs.field(default=1.0, init=False)
    _shrunk_at: float = attrs.field(default=float("-inf"), init=False)
    _next: float = attrs.field(default=float("-inf"), init=False)

    async def take(self) -> None:
        """Wait for a token. A cancelled wait consumes its token."""
        now = asyncio.get_running_loop().time()
        rate = self.rate * self.factor(now)
        self._next = max(self._next, now - (self.burst - 1) / rate)
        wait, self._next = self._next - now, self._next + 1 / rate
        if wait > 0:
            await asyncio.sleep(wait)

    def factor(self, now: float) -> float:
        """Return the fraction of the rate that applies at ``now``."""
        return min(1.0, self._factor + max(0.0, now - self._shrunk_at) / _RECOVERY)

    def shrink(self) -> None:
        """Halve the rate and allow no burst, after the service throttled a call."""
        now = asyncio.get_running_loop().time()
        self._factor, self._shrunk_at = max(_LEAST, self.factor(now) / 2), now
        self._next = max(self._next, now + 1 / (self.rate * self._factor))


@attrs.define(eq=False)
class ConcurrencyLimit:
    """Limits concurrent calls to ``places``; of waiting calls, the lowest order goes first."""

    places: int = _IN_FLIGHT
    _waiting: list[tuple[int, int, asyncio.Future[None]]] = attrs.field(factory=list, init=False)
    _numbers: itertools.count[int] = attrs.field(factory=itertools.count, init=False)

    @asynccontextmanager
    async def place(self, order: int) -> AsyncIterator[None]:
        """Hold one of the places while the block runs."""
        if self.places:
            self.places -= 1
        else:
            turn = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (order, next(self._numbers), turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._leave()  # the place was assigned already
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
    """The rate limits by action, and the limit of concurrent calls."""

    share: float
    _buckets: dict[str, CallBucket] = attrs.field(factory=dict, init=False)
    _gate: ConcurrencyLimit = attrs.field(factory=ConcurrencyLimit, init=False)

    @asynccontextmanager
    async def turn(self, action: str) -> AsyncIterator[None]:
        """Wait until ``action`` may be sent, and hold its place during the call."""
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
