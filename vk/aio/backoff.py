"""Waits between retries: exponential, capped, jittered. Pure; used by every loop that retries."""

from __future__ import annotations

import random
from math import inf

import attrs

__all__ = ["Backoff"]


@attrs.define
class Backoff:
    """The waits of one loop, in seconds.

    The n-th wait lies between half of ``first * factor ** n`` and all of it, never above ``cap``:
    the jitter keeps many loops that failed together from coming back together.
    """

    first: float = 0.5
    factor: float = 2.0
    cap: float = 30.0
    _ceiling: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.reset()

    def next(self, within: float = inf) -> float:
        """Return the seconds to wait now, at most ``within``; the following wait is longer."""
        ceiling = min(self._ceiling, within)
        self._ceiling = min(self.cap, ceiling * self.factor)
        return ceiling * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Start again from ``first``: call it after a success."""
        self._ceiling = min(self.first, self.cap)
