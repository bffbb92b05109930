"""WebSocket connections: channels of exec, attach and port-forward, and SPDY inside messages.

In: a request whose protocol was chosen. Out: a `ChannelConnection` with its `ChannelStream`s, or a
`MessagePipe` for a SPDY session. The frames are aiohttp's, which limits both directions: it reads
no further while 128 KiB wait, and ``writer_limit=0`` makes every send wait for a slow reader.

Pings are answered here and not by aiohttp, since it would consume the pongs, by which a session
finds out that its client has read everything. One channel that is not read stops all of them, and
only v5 lets a client end one.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import ClassVar

import attrs
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from vk.streaming.dead_peer import abort_when_dead
from vk.streaming.negotiation import Protocol
from vk.streaming.receive_buffer import ReadGate, ReceiveBuffer, StreamSink
from vk.streaming.session import ClientGoneError, SessionLifetime
from vk.streaming.spdy.connection import parts
from vk.streaming.websocket.channels import ChannelClosed, ChannelError, ChannelMessage, Channels

__all__ = ["ChannelConnection", "ChannelStream", "MessagePipe", "open_channels", "open_websocket"]

log = logging.getLogger(__name__)

_LONGEST_MESSAGE = 1 << 20
_UNREAD = 1 << 18
_PIECE_COST = 128
_CLOSING = 5.0
_HEADER = "Sec-WebSocket-Protocol"


async def open_websocket(request: web.Request, protocol: Protocol) -> web.WebSocketResponse:
    """Answer 101 with ``protocol``. Raises web.HTTPBadRequest for a malformed request."""
    names = (protocol.name,) if protocol.name else ()
    socket = web.WebSocketResponse(
        protocols=names,
        autoping=False,
        compress=False,
        max_msg_size=_LONGEST_MESSAGE,
        writer_limit=0,
        timeout=_CLOSING,
    )
    if names:
        socket.headers[_HEADER] = protocol.name  # aiohttp looks at the first line of the request's
    await socket.prepare(request)
    if request.transport is not None:
        abort_when_dead(request.transport)
    return socket


async def _next(socket: web.WebSocketResponse, pong: asyncio.Event) -> WSMessage | None:
    """Return the next text or binary message, None once the client has disconnected."""
    while True:
        message = await socket.receive()
        match message.type:
            case WSMsgType.BINARY | WSMsgType.TEXT:
                return message
            case WSMsgType.PING:
                await socket.pong(message.data)
            case WSMsgType.PONG:
                pong.set()
            case _:
                return None


@attrs.define(eq=False)
class ChannelStream:
    """One channel. ``sink`` takes what it carries; by default `read`."""

    number: int
    _connection: ChannelConnection = attrs.field(repr=False)
    received: ReceiveBuffer = attrs.field(factory=ReceiveBuffer, init=False, repr=False)
    sink: StreamSink = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.sink = self.received

    async def read(self, limit: int = 65536) -> bytes:
        """Return the next bytes of the client; empty once it has closed the channel."""
        return await self.received.read(limit)

    async def write(self, data: bytes) -> None:
        """Send ``data``; waits while the client reads slower. Raises ConnectionError."""
        for part in parts(data):
            await self._connection.send(self.number, part)

    async def write_eof(self) -> None:
        """End reading: a server cannot end one channel, only the whole connection.

        The client does not notice, and would never end its own side.
        """
        self.received.end()


@attrs.define(eq=False)
class ChannelConnection:
    """One WebSocket with channels. Messages for a channel that is not read are dropped."""

    client_closes: ClassVar[bool] = False
    socket: web.WebSocketResponse = attrs.field(repr=False)
    """The response of its request."""
    _channels: Channels
    _lifetime: SessionLifetime = attrs.field(repr=False)
    _reads: dict[int, ChannelStream] = attrs.field(factory=dict, init=False, repr=False)
    _unread: int = attrs.field(default=0, init=False)
    _gate: ReadGate = attrs.field(init=False, repr=False)
    # While one channel waits for the client to read, the others keep their bytes.
    _sending: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False, repr=False)
    _pong: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)
    _code: int = attrs.field(default=WSCloseCode.OK, init=False)

    def __attrs_post_init__(self) -> None:
        self._gate = ReadGate(lambda: self._unread > _UNREAD, self._keepalive)

    def stream(self, number: int, *, reads: bool = False) -> ChannelStream:
        """Return a channel; with ``reads`` it receives what the client sends on it."""
        stream = ChannelStream(number, self)
        if reads:
            self._reads[number] = stream
        return stream

    async def run(self) -> None:
        """Read until the client disconnects or breaks the protocol."""
        try:
            while message := await _next(self.socket, self._pong):
                self._take(self._channels.decode(message.data))
                await self._gate.passed()
        except ChannelError as error:
            log.info("WebSocket session failed", extra={"error": str(error)})
            self._code = WSCloseCode.INVALID_TEXT
        except ConnectionError:
            pass  # the same as an end
        finally:
            for stream in self._reads.values():
                stream.sink.end(ClientGoneError("the client disconnected"))

    async def settle(self) -> None:
        """Return once the client has read all that was sent. Raises ConnectionError."""
        self._pong.clear()
        await self.socket.ping()
        await self._pong.wait()

    async def close(self) -> None:
        """Close the WebSocket, in a time that does not depend on the client."""
        await _close(self.socket, self._code)

    async def send(self, number: int, part: bytes) -> None:
        """Send one message, perhaps empty. Raises ConnectionError."""
        async with self._sending:
            await _send(self.socket, self._channels.encode(number, part))
        await self._lifetime.moved(len(part))

    def _take(self, what: ChannelMessage | ChannelClosed | None) -> None:
        if what is None or (stream := self._reads.get(what.channel)) is None:
            return
        if isinstance(what, ChannelClosed):
            stream.sink.end()
        elif what.data:
            self._lifetime.touch()
            cost = len(what.data) + _PIECE_COST
            self._unread += cost
            stream.sink.put(what.data, partial(self._used, cost))

    def _used(self, cost: int) -> None:
        self._unread -= cost
        self._gate.open()

    async def _keepalive(self) -> None:
        await self.socket.pong()


async def open_channels(
    request: web.Request, protocol: Protocol, count: int, lifetime: SessionLifetime
) -> ChannelConnection:
    """Answer 101 with ``protocol`` and return the connection with its ``count`` channels."""
    channels = Channels(count, base64=protocol.base64, closes=protocol.closes_channels)
    return ChannelConnection(await open_websocket(request, protocol), channels, lifetime)


@attrs.define(eq=False)
class MessagePipe:
    """The binary messages of a WebSocket as one sequence of bytes, for a SPDY session."""

    _socket: web.WebSocketResponse = attrs.field(repr=False)
    _pong: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)

    async def read(self) -> bytes:
        """Return the next message's bytes, empty once the client has disconnected."""
        while message := await _next(self._socket, self._pong):
            if message.type is not WSMsgType.BINARY:
                return b""
            if message.data:
                return bytes(message.data)
        return b""

    async def write(self, data: bytes) -> None:
        """Send a message; waits while the client reads slower. Raises ConnectionError."""
        await _send(self._socket, data)

    async def answer(self, data: bytes) -> None:
        """Send a message as `write` does: aiohttp has one way to send."""
        await _send(self._socket, data)

    async def close(self) -> None:
        """Close the WebSocket, in a time that does not depend on the client."""
        await _close(self._socket)


async def _send(socket: web.WebSocketResponse, message: bytes | str) -> None:
    try:
        if isinstance(message, str):
            await socket.send_str(message)
        else:
            await socket.send_bytes(message)
    except ConnectionError:
        raise ClientGoneError("the client disconnected") from None


async def _close(socket: web.WebSocketResponse, code: int = WSCloseCode.OK) -> None:
    try:
        async with asyncio.timeout(2 * _CLOSING):
            await socket.close(code=code)
    except TimeoutError:
        pass  # closing aborts the connection
