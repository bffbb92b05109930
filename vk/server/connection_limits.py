"""How many connections there may be: in all, and from one address while nobody is known on them.

`vk.server.listener` takes a `Place` for each connection it accepts, before the handshake; access
says when its caller is known; the connection leaves its place when it ends. Pure bookkeeping.

Surprising: all of kubectl's traffic comes from the addresses of API servers. So a connection above
the share of its address waits for its turn, it is not refused, and one whose caller is known does
not count. Where all places are taken, who came first without saying who he is has to go.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable

import attrs

__all__ = ["Place", "Places", "network_of"]

IN_ALL = 1000
UNKNOWN = 64
"""Connections of one address on which nobody is known, in handshake or after it."""
WAITING = 256
"""The same with those that wait for their turn."""


@attrs.define(eq=False)
class _Address:
    turns: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(UNKNOWN))
    unknown: int = 0


@attrs.define(eq=False)
class Place:
    """The place of one connection. ``abort`` ends the connection at once."""

    places: Places = attrs.field(repr=False)
    address: str
    abort: Callable[[], object] = attrs.field(repr=False)
    _turn: bool = attrs.field(default=False, init=False)
    _known: bool = attrs.field(default=False, init=False)
    _left: bool = attrs.field(default=False, init=False)

    @property
    def known(self) -> bool:
        """Whether the caller is known."""
        return self._known

    async def turn(self) -> None:
        """Wait until few enough of this address are unknown."""
        await self.places.share(self.address).turns.acquire()
        self._turn = True

    def authenticated(self) -> None:
        """Note that the caller is known. May be repeated."""
        if not self._known and not self._left:
            self._known = True
            self._free()

    def leave(self) -> None:
        """Give the place back. May be repeated."""
        if self._left:
            return
        self._left = True
        if not self._known:
            self._free()
        self.places.left(self)

    def _free(self) -> None:
        if self._turn:
            self.places.share(self.address).turns.release()
        self.places.known(self)


@attrs.define(eq=False)
class Places:
    """All places of one server."""

    count: int = attrs.field(default=0, init=False)
    """Connections that there are."""
    _unknown: dict[Place, None] = attrs.field(factory=dict, init=False, repr=False)
    _addresses: dict[str, _Address] = attrs.field(factory=dict, init=False, repr=False)

    def take(self, host: str, abort: Callable[[], object]) -> Place | None:
        """Return a place for a connection from ``host``, None where it must be refused."""
        address = network_of(host)
        share = self._addresses.get(address)
        if share is not None and share.unknown >= WAITING:
            return None
        if self.count >= IN_ALL:
            oldest = next(iter(self._unknown), None)
            if oldest is None:
                return None
            oldest.abort()
            oldest.leave()
        place = Place(self, address, abort)
        self._unknown[place] = None
        self._addresses.setdefault(address, _Address()).unknown += 1
        self.count += 1
        return place

    def share(self, address: str) -> _Address:
        """Return what is known of an address that has a place."""
        return self._addresses[address]

    def known(self, place: Place) -> None:
        """Note that ``place`` no longer counts as unknown. For `Place` only."""
        del self._unknown[place]
        share = self._addresses[place.address]
        share.unknown -= 1
        if not share.unknown:
            del self._addresses[place.address]

    def left(self, place: Place) -> None:
        """Note that a connection has ended. For `Place` only."""
        self.count -= 1


def network_of(host: str) -> str:
    """Return what counts as one address: of IPv6 a /64, since everybody has all of his."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
