"""When a grace period ends: it may come nearer while somebody waits for it.

Used by `container` and `run` while a container ends.
"""

from __future__ import annotations

from .loop import LoopFuture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .loop import EventLoop

__all__ = ["Deadline"]


class Deadline:
    """A moment; ``forced`` once somebody asked for no grace at all."""

    def __init__(self, loop: EventLoop, seconds: float) -> None:
        self._loop = loop
        self._when = loop.time() + seconds
        self._nearer = LoopFuture()
        self.forced = seconds <= 0

    def remaining(self) -> float:
        """Return the seconds left, not below 0."""
        return max(0.0, self._when - self._loop.time())

    def shrink(self, seconds: float) -> None:
        """Let it come in ``seconds`` at the latest; it never moves away."""
        self.forced = self.forced or seconds <= 0
        self._when = min(self._when, self._loop.time() + seconds)
        waited_for, self._nearer = self._nearer, LoopFuture()
        waited_for.set()

    def at_least(self, seconds: float) -> None:
        """Move it away to ``seconds`` from now where it is nearer, unless it is forced."""
        if not self.forced:
            self._when = max(self._when, self._loop.time() + seconds)

    async def wait(self, future: LoopFuture) -> bool:
        """Wait for ``future`` until the moment comes; return whether ``future`` came."""
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
