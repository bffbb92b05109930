"""The listening socket: accepts, limits, does the handshake and hands over to aiohttp.

In: the port, the certificates and aiohttp's server. Out: `Connection`s. Run by `vk.server.server`.
A port that is taken is waited for: a node works without this API, and says that it is missing.

Surprising: connections are accepted here and not by asyncio's own server, since that one neither
shows who connects before the handshake is done nor takes another certificate later.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

import attrs
from aiohttp import web

from vk.aio.tasks import retry_forever
from vk.server.connection_limits import Places
from vk.server.connections import Connection
from vk.server.serving_certificate import Certificates

__all__ = ["Listener"]

log = logging.getLogger(__name__)

HANDSHAKE = 10.0
TURN = 30.0
"""Seconds that a connection waits while too many of its address are unknown."""
_BACKLOG = 512
_NO_FILES = 1.0  # s to wait when the process has no file descriptors left
# A peer that vanished without a word is given up after 60 s.
_OPTIONS = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
_USER_TIMEOUT = ("TCP_USER_TIMEOUT", 60_000)


@attrs.define(eq=False, kw_only=True)
class Listener:
    """Listens on ``port`` (0: any) of ``host``, empty: of every address."""

    host: str
    port: int
    certificates: Certificates
    on_listen: Callable[[int], None]
    """Called with the port once connections are accepted."""
    places: Places

    async def run(self, server: web.Server) -> None:
        """Accept until cancelled; then no connection is accepted, and handshakes are ended."""
        listening = await retry_forever(
            "cannot listen: logs, exec and metrics of this node do not work",
            self._bind,
        )
        with listening:
            port = listening.getsockname()[1]
            log.info("listening", extra={"port": port, "host": self.host or "all addresses"})
            self.on_listen(port)
            async with asyncio.TaskGroup() as handshakes:
                while True:
                    accepted = await self._accept(listening)
                    if accepted is not None:
                        handshakes.create_task(self._open(server, *accepted))

    async def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if not self.host and socket.has_dualstack_ipv6() else None
        if family is None:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listening = socket.create_server(
            (self.host, self.port),
            family=family,
            backlog=_BACKLOG,
            dualstack_ipv6=not self.host and family == socket.AF_INET6,
        )
        listening.setblocking(False)
        return listening

    async def _accept(self, listening: socket.socket) -> tuple[socket.socket, str] | None:
        try:
            connection, peer = await asyncio.get_running_loop().sock_accept(listening)
        except OSError as error:
            log.warning("cannot accept a connection", extra={"error": str(error)})
            await asyncio.sleep(_NO_FILES)
            return None
        return connection, str(peer[0])

    async def _open(self, server: web.Server, connection: socket.socket, peer: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        place = self.places.take(peer, task.cancel)
        if place is None:
            connection.close()
            return
        loop, ours, opened = asyncio.get_running_loop(), True, False
        try:
            async with asyncio.timeout(TURN):
                await place.turn()
            trust = self.certificates.authority.generation
            _set_options(connection)
            ours = False  # from here on the transport closes it
            async with asyncio.timeout(HANDSHAKE):
                await loop.connect_accepted_socket(
                    lambda: Connection(server, place, trust),
                    connection,
                    ssl=self.certificates.context,
                    ssl_handshake_timeout=HANDSHAKE,
                    ssl_shutdown_timeout=1.0,
                )
            opened = True
        except (OSError, TimeoutError, ssl.SSLError) as error:
            log.debug("handshake failed", extra={"peer": peer, "error": repr(error)})
        finally:
            if ours:
                connection.close()
            if not opened:
                place.leave()


def _set_options(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (*_OPTIONS, _USER_TIMEOUT):
        option = getattr(socket, name, None)  # what the operating system does not know is left out
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
