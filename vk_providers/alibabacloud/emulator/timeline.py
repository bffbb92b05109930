"""What happens when: one clock and one heap of what is due, played whenever somebody looks.

Nothing here runs by itself. Each answer first settles the time that has passed, in order, each
step at its own moment, so that the state is the same as if it had happened on time. Durations of
the service are divided by ``speed``; moments are seconds of the wall clock.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator

import attrs

__all__ = ["Timeline"]

Step = Callable[[float], None]
"""Takes the moment at which it happens."""


@attrs.define(eq=False)
class Timeline:
    """Steps in the future, and the clock that makes them due."""

    clock: Callable[[], float]
    speed: float = 1.0
    _heap: list[tuple[float, int, Step]] = attrs.field(factory=list, init=False, repr=False)
    _order: Iterator[int] = attrs.field(factory=itertools.count, init=False, repr=False)

    def now(self) -> float:
        """Play everything that is due; return the moment up to which it was played."""
        now = self.clock()
        while self._heap and self._heap[0][0] <= now:
            at, _, step = heapq.heappop(self._heap)
            step(at)
        return now

    def after(self, at: float, seconds: float, step: Step) -> None:
        """Let ``step`` happen ``seconds`` of the service's time after ``at``."""
        heapq.heappush(self._heap, (at + seconds / self.speed, next(self._order), step))

    def scaled(self, seconds: float) -> float:
        """Return how long a duration of the service takes here."""
        return seconds / self.speed
