"""A SPDY session on a connection: its streams as objects to read from and write to.

In: a `Pipe`, which is a `vk.streaming.http_upgrade.Wire` or the messages of a WebSocket, and a
function that is told of each stream that the client opens. Out: `SpdyStream`s.
Used by exec, attach and port-forward; `vk.streaming.conversation` calls `run` and `close`.

Surprising: there is no flow control per stream, so one that is not read stops the whole connection,
once `vk.streaming.spdy.streams.UNREAD` waits. Whether the client has read everything is known by
asking: the answer to a ping comes after all that was sent before it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import ClassVar, Protocol

import attrs

from vk.streaming.receive_buffer import Gate, Inbox, Sink
from vk.streaming.session import ClientGoneError, Lifetime
from vk.streaming.spdy.events import (
    Event,
    HalfClosed,
    Pong,
    SessionFailed,
    StreamOpened,
    StreamReset,
)
from vk.streaming.spdy.frames import Data, ResetStatus
from vk.streaming.spdy.session import FRAME_SIZE, Session

__all__ = ["Pipe", "SpdyConnection", "SpdyStream", "parts"]

log = logging.getLogger(__name__)

_GOODBYE = 2.0


class Pipe(Protocol):
    """What a session runs on; all but `close` raise ConnectionError when the peer is gone."""

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
    inbox: Inbox = attrs.field(factory=Inbox, init=False, repr=False)
    sink: Sink = attrs.field(init=False, repr=False)
    on_reset: Callable[[], None] = attrs.field(default=lambda: None, init=False, repr=False)
    """Called when the client breaks the stream off."""
    sent_fin: bool = attrs.field(default=False, init=False)
    got_fin: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.sink = self.inbox

    def accept(self) -> None:
        """Tell the client that the stream is wanted. Sent with what comes next."""
        self._connection.session.accept(self.stream_id)

    def refuse(self, status: ResetStatus = ResetStatus.REFUSED_STREAM) -> None:
        """Break the stream off. Sent with what comes next."""
        self._connection.drop(self, status)

    async def read(self, limit: int = 65536) -> bytes:
        """Return the next bytes of the client; empty once it has ended its side."""
        return await self.inbox.read(limit)

    async def write(self, data: bytes) -> None:
        """Send ``data``; waits while the client reads slower. Raises ConnectionError."""
        for part in parts(data):
            await self._connection.send(self, part)

    async def write_eof(self) -> None:
        """End our side. May be repeated, and after the client has gone."""
        await self._connection.finish(self)


@attrs.define(eq=False)
class SpdyConnection:
    """One session. ``opened`` accepts or refuses each stream that the client opens."""

    client_closes: ClassVar[bool] = True
    _pipe: Pipe = attrs.field(repr=False)
    session: Session = attrs.field(repr=False)
    _lifetime: Lifetime = attrs.field(repr=False)
    _opened: Callable[[SpdyStream], None] = attrs.field(repr=False)
    _streams: dict[int, SpdyStream] = attrs.field(factory=dict, init=False, repr=False)
    _gate: Gate = attrs.field(init=False, repr=False)
    # While one stream waits for the client to read, the others keep their bytes.
    _sending: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False, repr=False)
    _pongs: dict[int, asyncio.Event] = attrs.field(factory=dict, init=False, repr=False)
    gone: bool = attrs.field(default=False, init=False)
    """Whether nobody is there any more."""

    def __attrs_post_init__(self) -> None:
        self._gate = Gate(lambda: self.session.congested, self._sign_of_life)

    async def run(self) -> None:
        """Read until the peer is gone or says what cannot be understood."""
        loop = asyncio.get_running_loop()
        try:
            while chunk := await self._pipe.read():
                failed = False
                for event in self.session.receive(chunk, loop.time()):
                    failed |= self._told(event)
                await self._answer()
                if failed:
                    return
                await self._gate.passed()
        except ConnectionError:
            pass  # the same as an end
        finally:
            self.gone = True
            for stream in self._streams.values():
                stream.sink.end(ClientGoneError("the client has gone"))

    async def settle(self) -> None:
        """Return once the peer has read all that was sent. Raises ConnectionError."""
        ping_id = self.session.ping()
        pong = self._pongs[ping_id] = asyncio.Event()
        await self._answer()
        await pong.wait()

    async def close(self) -> None:
        """Say goodbye and close the connection, in a time that does not depend on the peer."""
        self.session.go_away()
        try:
            async with asyncio.timeout(_GOODBYE):
                await self._answer()
        except (ConnectionError, TimeoutError):
            pass  # nobody to say it to
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
        """End our side of a stream, if it is there."""
        self.session.finish(stream.stream_id)
        stream.sent_fin = True
        self._forget_done(stream)
        if not self.gone:
            await self._answer()

    def drop(self, stream: SpdyStream, status: ResetStatus) -> None:
        """Break a stream off."""
        self._streams.pop(stream.stream_id, None)
        self.session.reset(stream.stream_id, status)
        stream.sink.end(ClientGoneError("the stream was refused"))
        self._gate.open()

    def _told(self, event: Event) -> bool:
        """Pass an event on; return whether it is the last one."""
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
                stream.sink.end(ClientGoneError("the client has broken the stream off"))
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

    async def _sign_of_life(self) -> None:
        self.session.ping()
        await self._answer()
