"""Sockets that notice a dead peer, and which local address they use.

A connection whose peer vanished without a word (no FIN, no RST) is given up after 30 s.
"""

from __future__ import annotations

import socket
import weakref
from typing import Any

import attrs
from yarl import URL

from vk.errors import UnavailableError

__all__ = ["Sockets"]

# What the operating system does not know is left out. The figures are seconds, TCP_USER_TIMEOUT ms.
_OPTIONS = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
_USER_TIMEOUT = ("TCP_USER_TIMEOUT", 30_000)


@attrs.define(eq=False)
class Sockets:
    """Opens the sockets of one client; ``url`` is where they lead."""

    url: str
    _last: weakref.ref[socket.socket] | None = attrs.field(default=None, init=False, repr=False)
    _address: str = attrs.field(default="", init=False)

    def open(self, address: tuple[Any, ...]) -> socket.socket:
        """Return an unconnected socket for ``address``, a tuple of getaddrinfo."""
        opened = socket.socket(address[0], address[1], address[2])
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (*_OPTIONS, _USER_TIMEOUT):
            option = getattr(socket, name, None)
            if option is not None:
                opened.setsockopt(socket.IPPROTO_TCP, option, value)
        self._last = weakref.ref(opened)
        return opened

    def local_address(self) -> str:
        """Return the local IP of the last connection, else the one that a connection would have."""
        last = self._last() if self._last is not None else None
        if last is not None:
            self._address = _connected(last) or self._address
        if not self._address:
            self._address = _route(self.url)
        return self._address


def _connected(opened: socket.socket) -> str:
    try:
        opened.getpeername()
        return str(opened.getsockname()[0])
    except OSError:
        return ""


def _route(url: str) -> str:
    """Ask the routing table; nothing is sent."""
    target = URL(url)
    try:
        found = socket.getaddrinfo(target.host, target.port or 443, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise UnavailableError(f"no route to the API server: {error}") from error
