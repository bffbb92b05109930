"""A token bucket: at most ``rate`` a second on average, ``burst`` at once."""

from __future__ import annotations

import asyncio

import attrs

__all__ = ["Bucket"]


@attrs.define(eq=False)
class Bucket:
    """Each `take` waits for its turn, in the order of the calls.

    A token is booked before the wait, so a cancelled wait gives its token back.
    """

    rate: float
    burst: int
    _level: float = attrs.field(init=False)
    _at: float = attrs.field(default=0.0, init=False)

    @_level.default
    def _full(self) -> float:
        return float(self.burst)

    async def take(self) -> None:
        """Return when one more is allowed."""
        moment = asyncio.get_running_loop().time()
        gained = (moment - self._at) * self.rate if self._at else 0.0
        self._level = min(float(self.burst), self._level + gained) - 1.0
        self._at = moment
        if self._level >= 0:
            return
        try:
            await asyncio.sleep(-self._level / self.rate)
        except asyncio.CancelledError:
            self._level += 1.0
            raise
