"""A token bucket without a clock of its own: the caller says what time it is. Pure."""

from __future__ import annotations

import attrs

__all__ = ["TokenBucket"]


@attrs.define
class TokenBucket:
    """Holds at most ``burst`` tokens, full at first; ``rate`` new ones come a second.

    ``now`` is in seconds of any clock that never goes back, always the same one. ``rate`` and
    ``burst`` may be changed at any time; both must be above 0.
    """

    rate: float
    burst: float
    _tokens: float = attrs.field(init=False)
    _at: float | None = attrs.field(default=None, init=False)

    @_tokens.default
    def _full(self) -> float:
        return self.burst

    def take(self, now: float, tokens: float = 1.0) -> float:
        """Take ``tokens`` and return 0, or take none and return the seconds until they are there.

        More tokens than ``burst`` never are: infinity.
        """
        self._refill(now)
        if self._tokens >= tokens - 1e-9:
            self._tokens -= tokens
            return 0.0
        if tokens > self.burst:
            return float("inf")
        return (tokens - self._tokens) / self.rate

    def reserve(self, now: float, tokens: float = 1.0) -> float:
        """Take ``tokens`` that may not be there yet; return the seconds to wait before their use.

        Callers that wait in turn are served in the order of their calls.
        """
        self._refill(now)
        self._tokens -= tokens
        return max(0.0, -self._tokens / self.rate)

    def give_back(self, tokens: float = 1.0) -> None:
        """Return reserved tokens that were not used."""
        self._tokens = min(self.burst, self._tokens + tokens)

    def _refill(self, now: float) -> None:
        if self._at is not None:
            self._tokens = min(self.burst, self._tokens + max(0.0, now - self._at) * self.rate)
        self._at = now
