"""The provider's reachability: three missed pings in a row make it unreachable.

In: the provider's ping, and the doubt that a failed call casts. Out: `Health.conditions` and
`Health.taints` for the Node, and a call of ``on_change`` whenever they change. Run by
`vk.node.controller`. An unreachable provider keeps new pods away at once, but makes the node
NotReady only much later, since that evicts pods which may be perfectly healthy.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import attrs

from vk.errors import ProviderError
from vk.models.node import Taint
from vk.models.status import Condition
from vk.settings import LiveSettings

__all__ = ["UNREACHABLE", "Health"]

log = logging.getLogger(__name__)

UNREACHABLE = Taint("virtual-kubelet.io/provider-unreachable")
_INTERVAL = 10.0
_OUTAGE_INTERVAL = 2.0  # what waits for the provider is to go on soon after its first answer
_TIMEOUT = 10.0
_MISSES = 3


@attrs.define(kw_only=True, eq=False)
class Health:
    """The provider's reachability; `Settings.not_ready_after` counts from the first miss."""

    settings: LiveSettings
    on_change: Callable[[], None]
    unreachable: bool = attrs.field(default=False, init=False)
    not_ready: bool = attrs.field(default=False, init=False)
    _misses: int = attrs.field(default=0, init=False)
    _since: float = attrs.field(default=0.0, init=False)
    _error: str = attrs.field(default="", init=False)

    async def run(self, ping: Callable[[], Awaitable[None]], in_doubt: asyncio.Event) -> None:
        """Ping every 10 s until cancelled; each ping that raises, or takes over 10 s, is a miss.

        Pings every 2 s after a miss, and once after ``in_doubt`` was set, which this clears. Those
        between two regular ones show an answer early, but count as no further miss.
        """
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            in_doubt.clear()
            error = await self._ping(ping)
            self._note(error, started=started, moment=loop.time())
            await asyncio.sleep(max(0.0, started + _OUTAGE_INTERVAL - loop.time()))
            if not error:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(started + _INTERVAL):
                        await in_doubt.wait()

    def conditions(self) -> tuple[Condition, ...]:
        """Return the conditions that the state of the moment puts on the Node."""
        if not self.unreachable:
            return ()
        message = f"the provider missed {_MISSES} pings or more in a row: {self._error}"
        found = (
            Condition(
                type="ProviderUnreachable", status="True", reason="PingFailed", message=message
            ),
        )
        if not self.not_ready:
            return found
        ready = Condition(
            type="Ready", status="False", reason="ProviderUnreachable", message=message
        )
        return (*found, ready)

    def taints(self) -> tuple[Taint, ...]:
        """Return the taint that keeps new pods away while the provider is unreachable."""
        return (UNREACHABLE,) if self.unreachable else ()

    async def _ping(self, ping: Callable[[], Awaitable[None]]) -> str:
        """Return what went wrong, for the Node; empty: nothing."""
        timeout = asyncio.timeout(_TIMEOUT)
        try:
            async with timeout:
                await ping()
        except Exception as error:  # noqa: BLE001 # any of them is a miss; a traceback each is noise
            name, text = type(error).__name__, " ".join(str(error).split())
            shown = text if isinstance(error, ProviderError) else ""
            if timeout.expired():
                shown = text = f"no answer within {_TIMEOUT:g} s"
            elif not shown:  # not raised on purpose: only our log may have its text
                text = f"{name}: {text}" if text else name
            log.warning("provider missed a ping", extra={"error": text})
            return shown or name
        return ""

    def _note(self, error: str, *, started: float, moment: float) -> None:
        before = (self.unreachable, self.not_ready)
        if not error:
            self._misses, self.unreachable, self.not_ready = 0, False, False
        else:
            self._since = self._since if self._misses else started
            if started >= self._since + self._misses * _INTERVAL:
                self._misses += 1
            if not self.unreachable:
                self._error = error  # not later: the message would change with every miss
            self.unreachable = self._misses >= _MISSES
            self.not_ready = (
                self.unreachable and moment - self._since >= self.settings.current.not_ready_after
            )
        if before != (self.unreachable, self.not_ready):
            self.on_change()
