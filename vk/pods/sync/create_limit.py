"""How many creates a minute the operator allows: a cap on what a provider may spend."""

from __future__ import annotations

import attrs

__all__ = ["CreateBudget"]


@attrs.define
class CreateBudget:
    """A token bucket that holds one minute's creates; ``per_minute`` 0 means no cap."""

    per_minute: float
    _left: float = attrs.field(init=False)
    _at: float = attrs.field(default=0.0, init=False)

    @_left.default
    def _full(self) -> float:
        return max(1.0, self.per_minute)

    def wait(self, now: float) -> float:
        """Take one create; return 0, or the seconds until one is free (then none is taken)."""
        if not self.per_minute:
            return 0.0
        rate = self.per_minute / 60.0
        self._left = min(self._full(), self._left + (now - self._at) * rate)
        self._at = now
        if self._left >= 1.0:
            self._left -= 1.0
            return 0.0
        return (1.0 - self._left) / rate
