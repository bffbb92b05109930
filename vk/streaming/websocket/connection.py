"""WebSockets: channels of exec, attach and port-forward in messages, and SPDY inside messages.

In: a request whose protocol was chosen. Out: a `ChannelConnection` with its `ChannelStream`s, or a
`MessagePipe` for a SPDY session. The frames are aiohttp's, which holds both directions back
rightly: it reads no further while 128 KiB wait, and `writer_limit=0` makes every send wait for a
slow reader.

Surprising: pings are answered here and not by aiohttp, since it would keep the pongs to itself, by
which a session knows that its client has read everything. One channel that is not read stops all of
them, and only v5 lets a client end one.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import ClassVar

import attrs
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from vk.streaming.dead_peer import watch_peer
from vk.streaming.negotiation import Protocol
from vk.streaming.receive_buffer import Gate, Inbox, Sink
from vk.streaming.session import ClientGoneError, Lifetime
from vk.streaming.spdy.connection import parts
from vk.streaming.websocket.channels import ChannelClosed, ChannelError, ChannelMessage, Channels

__all__ = ["ChannelConnection", "ChannelStream", "MessagePipe", "open_websocket"]

log = logging.getLogger(__name__)

_LONGEST_MESSAGE = 1 << 20
_UNREAD = 1 << 18
_PIECE_COST = 128
_CLOSING = 5.0
_HEADER = "Sec-WebSocket-Protocol"


async def open_websocket(request: web.Request, protocol: Protocol) -> web.WebSocketResponse:
    """Answer 101 with ``protocol``. Raises web.HTTPBadRequest for a request that is not right."""
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
        watch_peer(request.transport)
    return socket


async def _next(socket: web.WebSocketResponse, pong: asyncio.Event) -> WSMessage | None:
    """Return the next message that carries something, None once the client is gone."""
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
    inbox: Inbox = attrs.field(factory=Inbox, init=False, repr=False)
    sink: Sink = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.sink = self.inbox

    async def read(self, limit: int = 65536) -> bytes:
        """Return the next bytes of the client; empty once it has closed the channel."""
        return await self.inbox.read(limit)

    async def write(self, data: bytes) -> None:
        """Send ``data``; waits while the client reads slower. Raises ConnectionError."""
        for part in parts(data):
            await self._connection.send(self.number, part)

    async def write_eof(self) -> None:
        """End reading too: a server cannot end one channel, only the whole connection.

        So the client is not told, and would never end its own side.
        """
        self.inbox.end()


@attrs.define(eq=False)
class ChannelConnection:
    """One WebSocket with channels. What comes for a channel that is not in ``reads`` is dropped."""

    client_closes: ClassVar[bool] = False
    _socket: web.WebSocketResponse = attrs.field(repr=False)
    _channels: Channels
    _lifetime: Lifetime = attrs.field(repr=False)
    _reads: dict[int, ChannelStream] = attrs.field(factory=dict, init=False, repr=False)
    _unread: int = attrs.field(default=0, init=False)
    _gate: Gate = attrs.field(init=False, repr=False)
    # While one channel waits for the client to read, the others keep their bytes.
    _sending: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False, repr=False)
    _pong: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)
    _code: int = attrs.field(default=WSCloseCode.OK, init=False)

    def __attrs_post_init__(self) -> None:
        self._gate = Gate(lambda: self._unread > _UNREAD, self._sign_of_life)

    def stream(self, number: int, *, reads: bool = False) -> ChannelStream:
        """Return a channel; with ``reads`` it gets what the client sends on it."""
        stream = ChannelStream(number, self)
        if reads:
            self._reads[number] = stream
        return stream

    async def run(self) -> None:
        """Read until the client is gone or sends what it may not."""
        try:
            while message := await _next(self._socket, self._pong):
                self._take(self._channels.decode(message.data))
                await self._gate.passed()
        except ChannelError as error:
            log.info("WebSocket session failed", extra={"error": str(error)})
            self._code = WSCloseCode.INVALID_TEXT
        except ConnectionError:
            pass  # the same as an end
        finally:
            for stream in self._reads.values():
                stream.sink.end(ClientGoneError("the client has gone"))

    async def settle(self) -> None:
        """Return once the client has read all that was sent. Raises ConnectionError."""
        self._pong.clear()
        await self._socket.ping()
        await self._pong.wait()

    async def close(self) -> None:
        """Close the WebSocket, in a time that does not depend on the client."""
        await _close(self._socket, self._code)

    async def send(self, number: int, part: bytes) -> None:
        """Send one message, perhaps empty. Raises ConnectionError."""
        async with self._sending:
            await _send(self._socket, self._channels.encode(number, part))
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

    async def _sign_of_life(self) -> None:
        await self._socket.pong()


@attrs.define(eq=False)
class MessagePipe:
    """The binary messages of a WebSocket as one row of bytes, for a SPDY session."""

    _socket: web.WebSocketResponse = attrs.field(repr=False)
    _pong: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)

    async def read(self) -> bytes:
        """Return the next message's bytes, empty once the client is gone."""
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
        raise ClientGoneError("the client has gone") from None


async def _close(socket: web.WebSocketResponse, code: int = WSCloseCode.OK) -> None:
    try:
        async with asyncio.timeout(2 * _CLOSING):
            await socket.close(code=code)
    except TimeoutError:
        pass  # it has cut the connection off
