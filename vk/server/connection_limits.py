"""Connection limits: how many in all, and how many unauthenticated ones from one address.

`vk.server.connections` takes a `ConnectionSlot` for each connection that it accepts, before the
handshake; `vk.server.authentication` marks it as authenticated; the connection releases it when it
ends. Pure bookkeeping.

All of kubectl's traffic comes from the addresses of API servers. So a connection above the limit of
its address waits and is not refused, and an authenticated one does not count. Where all slots are
taken, the oldest unauthenticated connection is aborted.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable

import attrs

__all__ = ["ConnectionSlot", "ConnectionSlots", "network_of"]

MAX_CONNECTIONS = 1000
MAX_UNAUTHENTICATED = 64
"""Unauthenticated connections of one address, in handshake or after it."""
MAX_WAITING = 256
"""The same with those that wait for their turn."""


@attrs.define(eq=False)
class _Address:
    turns: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(MAX_UNAUTHENTICATED))
    unauthenticated: int = 0


@attrs.define(eq=False)
class ConnectionSlot:
    """The slot of one connection. ``abort`` ends the connection at once."""

    slots: ConnectionSlots = attrs.field(repr=False)
    address: str
    abort: Callable[[], object] = attrs.field(repr=False)
    _turn: bool = attrs.field(default=False, init=False)
    is_authenticated: bool = attrs.field(default=False, init=False)
    _released: bool = attrs.field(default=False, init=False)

    async def turn(self) -> None:
        """Wait until few enough connections of this address are unauthenticated."""
        await self.slots.share(self.address).turns.acquire()
        self._turn = True

    def authenticated(self) -> None:
        """Note that the client is authenticated. May be repeated."""
        if not self.is_authenticated and not self._released:
            self.is_authenticated = True
            self._free()

    def release(self) -> None:
        """Release the slot. May be repeated."""
        if self._released:
            return
        self._released = True
        if not self.is_authenticated:
            self._free()
        self.slots.released(self)

    def _free(self) -> None:
        if self._turn:
            self.slots.share(self.address).turns.release()
        self.slots.authenticated(self)


@attrs.define(eq=False)
class ConnectionSlots:
    """All slots of one server."""

    count: int = attrs.field(default=0, init=False)
    """Open connections."""
    _unauthenticated: dict[ConnectionSlot, None] = attrs.field(factory=dict, init=False, repr=False)
    _addresses: dict[str, _Address] = attrs.field(factory=dict, init=False, repr=False)

    def take(self, host: str, abort: Callable[[], object]) -> ConnectionSlot | None:
        """Return a slot for a connection from ``host``, None where it must be refused."""
        address = network_of(host)
        share = self._addresses.get(address)
        if share is not None and share.unauthenticated >= MAX_WAITING:
            return None
        if self.count >= MAX_CONNECTIONS:
            oldest = next(iter(self._unauthenticated), None)
            if oldest is None:
                return None
            oldest.abort()
            oldest.release()
        slot = ConnectionSlot(self, address, abort)
        self._unauthenticated[slot] = None
        self._addresses.setdefault(address, _Address()).unauthenticated += 1
        self.count += 1
        return slot

    def share(self, address: str) -> _Address:
        """Return the counts of an address that has a slot."""
        return self._addresses[address]

    def authenticated(self, slot: ConnectionSlot) -> None:
        """Note that ``slot`` no longer counts as unauthenticated. For `ConnectionSlot` only."""
        del self._unauthenticated[slot]
        share = self._addresses[slot.address]
        share.unauthenticated -= 1
        if not share.unauthenticated:
            del self._addresses[slot.address]

    def released(self, slot: ConnectionSlot) -> None:
        """Note that a connection has ended. For `ConnectionSlot` only."""
        self.count -= 1


def network_of(host: str) -> str:
    """Return what counts as one address: of IPv6 a /64, since one client has all of it."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
