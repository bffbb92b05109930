"""Credentials by the vendor's chain, fetched again well before they expire.

Looked for in this order: the configuration (ECI_ACCESS_KEY, ECI_SECRET_KEY), the variables
ALIBABA_CLOUD_ACCESS_KEY_ID and _SECRET, a pod's OIDC token (RRSA), a profile file, the RAM role of
the machine. What was found once is asked again; the chain starts over only where nothing was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import attrs

import vk

__all__ = ["CredentialChain", "Credentials", "Source"]

_AHEAD = 900.0
"""Seconds before the expiry at which new ones are fetched; the old ones serve if that fails."""
_LAST = 60.0
"""Seconds before the expiry at which credentials are no longer used."""
_PAUSE = 30.0
"""Seconds after asking for which what holds serves, however soon it ends."""


@attrs.frozen(kw_only=True)
class Credentials:
    """An access key; ``expires`` in seconds since 1970, None: never."""

    access_key: str
    secret_key: str = attrs.field(repr=False)
    token: str = attrs.field(default="", repr=False)
    expires: float | None = None

    def lasts(self, seconds: float) -> bool:
        """Whether they hold for that long."""
        return self.expires is None or self.expires - time.time() > seconds


@attrs.frozen
class Source:
    """One place: its name for people, and what reads it (None: nothing is there)."""

    name: str
    read: Callable[[], Awaitable[Credentials | None]]


@attrs.define(eq=False)
class CredentialChain:
    """Gives credentials that hold. Many callers share one fetch."""

    sources: Sequence[Source]
    pause: float = _PAUSE
    found: str = attrs.field(default="", init=False)
    """Name of the source in use; empty: none yet."""
    _current: Credentials | None = attrs.field(default=None, init=False)
    _asked_at: float = attrs.field(default=float("-inf"), init=False)
    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)

    async def get(self) -> Credentials:
        """Return credentials. Raises ConfigError where no source has any, naming all of them.

        Raises TemporaryError where the source in use gives none just now and the old ones are over.
        """
        if (current := self._usable()) is not None:
            return current
        async with self._lock:
            return self._usable() or await self._fetch()

    def forget(self, refused: Credentials) -> None:
        """Fetch new ones for the next call: the service refused these."""
        if self._current is refused:
            self._current = None

    def _usable(self) -> Credentials | None:
        """Return what serves without asking; None: it is time to ask."""
        lately = asyncio.get_running_loop().time() - self._asked_at < self.pause
        current, least = self._current, _LAST if lately else _AHEAD
        return current if current is not None and current.lasts(least) else None

    async def _fetch(self) -> Credentials:
        old = self._current if self._current and self._current.lasts(_LAST) else None
        try:
            self._current = await self._read() or old
        except vk.TemporaryError:
            if old is None:
                raise
        self._asked_at = asyncio.get_running_loop().time()
        if self._current is not None:
            return self._current
        if self.found:
            raise vk.TemporaryError(f"no credentials from {self.found} now", retry_after=15.0)
        names = "; ".join(source.name for source in self.sources)
        raise vk.ConfigError(f"no credentials: expected them in one of: {names}")

    async def _read(self) -> Credentials | None:
        """Ask the source in use, or all of them in order until one has something.

        One that is set up and fails is not passed over: the next might be another identity.
        """
        for source in self.sources:
            if self.found in ("", source.name) and (fresh := await source.read()) is not None:
                self.found = source.name
                return fresh
        return None
