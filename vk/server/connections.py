"""Connections of the server: accept, limit, handshake, time-outs.

In: the port, the serving certificate and aiohttp's server. Out: `ServerConnection`s, which aiohttp
serves. Run by `vk.server.server`. While the port is in use the listener retries: a node works
without this API, and reports that it is missing. A client that sends nothing, sends its headers too
slowly or does not read its answer is disconnected; an idle one after 75 s. The middleware of
`vk.server.app` reports when a request begins and ends.

Connections are accepted here and not by asyncio's own server, since that one neither reports the
client's address before the handshake is done nor takes another certificate later.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

import attrs
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from vk.aio.tasks import retry_forever
from vk.server.connection_limits import ConnectionSlot, ConnectionSlots
from vk.server.serving_certificate import ServingCertificate

__all__ = ["ConnectionListener", "ServerConnection"]

log = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT = 10.0
TURN_TIMEOUT = 30.0
"""Seconds that a connection waits while too many of its address are unauthenticated."""
_BACKLOG = 512
_NO_FILES = 1.0  # s to wait when the process has no file descriptors left
# A dead peer is given up after 60 s.
_OPTIONS = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
_USER_TIMEOUT = ("TCP_USER_TIMEOUT", 60_000)
FIRST_BYTE_TIMEOUT = 10.0
HEADERS_TIMEOUT = 10.0
STALL_TIMEOUT = 60.0
LINGER_TIMEOUT = 10.0
"""Seconds that the rest of an unread body may take."""
IDLE_TIMEOUT = 75.0
MAX_HEADER_BYTES = 64 * 1024
_MAX_FIELD_BYTES = 32 * 1024  # a token may have 16 KiB
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n"


@attrs.define(eq=False, kw_only=True)
class ConnectionListener:
    """Listens on ``port`` (0: any) of ``host``, empty: of every address."""

    host: str
    port: int
    serving_certificate: ServingCertificate
    on_listen: Callable[[int], None]
    """Called with the port once connections are accepted."""
    slots: ConnectionSlots

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
        slot = self.slots.take(peer, task.cancel)
        if slot is None:
            connection.close()
            return
        loop, ours, opened = asyncio.get_running_loop(), True, False
        try:
            async with asyncio.timeout(TURN_TIMEOUT):
                await slot.turn()
            ca_generation = self.serving_certificate.client_ca.generation
            _set_options(connection)
            ours = False  # from here on the transport closes it
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                await loop.connect_accepted_socket(
                    lambda: ServerConnection(server, slot, ca_generation),
                    connection,
                    ssl=self.serving_certificate.context,
                    ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
                    ssl_shutdown_timeout=1.0,
                )
            opened = True
        except (OSError, TimeoutError, ssl.SSLError) as error:
            log.debug("handshake failed", extra={"peer": peer, "error": repr(error)})
        finally:
            if ours:
                connection.close()
            if not opened:
                slot.release()


def _set_options(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in (*_OPTIONS, _USER_TIMEOUT):
        option = getattr(socket, name, None)  # None: this operating system has no such option
        if option is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


class ServerConnection(RequestHandler):
    """A connection after its handshake; ``ca_generation`` is the client CA's at that time.

    A handler that takes the transport over for SPDY replaces this protocol. It must call
    `connection_lost` here when the connection ends, or the slot is never released.
    """

    __slots__ = (
        "_busy",
        "_fed",
        "_header_bytes",
        "_patient",
        "_stall",
        "_timer",
        "ca_generation",
        "client_certificate",
        "slot",
    )

    def __init__(self, server: web.Server, slot: ConnectionSlot, ca_generation: int) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # aiohttp takes it for no access log
            keepalive_timeout=IDLE_TIMEOUT,
            lingering_time=LINGER_TIMEOUT,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=_MAX_FIELD_BYTES,
            tcp_keepalive=False,  # the listener has set it, with its times
        )
        self.slot = slot
        self.ca_generation = ca_generation
        self.client_certificate: object = None
        """What `vk.server.authentication` found in the client's certificate."""
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._busy = False
        self._fed = False
        self._patient = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first byte."""
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        self.slot.abort = transport.abort
        self._limit(FIRST_BYTE_TIMEOUT)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Release the slot."""
        self._limit(None)
        self._unstall()
        self.slot.release()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Receive bytes; headers are limited in size and time."""
        if data and self._busy:
            self._fed = True
        elif data:
            if not self._header_bytes:
                self._limit(HEADERS_TIMEOUT)
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self._refuse()
                return
        super().data_received(data)

    def begin(self, *, patient: bool = False) -> None:
        """Note that the headers of a request are complete.

        ``patient``: it is a session, which handles a client that does not read by itself.
        """
        self._busy, self._fed, self._header_bytes = True, False, 0
        self._patient = patient
        self._limit(None)

    def end(self) -> None:
        """Note that a request has been answered, but for what is still to be written."""
        self._busy = False
        if self._fed:  # perhaps a part of the next request's headers
            self._limit(HEADERS_TIMEOUT)

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        super().pause_writing()
        self._unstall()
        if self._patient:
            return
        self._stall = asyncio.get_running_loop().call_later(
            STALL_TIMEOUT, self._abort, "client stalled"
        )

    def resume_writing(self) -> None:
        """Note that it reads again."""
        self._unstall()
        super().resume_writing()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a malformed request; any client may send it, so it is no error of the server."""
        log.debug("malformed request", extra={"error": repr(exc), "peer": self.slot.address})
        text = "Bad Request\n" if status < 500 else "Error\n"
        answer = web.Response(status=status, text=text, headers={"Server": "vk"})
        answer.force_close()
        return answer

    def _limit(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = (
            None if seconds is None else loop.call_later(seconds, self._abort, "request too slow")
        )

    def _unstall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _refuse(self) -> None:
        if self.transport is not None:
            self.transport.write(_TOO_LARGE)
        self._limit(None)
        self.force_close()

    def _abort(self, why: str) -> None:
        log.info("connection aborted", extra={"reason": why, "peer": self.slot.address})
        self.slot.abort()
