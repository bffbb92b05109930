"""Exec and attach for a WebSocket client at a kubelet that supports only SPDY.

`Translation` opens a stream of a SPDY session with the kubelet (`SpdyClient`) for each channel of
an upgraded WebSocket of ``v5.channel.k8s.io``, and passes on what the kubelet sends on its error
stream. Failures on the way go to the error channel too, since the WebSocket is open before the
kubelet is dialled.

A channel that the client closes ends its stream, but a stream that the kubelet ends cannot end its
channel; the client waits for the error channel. There is no flow control per stream: one that is
not read stops the others, once `vk.streaming.spdy.session.UNREAD` waits in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import attrs

from vk.devcluster.proxy.kubelet_connection import AnswerHead, KubeletGoneError, KubeletPipe
from vk.devcluster.proxy.kubelets import Kubelet, Kubelets, UnreachableError
from vk.streaming.exit_status import exit_status, failure_status
from vk.streaming.negotiation import (
    EXEC_SPDY,
    NegotiationError,
    Protocol,
    RequestedStreams,
    choose_spdy,
)
from vk.streaming.receive_buffer import ReadGate, ReceiveBuffer
from vk.streaming.session import SessionEnd
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
from vk.streaming.websocket.channels import Channel
from vk.streaming.websocket.connection import ChannelConnection, ChannelStream

__all__ = ["PROTOCOL", "Translation", "spdy_upgrade", "upgraded"]


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
    """It ended by a reset or by the end of the connection, not by its own end."""

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


PROTOCOL = "v5.channel.k8s.io"
_VERSION = 5
_HEADER = "X-Stream-Protocol-Version"
_OFFERED = EXEC_SPDY[:4]  # the first version sends the status in another form
_LONGEST_STATUS = 1 << 20
_OUTPUTS = {"stdout": Channel.STDOUT, "stderr": Channel.STDERR}
_INPUTS = {"stdin": Channel.STDIN, "resize": Channel.RESIZE}

Dial = Callable[[], AbstractAsyncContextManager[tuple[KubeletPipe, Protocol]]]


def spdy_upgrade(kubelet: Kubelet, names: list[str]) -> list[tuple[str, str]]:
    """Return the headers that request SPDY with one of the protocols."""
    return [
        ("Host", kubelet.authority),
        ("Connection", "Upgrade"),
        ("Upgrade", "SPDY/3.1"),
        ("Content-Length", "0"),
        *((_HEADER, name) for name in names),
    ]


@asynccontextmanager
async def upgraded(
    kubelets: Kubelets, kubelet: Kubelet, target: str
) -> AsyncIterator[tuple[KubeletPipe, Protocol]]:
    """Yield a SPDY connection for exec or attach.

    Raises UnreachableError; where the kubelet refuses, its text is that of the answer.
    """
    pipe = await kubelets.dial(kubelet)
    try:
        offered = [protocol.name for protocol in _OFFERED]
        try:
            head = await pipe.exchange("POST", target, spdy_upgrade(kubelet, offered))
        except KubeletGoneError as error:
            raise UnreachableError(str(error)) from None
        if head.status != 101:
            text = (await pipe.body(head)).decode(errors="replace").strip()
            raise UnreachableError(f"unable to upgrade connection: {text or head.status}")
        yield pipe, _chosen(head)
    finally:
        await pipe.close()


def _chosen(head: AnswerHead) -> Protocol:
    try:
        return choose_spdy([head.get(_HEADER)], _OFFERED)
    except NegotiationError:
        raise UnreachableError("unable to upgrade: the kubelet chose no known protocol") from None


@attrs.define(eq=False)
class Translation:
    """One session: what `vk.streaming.session.run_session` needs."""

    _connection: ChannelConnection = attrs.field(repr=False)
    _requested: RequestedStreams
    _dial: Dial = attrs.field(repr=False)
    _inputs: dict[str, ChannelStream] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        wanted = {"stdin": self._requested.stdin, "resize": self._requested.tty}
        self._inputs = {
            name: self._connection.stream(_INPUTS[name], reads=True)
            for name, there in wanted.items()
            if there
        }

    async def serve(self) -> None:
        """Send the first empty message, translate until the end, send the final status."""
        requested = self._requested
        ready = Channel.STDERR if requested.stderr else Channel.ERROR
        await self._connection.send(Channel.STDOUT if requested.stdout else ready, b"")
        await self._conclude(await self._outcome())

    async def notify_end(self, reason: SessionEnd) -> None:
        """Send the reason why the session ends."""
        await self._conclude(failure_status(_VERSION, reason.value))

    async def _conclude(self, outcome: bytes) -> None:
        for channel in self._inputs.values():
            channel.received.discard()
        await self._connection.stream(Channel.ERROR).write(outcome)

    async def _outcome(self) -> bytes:
        try:
            async with self._dial() as (pipe, protocol):
                return await self._translate(pipe, protocol)
        except UnreachableError as error:
            return failure_status(_VERSION, f"Internal error occurred: {error}")

    async def _translate(self, pipe: KubeletPipe, protocol: Protocol) -> bytes:
        spdy = SpdyClient(pipe)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(spdy.run())
            try:
                streams = await self._open(spdy, protocol)
            except KubeletGoneError as error:
                outcome = failure_status(_VERSION, f"Internal error occurred: {error}")
            else:
                outcome = await self._pump(streams, protocol)
            reading.cancel()
        return outcome

    async def _open(self, spdy: SpdyClient, protocol: Protocol) -> dict[str, SpdyClientStream]:
        kinds = self._requested.spdy_types(protocol)
        return {kind: await spdy.open(kind) for kind in _ORDER if kind in kinds}

    async def _pump(self, streams: dict[str, SpdyClientStream], protocol: Protocol) -> bytes:
        """Copy in both directions until all output is there; return the error stream's bytes."""
        async with asyncio.TaskGroup() as copies:
            inputs = [
                copies.create_task(_put_in(channel, streams[kind]))
                for kind, channel in self._inputs.items()
                if kind in streams
            ]
            outputs = [
                copies.create_task(_put_out(streams[kind], self._connection.stream(number)))
                for kind, number in _OUTPUTS.items()
                if kind in streams
            ]
            status = await _read_status(streams["error"])
            if outputs:
                await asyncio.wait(outputs)
            for task in inputs:
                task.cancel()
        return _translated(status, protocol.version, broken=streams["error"].broken)


_ORDER = ("error", "stdin", "stdout", "stderr", "resize")


async def _put_in(channel: ChannelStream, stream: SpdyClientStream) -> None:
    try:
        while data := await channel.read():
            await stream.write(data)
        await stream.write_eof()
    except ConnectionError:
        channel.received.discard()  # the command reads no more; other channels go on


async def _put_out(stream: SpdyClientStream, channel: ChannelStream) -> None:
    try:
        while data := await stream.read():
            await channel.write(data)
    except ConnectionError:
        stream.received.discard()  # the client is gone, which ends the session elsewhere


async def _read_status(stream: SpdyClientStream) -> bytes:
    status = bytearray()
    while data := await stream.read():
        status += data[: _LONGEST_STATUS - len(status)]
    return bytes(status)


def _translated(status: bytes, version: int, *, broken: bool) -> bytes:
    """Return for version 5 what a kubelet sent on its error stream of ``version``."""
    if not status:
        if broken:
            return failure_status(_VERSION, "the kubelet has closed the connection")
        return exit_status(_VERSION, 0)
    return status if version >= 4 else failure_status(_VERSION, status.decode(errors="replace"))
