"""A SPDY session on a connection: its streams as objects to read from and write to.

In: a `DuplexPipe` (an upgraded connection, or the messages of a WebSocket), and a function that is
called with each stream that the client opens. Out: `SpdyStream`s. Used by exec, attach and
port-forward; `vk.streaming.session.run_session` calls `run` and `close`.

There is no flow control per stream, so one that is not read stops the whole connection, once
`vk.streaming.spdy.session.UNREAD` waits. A ping finds out whether the client has read everything:
its answer comes after all that was sent before it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import ClassVar, Protocol

import attrs

from vk.streaming.receive_buffer import ReadGate, ReceiveBuffer, StreamSink
from vk.streaming.session import ClientGoneError, SessionLifetime
from vk.streaming.spdy.frames import Data, ResetStatus
from vk.streaming.spdy.session import (
    FRAME_SIZE,
    Event,
    HalfClosed,
    Pong,
    SessionFailed,
    SpdySession,
    StreamOpened,
    StreamReset,
)

__all__ = ["DuplexPipe", "SpdyConnection", "SpdyStream", "parts"]

log = logging.getLogger(__name__)

_CLOSE_TIMEOUT = 2.0


class DuplexPipe(Protocol):
    """Bytes of a connection; all but `close` raise ConnectionError when the peer is gone."""

    async def read(self) -> bytes:
        """Return the next chunk, empty once the peer is gone."""
        ...

    async def write(self, data: bytes) -> None:
        """Send at once, in the order of the calls; return once little enough waits."""
        ...

    async def answer(self, data: bytes) -> None:
        """Send at once; wait for a slow reader only if very much waits for it."""
        ...

    async def close(self) -> None:
        """Close, in a time that does not depend on the peer."""
        ...


def parts(data: bytes) -> Iterator[bytes]:
    """Yield ``data`` in pieces that are sent one at a time."""
    if len(data) <= FRAME_SIZE:
        if data:
            yield bytes(data)  # what a provider may still change is copied
        return
    view = memoryview(data)
    for start in range(0, len(view), FRAME_SIZE):
        yield bytes(view[start : start + FRAME_SIZE])


@attrs.define(eq=False)
class SpdyStream:
    """A stream that the client has opened. ``sink`` takes what it carries; by default `read`."""

    stream_id: int
    headers: Mapping[str, str]
    _connection: SpdyConnection = attrs.field(repr=False)
    received: ReceiveBuffer = attrs.field(factory=ReceiveBuffer, init=False, repr=False)
    sink: StreamSink = attrs.field(init=False, repr=False)
    on_reset: Callable[[], None] = attrs.field(default=lambda: None, init=False, repr=False)
    """Called when the client resets the stream."""
    sent_fin: bool = attrs.field(default=False, init=False)
    got_fin: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.sink = self.received

    def accept(self) -> None:
        """Accept the stream. Sent with what comes next."""
        self._connection.session.accept(self.stream_id)

    def refuse(self, status: ResetStatus = ResetStatus.REFUSED_STREAM) -> None:
        """Reset the stream. Sent with what comes next."""
        self._connection.drop(self, status)

    async def read(self, limit: int = 65536) -> bytes:
        """Return the next bytes of the client; empty once it has ended its side."""
        return await self.received.read(limit)

    async def write(self, data: bytes) -> None:
        """Send ``data``; waits while the client reads slower. Raises ConnectionError."""
        for part in parts(data):
            await self._connection.send(self, part)

    async def write_eof(self) -> None:
        """End this side. May be repeated, and after the client has disconnected."""
        await self._connection.finish(self)


@attrs.define(eq=False)
class SpdyConnection:
    """One session. ``opened`` accepts or refuses each stream that the client opens."""

    client_closes: ClassVar[bool] = True
    _pipe: DuplexPipe = attrs.field(repr=False)
    session: SpdySession = attrs.field(repr=False)
    _lifetime: SessionLifetime = attrs.field(repr=False)
    _opened: Callable[[SpdyStream], None] = attrs.field(repr=False)
    _streams: dict[int, SpdyStream] = attrs.field(factory=dict, init=False, repr=False)
    _gate: ReadGate = attrs.field(init=False, repr=False)
    # While one stream waits for the client to read, the others keep their bytes.
    _sending: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False, repr=False)
    _pongs: dict[int, asyncio.Event] = attrs.field(factory=dict, init=False, repr=False)
    gone: bool = attrs.field(default=False, init=False)
    """Whether the client has disconnected."""

    def __attrs_post_init__(self) -> None:
        self._gate = ReadGate(lambda: self.session.congested, self._keepalive)

    async def run(self) -> None:
        """Read until the peer is gone or breaks the protocol."""
        loop = asyncio.get_running_loop()
        try:
            while chunk := await self._pipe.read():
                failed = False
                for event in self.session.receive(chunk, loop.time()):
                    failed |= self._handle(event)
                await self._answer()
                if failed:
                    return
                await self._gate.passed()
        except ConnectionError:
            pass  # the same as an end
        finally:
            self.gone = True
            for stream in self._streams.values():
                stream.sink.end(ClientGoneError("the client disconnected"))

    async def settle(self) -> None:
        """Return once the peer has read all that was sent. Raises ConnectionError."""
        ping_id = self.session.ping()
        pong = self._pongs[ping_id] = asyncio.Event()
        await self._answer()
        await pong.wait()

    async def close(self) -> None:
        """Send GOAWAY and close the connection, in a time that does not depend on the peer."""
        self.session.go_away()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await self._answer()
        except (ConnectionError, TimeoutError):
            pass  # the peer is gone or does not read
        finally:
            await self._pipe.close()

    async def send(self, stream: SpdyStream, part: bytes) -> None:
        """Send a piece of a stream; raises ConnectionError when it or the client is gone."""
        async with self._sending:
            if not self.session.send(stream.stream_id, part):
                raise ClientGoneError("the client has closed the stream")
            await self._pipe.write(b"".join(self.session.take()))
        await self._lifetime.moved(len(part))

    async def finish(self, stream: SpdyStream) -> None:
        """End this side of a stream, if it is still known."""
        self.session.finish(stream.stream_id)
        stream.sent_fin = True
        self._forget_done(stream)
        if not self.gone:
            await self._answer()

    def drop(self, stream: SpdyStream, status: ResetStatus) -> None:
        """Reset a stream."""
        self._streams.pop(stream.stream_id, None)
        self.session.reset(stream.stream_id, status)
        stream.sink.end(ClientGoneError("the stream was refused"))
        self._gate.open()

    def _handle(self, event: Event) -> bool:
        """Handle an event; return whether it is the last one."""
        match event:
            case Data(stream_id, data):
                self._lifetime.touch()
                used, known = partial(self._used, event), self._streams.get(stream_id)
                if known is None:
                    used()
                else:
                    known.sink.put(data, used)
            case StreamOpened(stream_id, headers):
                stream = self._streams[stream_id] = SpdyStream(stream_id, headers, self)
                self._opened(stream)
            case HalfClosed(stream_id) if stream_id in self._streams:
                stream = self._streams[stream_id]
                stream.got_fin = True
                stream.sink.end()
                self._forget_done(stream)
            case StreamReset(stream_id) if stream_id in self._streams:
                stream = self._streams.pop(stream_id)
                stream.sink.end(ClientGoneError("the client has reset the stream"))
                self._gate.open()
                stream.on_reset()
            case Pong(ping_id) if ping_id in self._pongs:
                self._pongs.pop(ping_id).set()
            case SessionFailed(reason):
                log.info("SPDY session failed", extra={"error": reason})
                return True
        return False

    def _used(self, piece: Data) -> None:
        self.session.consumed(piece)
        self._gate.open()

    def _forget_done(self, stream: SpdyStream) -> None:
        if stream.sent_fin and stream.got_fin:
            self._streams.pop(stream.stream_id, None)

    async def _answer(self) -> None:
        outgoing = b"".join(self.session.take())
        if outgoing:
            await self._pipe.answer(outgoing)

    async def _keepalive(self) -> None:
        self.session.ping()
        await self._answer()
