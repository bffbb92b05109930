"""The client's side of a SPDY session with a kubelet: streams that this side opens.

In: an upgraded `DuplexPipe`. Out: `SpdyClientStream`s to read from and write to, while
`SpdyClient.run` runs. Used for a WebSocket client of a kubelet without WebSocket support.

There is no flow control per stream; a stream that is not read stops the others, once
`vk.streaming.spdy.session.UNREAD` waits in it.
"""

from __future__ import annotations

import asyncio
from functools import partial

import attrs

from vk.devcluster.proxy.kubelet_connection import KubeletGoneError
from vk.streaming.receive_buffer import ReadGate, ReceiveBuffer
from vk.streaming.spdy.connection import DuplexPipe, parts
from vk.streaming.spdy.frames import Data
from vk.streaming.spdy.session import (
    Event,
    HalfClosed,
    SessionFailed,
    SpdySession,
    StreamAccepted,
    StreamReset,
)

__all__ = ["SpdyClient", "SpdyClientStream"]


@attrs.define(eq=False)
class SpdyClientStream:
    """A stream that was opened here."""

    stream_id: int
    _client: SpdyClient = attrs.field(repr=False)
    received: ReceiveBuffer = attrs.field(factory=ReceiveBuffer, init=False, repr=False)
    answered: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)
    """Set when the kubelet has accepted it, or never will."""
    accepted: bool = attrs.field(default=False, init=False)
    broken: bool = attrs.field(default=False, init=False)
    """Whether it ended by a reset or by the end of the connection, not by its own end."""

    async def read(self) -> bytes:
        """Return the next bytes of the kubelet; empty at the end, however it came."""
        return await self.received.read()

    async def write(self, data: bytes) -> None:
        """Send ``data``; waits while the kubelet reads slower. Raises KubeletGoneError."""
        for part in parts(data):
            await self._client.send(self.stream_id, part)

    async def write_eof(self) -> None:
        """End this side; reading goes on. Raises KubeletGoneError."""
        await self._client.finish(self.stream_id)


@attrs.define(eq=False)
class SpdyClient:
    """One session on a connection, which its owner closes."""

    _pipe: DuplexPipe = attrs.field(repr=False)
    _session: SpdySession = attrs.field(
        factory=lambda: SpdySession(client=True), init=False, repr=False
    )
    _streams: dict[int, SpdyClientStream] = attrs.field(factory=dict, init=False, repr=False)
    _gate: ReadGate = attrs.field(init=False, repr=False)
    _gone: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._gate = ReadGate(lambda: self._session.congested, self._keepalive)

    async def run(self) -> None:
        """Read until the kubelet disconnects or breaks the protocol."""
        loop = asyncio.get_running_loop()
        try:
            while chunk := await self._pipe.read():
                events = self._session.receive(chunk, loop.time())
                for event in events:
                    self._handle(event)
                await self._flush()
                if any(isinstance(event, SessionFailed) for event in events):
                    return
                await self._gate.passed()
        except ConnectionError:
            pass  # the same as an end
        finally:
            self._gone = True
            for stream in self._streams.values():
                _end(stream, broken=True)

    async def open(self, kind: str) -> SpdyClientStream:
        """Open a stream of a ``streamtype``; return it once the kubelet has accepted it.

        Raises KubeletGoneError where it does not.
        """
        if self._gone:
            raise KubeletGoneError("the kubelet has closed the connection")
        stream = SpdyClientStream(self._session.open({"streamtype": kind}), self)
        self._streams[stream.stream_id] = stream
        await self._flush()
        await stream.answered.wait()
        if not stream.accepted:
            raise KubeletGoneError(f"the kubelet has refused the stream {kind}")
        return stream

    async def send(self, stream_id: int, part: bytes) -> None:
        """Send a piece of a stream. Raises KubeletGoneError."""
        if self._gone or not self._session.send(stream_id, part):
            raise KubeletGoneError("the kubelet has closed the stream")
        await self._flush()

    async def finish(self, stream_id: int) -> None:
        """End this side of a stream."""
        self._session.finish(stream_id)
        await self._flush()

    def _handle(self, event: Event) -> None:
        match event:
            case Data(stream_id, data):
                used, known = partial(self._used, event), self._streams.get(stream_id)
                if known is None:
                    used()
                else:
                    known.received.put(data, used)
            case StreamAccepted(stream_id) if stream_id in self._streams:
                stream = self._streams[stream_id]
                stream.accepted = True
                stream.answered.set()
            case HalfClosed(stream_id) if stream_id in self._streams:
                _end(self._streams.pop(stream_id), broken=False)
            case StreamReset(stream_id) if stream_id in self._streams:
                _end(self._streams.pop(stream_id), broken=True)
                self._gate.open()
            case _:
                pass  # a kubelet opens no streams; other events of the session need no handling

    def _used(self, piece: Data) -> None:
        self._session.consumed(piece)
        self._gate.open()

    async def _flush(self) -> None:
        outgoing = b"".join(self._session.take())
        if outgoing:
            await self._pipe.write(outgoing)

    async def _keepalive(self) -> None:
        self._session.ping()
        await self._flush()


def _end(stream: SpdyClientStream, *, broken: bool) -> None:
    stream.broken = broken
    stream.received.end()
    stream.answered.set()
