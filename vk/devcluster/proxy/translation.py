"""Exec and attach for a WebSocket client at a kubelet that supports only SPDY.

In: an upgraded WebSocket of ``v5.channel.k8s.io`` and a connection to the kubelet. Out: nothing;
each channel is a SPDY stream there, and what the kubelet sends on its error stream is passed on.
Failures on the way go to the error channel too, since the WebSocket is open before the kubelet is
dialled.

A channel that the client closes ends its stream, but a stream that the kubelet ends cannot end its
channel; the client waits for the error channel.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import attrs

from vk.devcluster.proxy.kubelet_connection import AnswerHead, KubeletGoneError, KubeletPipe
from vk.devcluster.proxy.kubelets import Kubelet, Kubelets, UnreachableError
from vk.devcluster.proxy.spdy_client import SpdyClient, SpdyClientStream
from vk.streaming.exit_status import exit_status, failure_status
from vk.streaming.negotiation import (
    EXEC_SPDY,
    NegotiationError,
    Protocol,
    RequestedStreams,
    choose_spdy,
)
from vk.streaming.session import SessionEnd
from vk.streaming.websocket.channels import Channel
from vk.streaming.websocket.connection import ChannelConnection, ChannelStream

__all__ = ["PROTOCOL", "Translation", "spdy_upgrade", "upgraded"]

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
    """Give a SPDY connection for exec or attach.

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
