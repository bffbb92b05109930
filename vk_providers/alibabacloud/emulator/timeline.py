"""The emulator's clock and schedule: due steps are executed when the state is read.

Nothing runs in the background. Each call first executes the steps that have become due, in order
and with their own times, so that the state is the same as if they had run on time. Durations of the
service are divided by ``speed``; times are seconds of the wall clock.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator

import attrs

__all__ = ["Timeline"]

Step = Callable[[float], None]
"""Called with the time at which it happens."""


@attrs.define(eq=False)
class Timeline:
    """Scheduled steps, and the clock."""

    clock: Callable[[], float]
    speed: float = 1.0
    _heap: list[tuple[float, int, Step]] = attrs.field(factory=list, init=False, repr=False)
    _order: Iterator[int] = attrs.field(factory=itertools.count, init=False, repr=False)

    def now(self) -> float:
        """Execute all due steps; return the current time."""
        now = self.clock()
        while self._heap and self._heap[0][0] <= now:
            at, _, step = heapq.heappop(self._heap)
            step(at)
        return now

    def after(self, at: float, seconds: float, step: Step) -> None:
        """Schedule ``step`` at ``seconds`` of the service's time after ``at``."""
        heapq.heappush(self._heap, (at + seconds / self.speed, next(self._order), step))

    def scaled(self, seconds: float) -> float:
        """Return a duration of the service divided by ``speed``."""
        return seconds / self.speed
