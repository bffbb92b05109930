"""One connection: aiohttp's protocol with the time limits that aiohttp does not have.

Made by `vk.server.listener` when the handshake is done. A client that says nothing, dribbles its
headers or does not read what it asked for is cut off; one that has its answer may be idle for 75 s.
The middleware of `vk.server.app` says when a request begins and ends.

Surprising: a stream that takes the transport over for SPDY replaces this protocol. It must call
`connection_lost` here when the connection ends, or the place is never given back.
"""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from vk.server.connection_limits import Place

__all__ = ["Connection"]

log = logging.getLogger(__name__)

FIRST_BYTE = 10.0
HEADERS = 10.0
STALL = 60.0
LINGER = 10.0
"""Seconds that are waited for the rest of a body which nobody reads any more."""
IDLE = 75.0
LARGEST_HEADERS = 64 * 1024
_LARGEST_FIELD = 32 * 1024  # a token may have 16 KiB
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n"


class Connection(RequestHandler):
    """A connection after its handshake. ``trust`` is the authority's generation at that time."""

    __slots__ = (
        "_busy",
        "_fed",
        "_header_bytes",
        "_patient",
        "_stall",
        "_timer",
        "place",
        "shown",
        "trust",
    )

    def __init__(self, server: web.Server, place: Place, trust: int) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # aiohttp takes it for no access log
            keepalive_timeout=IDLE,
            lingering_time=LINGER,
            max_line_size=LARGEST_HEADERS,
            max_field_size=_LARGEST_FIELD,
            tcp_keepalive=False,  # the listener has set it, with its times
        )
        self.place = place
        self.trust = trust
        self.shown: object = None
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
        self.place.abort = transport.abort
        self._limit(FIRST_BYTE)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give the place back."""
        self._limit(None)
        self._unstall()
        self.place.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes in, of headers only so many and only for so long."""
        if data and self._busy:
            self._fed = True
        elif data:
            if not self._header_bytes:
                self._limit(HEADERS)
            self._header_bytes += len(data)
            if self._header_bytes > LARGEST_HEADERS:
                self._refuse()
                return
        super().data_received(data)

    def begin(self, *, patient: bool = False) -> None:
        """Note that the headers of a request are complete.

        ``patient``: it is a session, which has its own ways with a client that does not read.
        """
        self._busy, self._fed, self._header_bytes = True, False, 0
        self._patient = patient
        self._limit(None)

    def end(self) -> None:
        """Note that a request has been answered, but for what is still to be written."""
        self._busy = False
        if self._fed:  # perhaps a part of the next request's headers
            self._limit(HEADERS)

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        super().pause_writing()
        self._unstall()
        if self._patient:
            return
        self._stall = asyncio.get_running_loop().call_later(STALL, self._cut, "client stalled")

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
        """Answer what is no HTTP; anybody may send it, so it is no error of ours."""
        log.debug("request not understood", extra={"error": repr(exc), "peer": self.place.address})
        text = "Bad Request\n" if status < 500 else "Error\n"
        answer = web.Response(status=status, text=text, headers={"Server": "vk"})
        answer.force_close()
        return answer

    def _limit(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = (
            None if seconds is None else loop.call_later(seconds, self._cut, "request too slow")
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

    def _cut(self, why: str) -> None:
        log.info("connection cut", extra={"reason": why, "peer": self.place.address})
        self.place.abort()
