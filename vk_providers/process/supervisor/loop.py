"""A single-threaded event loop: timers, file descriptors and coroutines.

Not asyncio, which would cost 9 MB in each pod. An exception that a task does not catch ends
`EventLoop.run`, and with it the supervisor and the pod, so that no pod continues without one of its
tasks.
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
"""Maximum seconds of one wait; the selector has a limit of some weeks."""

__all__ = ["EventLoop", "LoopFuture", "LoopTask", "TaskCancelled", "Timer", "any_of"]


class TaskCancelled(BaseException):
    """Raised in a task when it is cancelled."""


class LoopFuture:
    """A value that is set once; any number of tasks can await it."""

    __slots__ = ("_callbacks", "done", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self._callbacks: list[Callable[[], None]] = []

    def set(self, value: Any = None) -> None:
        """Set the value; later calls are ignored."""
        if self.done:
            return
        self.done, self.value = True, value
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def then(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when the value is set, at once if it is set already."""
        if self.done:
            callback()
        else:
            self._callbacks.append(callback)

    def forget(self, callback: Callable[[], None]) -> None:
        """Remove a callback."""
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
        """Raise TaskCancelled in the coroutine once; it may still await in its cleanup."""
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
    """A scheduled callback; `cancel` removes it."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Cancel the callback."""
        self.callback = None

    def __lt__(self, other: Timer) -> bool:
        return self.when < other.when


class EventLoop:
    """Runs callbacks and tasks; none may block."""

    def __init__(self) -> None:
        self.time = time.monotonic
        self._selector = selectors.DefaultSelector()
        self._timers: list[Timer] = []
        self._queue: deque[Callable[[], None]] = deque()

    def soon(self, callback: Callable[[], None]) -> None:
        """Queue ``callback``."""
        self._queue.append(callback)

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` in ``seconds``."""
        timer = Timer(self.time() + seconds, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def task(self, coroutine: Coroutine[LoopFuture, None, Any]) -> LoopTask:
        """Run ``coroutine`` as a task."""
        return LoopTask(self, coroutine)

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await self.within(LoopFuture(), seconds)

    async def within(self, future: LoopFuture, seconds: float) -> bool:
        """Wait for ``future``, at most ``seconds``; return whether it is done."""
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
        """Call ``callback`` whenever ``fd`` is readable; None removes it."""
        self._watch(fd, 0, callback)

    def on_writable(self, fd: int, callback: Callable[[], None] | None) -> None:
        """Call ``callback`` whenever ``fd`` is writable; None removes it."""
        self._watch(fd, 1, callback)

    async def readable(self, fd: int) -> None:
        """Wait until ``fd`` is readable."""
        ready = LoopFuture()
        self.on_readable(fd, ready.set)
        try:
            await ready
        finally:
            self.on_readable(fd, None)

    async def writable(self, fd: int) -> None:
        """Wait until ``fd`` is writable."""
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
