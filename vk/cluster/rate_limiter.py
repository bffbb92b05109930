"""Waits for a token: what client-go calls a flow-control rate limiter."""

from __future__ import annotations

import asyncio

import attrs

from vk.aio.token_bucket import TokenBucket

__all__ = ["RateLimiter"]


@attrs.define(eq=False)
class RateLimiter:
    """At most ``rate`` a second on average, ``burst`` at once, in the order of the calls."""

    rate: float
    burst: int
    _tokens: TokenBucket = attrs.field(init=False)

    @_tokens.default
    def _full(self) -> TokenBucket:
        return TokenBucket(self.rate, self.burst)

    async def wait(self) -> None:
        """Return when one more is allowed. A wait that is cancelled gives its token back."""
        seconds = self._tokens.reserve(asyncio.get_running_loop().time())
        if not seconds:
            return
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self._tokens.give_back()
            raise
