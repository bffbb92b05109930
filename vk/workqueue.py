"""A queue of keys: each waits once, is worked on by one task at a time, and may be due later.

`vk.pods.sync.reconciler` takes keys out; the reflector and the feed put them in. A key that is
added while it is being worked on becomes due again when that work is done, so nothing is missed and
no key is ever worked on twice at once.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

import attrs

from vk.aio.backoff import Backoff

__all__ = ["Observer", "WorkQueue"]

K = TypeVar("K", bound=Hashable)

_SPARE = 64
"""Entries beyond need that are not worth the tidying."""


class Observer(Protocol):
    """Is told how the queue does; seconds. Never blocks or raises."""

    def added(self) -> None: ...
    def retried(self) -> None: ...
    def waited(self, seconds: float, /) -> None: ...
    def worked(self, seconds: float, /) -> None: ...


class _Nobody:
    def added(self) -> None: ...
    def retried(self) -> None: ...
    def waited(self, seconds: float, /) -> None: ...
    def worked(self, seconds: float, /) -> None: ...


@attrs.define(eq=False)
class WorkQueue(Generic[K]):
    """See the module. All methods but `get` are synchronous; one event loop only."""

    observer: Observer = attrs.field(factory=_Nobody, repr=False)
    _ready: deque[K] = attrs.field(factory=deque, init=False)
    _due: dict[K, float] = attrs.field(factory=dict, init=False)
    """When a waiting key is due; 0.0 once it is in ``_ready``."""
    _heap: list[tuple[float, int, K]] = attrs.field(factory=list, init=False)
    _count: int = attrs.field(default=0, init=False)
    _since: dict[K, float] = attrs.field(factory=dict, init=False)
    """Since when a key in ``_ready`` is due."""
    _working: dict[K, float] = attrs.field(factory=dict, init=False)
    """Keys that are worked on, since when."""
    _again: dict[K, float] = attrs.field(factory=dict, init=False)
    """Keys added while worked on, with the time at which they are due."""
    _failures: dict[K, Backoff] = attrs.field(factory=dict, init=False)
    _waiter: asyncio.Future[None] | None = attrs.field(default=None, init=False)
    _timer: asyncio.TimerHandle | None = attrs.field(default=None, init=False)

    def __len__(self) -> int:
        """Count the keys that wait, due or not."""
        return len(self._due) + len(self._again)

    def add(self, key: K, delay: float = 0.0) -> None:
        """Make ``key`` due in ``delay`` seconds; a key that waits already only moves earlier."""
        due = asyncio.get_running_loop().time() + delay if delay > 0 else 0.0
        if key in self._working:
            self._again[key] = min(due, self._again.get(key, due))
            return
        waiting = self._due.get(key)
        if waiting is not None and waiting <= due:
            return
        self._due[key] = due
        self.observer.added()
        if due == 0.0:
            self._ready.append(key)
            self._since[key] = asyncio.get_running_loop().time()
            self._wake()
        else:
            self._count += 1
            heapq.heappush(self._heap, (due, self._count, key))
            self._tidy()
            if self._heap[0][0] == due:
                self._arm()

    def retry(self, key: K) -> None:
        """Make ``key`` due after a delay that grows until `forget`, to 5 min at most."""
        self.observer.retried()
        self.add(key, self._failures.setdefault(key, Backoff(first=0.5, cap=300.0)).next())

    def forget(self, key: K) -> None:
        """Forget the failures of ``key``."""
        self._failures.pop(key, None)

    def unfinished(self) -> list[float]:
        """Return for how long each key that is worked on is being worked on."""
        now = asyncio.get_running_loop().time()
        return [now - since for since in self._working.values()]

    async def get(self) -> K:
        """Wait for a due key and take it; call `done` when the work on it has ended."""
        while not self._ready:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        key = self._ready.popleft()
        del self._due[key]
        self._working[key] = moment = asyncio.get_running_loop().time()
        self.observer.waited(moment - self._since.pop(key, moment))
        return key

    def done(self, key: K) -> None:
        """End the work on ``key``; it waits again if it was added meanwhile."""
        since = self._working.pop(key, None)
        if since is not None:
            self.observer.worked(asyncio.get_running_loop().time() - since)
        due = self._again.pop(key, None)
        if due is not None:
            self.add(key, due - asyncio.get_running_loop().time() if due else 0.0)

    def _tidy(self) -> None:
        """Drop entries of keys that moved earlier: those of a far time would pile up until then."""
        if len(self._heap) > 2 * len(self._due) + _SPARE:
            waiting = ((due, key) for key, due in self._due.items() if due)
            self._heap = [(due, number, key) for number, (due, key) in enumerate(waiting)]
            heapq.heapify(self._heap)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(self._heap[0][0], self._ripen)

    def _ripen(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:  # else it moved earlier and was taken
                self._due[key] = 0.0
                self._ready.append(key)
                self._since[key] = now
        self._timer = None
        if self._heap:
            self._arm()
        if self._ready:
            self._wake()
