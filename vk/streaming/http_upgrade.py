"""The upgrade of an HTTP request to SPDY: the 101, written by hand, and the bytes after it.

In: a request that may not be refused any more. Out: an `UpgradedConnection`. aiohttp upgrades to
WebSockets only; so its transport is taken over, and its own protocol is informed only of the end.

The 101 may not be sent through aiohttp, whose parser would read what follows as HTTP; the client
sends nothing before it, so nothing is lost. A reader that stalls is not disconnected as on other
routes (output in a pager is an example): what waits for it is bounded, its peer must go on
acknowledging, and the idle time-out of the session holds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

import attrs
from aiohttp import web

from vk.aio.transports import abort
from vk.streaming.dead_peer import abort_when_dead
from vk.streaming.session import ClientGoneError

__all__ = ["UpgradedConnection", "upgrade_connection"]

_CHUNK = 1 << 16
_AHEAD = 4
_HIGH_WATER = 1 << 18
_LONGEST_BACKLOG = 1 << 20
_CLOSING = 5.0


def upgrade_connection(request: web.Request, headers: Mapping[str, str]) -> UpgradedConnection:
    """Answer 101 with ``headers`` and return the connection behind it.

    The caller closes it and then returns ``web.Response(status=101)``, which is never sent. Raises
    ConnectionError when the client has disconnected.
    """
    transport, protocol = request.transport, request.protocol
    if transport is None or transport.is_closing():
        raise ClientGoneError("the client disconnected before the answer")
    if protocol.writing_paused:
        protocol.resume_writing()  # from now on it is not called
    protocol.keep_alive(False)
    abort_when_dead(transport)
    wire = UpgradedConnection(transport, transport.get_protocol())
    transport.set_protocol(wire)
    transport.set_write_buffer_limits(high=_HIGH_WATER)
    transport.resume_reading()
    lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    transport.write("\r\n".join([*lines, "", ""]).encode("ascii"))
    return wire


@attrs.define(eq=False)
class UpgradedConnection(asyncio.BufferedProtocol):
    """Chunks in and bytes out, after a 101. For one reader and several writers."""

    _transport: asyncio.Transport = attrs.field(repr=False)
    _before: asyncio.BaseProtocol = attrs.field(repr=False)
    # Four times as much would wait here if the transport chose how much it hands over at a time.
    _buffer: memoryview = attrs.field(
        factory=lambda: memoryview(bytearray(_CHUNK)), init=False, repr=False
    )
    _chunks: deque[bytes] = attrs.field(factory=deque, init=False, repr=False)
    _arrived: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)
    _writable: asyncio.Event = attrs.field(init=False, repr=False)
    _lost: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)
    _paused: bool = attrs.field(default=False, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _closed: bool = attrs.field(default=False, init=False)
    _error: Exception | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._writable = asyncio.Event()
        self._writable.set()

    async def read(self) -> bytes:
        """Return the next chunk, of 64 KiB at most; empty once the peer is gone."""
        while not self._chunks:
            if self._ended:
                return b""
            if self._paused:
                self._paused = False
                self._transport.resume_reading()
            self._arrived.clear()
            await self._arrived.wait()
        return self._chunks.popleft()

    async def write(self, data: bytes) -> None:
        """Send ``data``, now; return once little enough waits. Raises ConnectionError."""
        self._check()
        self._transport.write(data)
        if not self._writable.is_set():
            await self._writable.wait()
            self._check()

    async def answer(self, data: bytes) -> None:
        """Send a few bytes without waiting for a slow reader, unless very much waits for it."""
        self._check()
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > _LONGEST_BACKLOG:
            await self._writable.wait()

    async def close(self) -> None:
        """Close the connection and return once it is closed. Repeatable; aborts when cancelled."""
        self._transport.close()
        try:
            async with asyncio.timeout(_CLOSING):
                await self._lost.wait()
        except TimeoutError:
            pass  # the peer does not read
        finally:
            abort(self._transport)
            self._closed = True
            self._report_end()

    def _check(self) -> None:
        if self._ended or self._transport.is_closing():
            raise ClientGoneError("the client disconnected")

    # What the transport calls.

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes that came."""
        self._chunks.append(bytes(self._buffer[:nbytes]))
        self._arrived.set()
        if len(self._chunks) >= _AHEAD and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """Take the end; the transport then closes: no Kubernetes client sends after its end."""
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the reader and all writers."""
        self._end()
        self._error = exc
        self._lost.set()
        self._report_end()

    def pause_writing(self) -> None:
        """Let writers wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let them go on."""
        self._writable.set()

    def _report_end(self) -> None:
        """Report the end to aiohttp, after `close`: it may cancel the route that serves this."""
        if self._closed and self._lost.is_set():
            self._before.connection_lost(self._error)

    def _end(self) -> None:
        self._ended = True
        self._arrived.set()
        self._writable.set()
