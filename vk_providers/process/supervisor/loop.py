"""One thread, one selector: timers, file descriptors and the coroutines that wait for them.

What comes in: coroutines (`EventLoop.task`) and callbacks for file descriptors. Used by every other
module of the supervisor. It is not asyncio because that costs 9 MB in each pod. The surprising
part: an exception that a task does not catch ends `EventLoop.run`, and with it the supervisor and the
pod, since a pod without one of its tasks would be wrong in silence.
"""

from __future__ import annotations

import heapq
import selectors
import time
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from typing import Any

_LONGEST = 3_600.0
"""Seconds of one wait: what the selector takes has a limit of some weeks."""

__all__ = ["EventLoop", "LoopFuture", "LoopTask", "TaskCancelled", "Timer", "any_of"]


class TaskCancelled(BaseException):
    """Raised inside a task at the place where it waits, when it is cancelled."""


class LoopFuture:
    """A value that comes once; awaiting it gives the value. Any number of tasks may wait."""

    __slots__ = ("_callbacks", "done", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self._callbacks: list[Callable[[], None]] = []

    def set(self, value: Any = None) -> None:
        """Give the value; only the first one counts."""
        if self.done:
            return
        self.done, self.value = True, value
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def then(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when the value is there, at once where it is."""
        if self.done:
            callback()
        else:
            self._callbacks.append(callback)

    def forget(self, callback: Callable[[], None]) -> None:
        """Take back a `then`."""
        if callback in self._callbacks:
            self._callbacks.remove(callback)

    def __await__(self) -> Generator[LoopFuture, None, Any]:
        if not self.done:
            yield self
        return self.value


class LoopTask(LoopFuture):
    """A running coroutine; its value is what the coroutine returns, None when cancelled."""

    __slots__ = ("_cancelled", "_coroutine", "_loop", "_waits_for")

    def __init__(self, loop: EventLoop, coroutine: Coroutine[LoopFuture, None, Any]) -> None:
        super().__init__()
        self._loop = loop
        self._coroutine = coroutine
        self._cancelled = False
        self._waits_for: LoopFuture | None = None
        loop.soon(self._step)

    def cancel(self) -> None:
        """Raise Cancelled in the coroutine, once; what it awaits while it ends is awaited."""
        if self.done or self._cancelled:
            return
        self._cancelled = True
        self._loop.soon(self._throw)

    def _wake(self) -> None:
        self._waits_for = None
        self._loop.soon(self._step)

    def _step(self) -> None:
        if self._waits_for is None:  # else it was cancelled and waits for something in its end
            self._go(lambda: self._coroutine.send(None))

    def _throw(self) -> None:
        if self._waits_for is not None:
            self._waits_for.forget(self._wake)
            self._waits_for = None
        self._go(lambda: self._coroutine.throw(TaskCancelled()))

    def _go(self, resume: Callable[[], LoopFuture]) -> None:
        if self.done:
            return
        try:
            waits_for = resume()
        except StopIteration as stop:
            self.set(stop.value)
        except TaskCancelled:
            self.set(None)
        else:
            self._waits_for = waits_for
            waits_for.then(self._wake)


class Timer:
    """A call at a later time; `cancel` it when it is no longer wanted."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Do not call."""
        self.callback = None

    def __lt__(self, other: Timer) -> bool:
        return self.when < other.when


class EventLoop:
    """Runs callbacks one after the other; none may block."""

    def __init__(self) -> None:
        self.time = time.monotonic
        self._selector = selectors.DefaultSelector()
        self._timers: list[Timer] = []
        self._queue: deque[Callable[[], None]] = deque()

    def soon(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` after what is in the queue."""
        self._queue.append(callback)

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` in ``seconds``."""
        timer = Timer(self.time() + seconds, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def task(self, coroutine: Coroutine[LoopFuture, None, Any]) -> LoopTask:
        """Run ``coroutine`` beside the others."""
        return LoopTask(self, coroutine)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self.within(LoopFuture(), seconds)

    async def within(self, future: LoopFuture, seconds: float) -> bool:
        """Wait for ``future``, at most ``seconds``; return whether it came."""
        if future.done:
            return True
        first = LoopFuture()
        timer = self.after(seconds, first.set)
        future.then(first.set)
        try:
            await first
        finally:
            timer.cancel()
            future.forget(first.set)
        return future.done

    def on_readable(self, fd: int, callback: Callable[[], None] | None) -> None:
        """Call ``callback`` whenever ``fd`` can be read; None ends it (before ``fd`` is closed)."""
        self._watch(fd, 0, callback)

    def on_writable(self, fd: int, callback: Callable[[], None] | None) -> None:
        """Call ``callback`` whenever ``fd`` can be written; None ends it."""
        self._watch(fd, 1, callback)

    async def readable(self, fd: int) -> None:
        """Wait until ``fd`` can be read."""
        ready = LoopFuture()
        self.on_readable(fd, ready.set)
        try:
            await ready
        finally:
            self.on_readable(fd, None)

    async def writable(self, fd: int) -> None:
        """Wait until ``fd`` can be written."""
        ready = LoopFuture()
        self.on_writable(fd, ready.set)
        try:
            await ready
        finally:
            self.on_writable(fd, None)

    def _watch(self, fd: int, side: int, callback: Callable[[], None] | None) -> None:
        known = self._selector.get_map().get(fd)
        callbacks = list(known.data) if known else [None, None]
        callbacks[side] = callback
        events = 0
        if callbacks[0] is not None:
            events |= selectors.EVENT_READ
        if callbacks[1] is not None:
            events |= selectors.EVENT_WRITE
        if not events:
            if known:
                self._selector.unregister(fd)
        elif known:
            self._selector.modify(fd, events, callbacks)
        else:
            self._selector.register(fd, events, callbacks)

    def run(self, until: LoopFuture) -> None:
        """Run until ``until`` is done."""
        while not until.done:
            for key, events in self._selector.select(self._patience()):
                self._call_watchers(key.fd, events)
            self._call_timers()
            self._call_queue()

    def _call_queue(self) -> None:
        for _ in range(len(self._queue)):
            self._queue.popleft()()

    def _call_watchers(self, fd: int, events: int) -> None:
        for side, event in enumerate((selectors.EVENT_READ, selectors.EVENT_WRITE)):
            known = self._selector.get_map().get(fd)  # an earlier callback may have ended it
            if known and events & event and known.data[side] is not None:
                known.data[side]()

    def _call_timers(self) -> None:
        now = self.time()
        while self._timers and (self._timers[0].when <= now or self._timers[0].callback is None):
            timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                timer.callback()

    def _patience(self) -> float | None:
        if self._queue:
            return 0.0
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return min(max(0.0, self._timers[0].when - self.time()), _LONGEST)


def any_of(*futures: LoopFuture) -> LoopFuture:
    """Return a future that is done when one of ``futures`` is."""
    first = LoopFuture()
    for future in futures:
        future.then(first.set)
    first.then(lambda: _forget(futures, first.set))
    return first


def _forget(futures: tuple[LoopFuture, ...], callback: Callable[[], None]) -> None:
    for future in futures:
        future.forget(callback)
