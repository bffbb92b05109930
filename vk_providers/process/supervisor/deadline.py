"""The end of a grace period, which can be shortened while it is awaited.

Used by `container` and `run` while a container ends.
"""

from __future__ import annotations

from .loop import LoopFuture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .loop import EventLoop

__all__ = ["Deadline"]


class Deadline:
    """A deadline; ``forced`` after a request without grace period."""

    def __init__(self, loop: EventLoop, seconds: float) -> None:
        self._loop = loop
        self._when = loop.time() + seconds
        self._nearer = LoopFuture()
        self.forced = seconds <= 0

    def remaining(self) -> float:
        """Return the remaining seconds, at least 0."""
        return max(0.0, self._when - self._loop.time())

    def shrink(self, seconds: float) -> None:
        """Shorten it to ``seconds`` from now; it is never extended."""
        self.forced = self.forced or seconds <= 0
        self._when = min(self._when, self._loop.time() + seconds)
        waited_for, self._nearer = self._nearer, LoopFuture()
        waited_for.set()

    def at_least(self, seconds: float) -> None:
        """Extend it to at least ``seconds`` from now, unless it is forced."""
        if not self.forced:
            self._when = max(self._when, self._loop.time() + seconds)

    async def wait(self, future: LoopFuture) -> bool:
        """Wait for ``future`` until the deadline; return whether ``future`` is done."""
        while not future.done and self.remaining() > 0:
            first, nearer = LoopFuture(), self._nearer
            future.then(first.set)
            nearer.then(first.set)
            try:
                await self._loop.within(first, self.remaining())
            finally:
                future.forget(first.set)
                nearer.forget(first.set)
        return future.done
