"""Exec and attach for a WebSocket client at a kubelet that knows only SPDY.

In: an upgraded WebSocket of ``v5.channel.k8s.io`` and a way to the kubelet. Out: nothing; each
channel is a SPDY stream there, and what the kubelet's error stream says is passed on. What goes
wrong on the way is told on the error channel too, since the WebSocket is open before the kubelet is
asked.

Surprising: a channel that the client closes ends its stream, but a stream that the kubelet ends
cannot end its channel; the client waits for the error channel.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import attrs

from vk.devcluster.proxy.heads import AnswerHead
from vk.devcluster.proxy.kubelets import Kubelet, Kubelets, UnreachableError
from vk.devcluster.proxy.pipes import KubeletGoneError, KubeletPipe
from vk.devcluster.proxy.spdy_client import SpdyClient, SpdyStream
from vk.server.exec import Asked
from vk.streaming.exit_status import exit_outcome, failure_outcome
from vk.streaming.negotiation import (
    EXEC_SPDY,
    NegotiationError,
    Protocol,
    choose_spdy,
    stream_types,
)
from vk.streaming.session import End
from vk.streaming.websocket.channels import Channel
from vk.streaming.websocket.connection import ChannelConnection, ChannelStream

__all__ = ["PROTOCOL", "Translation", "spdy_upgrade", "upgraded"]

PROTOCOL = "v5.channel.k8s.io"
_VERSION = 5
_HEADER = "X-Stream-Protocol-Version"
_OFFERED = EXEC_SPDY[:4]  # the first version tells outcomes in another way
_LONGEST_OUTCOME = 1 << 20
_OUTPUTS = {"stdout": Channel.STDOUT, "stderr": Channel.STDERR}
_INPUTS = {"stdin": Channel.STDIN, "resize": Channel.RESIZE}

Dial = Callable[[], AbstractAsyncContextManager[tuple[KubeletPipe, Protocol]]]


def spdy_upgrade(kubelet: Kubelet, names: list[str]) -> list[tuple[str, str]]:
    """Return the headers that ask a kubelet for SPDY with one of the protocols."""
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

    Raises UnreachableError, whose text is what the kubelet said where it refuses.
    """
    pipe = await kubelets.dial(kubelet)
    try:
        offered = [protocol.name for protocol in _OFFERED]
        try:
            head = await pipe.exchange("POST", target, spdy_upgrade(kubelet, offered))
        except KubeletGoneError as error:
            raise UnreachableError(str(error)) from None
        if head.status != 101:
            said = (await pipe.body(head)).decode(errors="replace").strip()
            raise UnreachableError(f"unable to upgrade connection: {said or head.status}")
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
    """One session: what `vk.streaming.conversation.converse` needs."""

    _connection: ChannelConnection = attrs.field(repr=False)
    _asked: Asked
    _dial: Dial = attrs.field(repr=False)
    _inputs: dict[str, ChannelStream] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        wanted = {"stdin": self._asked.stdin, "resize": self._asked.tty}
        self._inputs = {
            name: self._connection.stream(_INPUTS[name], reads=True)
            for name, there in wanted.items()
            if there
        }

    async def talk(self) -> None:
        """Say that all is ready, translate until the end, tell how it ended."""
        asked = self._asked
        ready = Channel.STDERR if asked.stderr else Channel.ERROR
        await self._connection.send(Channel.STDOUT if asked.stdout else ready, b"")
        await self._conclude(await self._outcome())

    async def farewell(self, reason: End) -> None:
        """Tell why the session ends."""
        await self._conclude(failure_outcome(_VERSION, reason.value))

    async def _conclude(self, outcome: bytes) -> None:
        for channel in self._inputs.values():
            channel.inbox.discard()
        await self._connection.stream(Channel.ERROR).write(outcome)

    async def _outcome(self) -> bytes:
        try:
            async with self._dial() as (pipe, protocol):
                return await self._translate(pipe, protocol)
        except UnreachableError as error:
            return failure_outcome(_VERSION, f"Internal error occurred: {error}")

    async def _translate(self, pipe: KubeletPipe, protocol: Protocol) -> bytes:
        spdy = SpdyClient(pipe)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(spdy.run())
            try:
                streams = await self._open(spdy, protocol)
            except KubeletGoneError as error:
                outcome = failure_outcome(_VERSION, f"Internal error occurred: {error}")
            else:
                outcome = await self._pump(streams, protocol)
            reading.cancel()
        return outcome

    async def _open(self, spdy: SpdyClient, protocol: Protocol) -> dict[str, SpdyStream]:
        kinds = stream_types(protocol, **attrs.asdict(self._asked))
        return {kind: await spdy.open(kind) for kind in _ORDER if kind in kinds}

    async def _pump(self, streams: dict[str, SpdyStream], protocol: Protocol) -> bytes:
        """Copy in both directions until all output is there; return what the error channel says."""
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
            said = await _read_outcome(streams["error"])
            if outputs:
                await asyncio.wait(outputs)
            for task in inputs:
                task.cancel()
        return _told(said, protocol.version, broken=streams["error"].broken)


_ORDER = ("error", "stdin", "stdout", "stderr", "resize")


async def _put_in(channel: ChannelStream, stream: SpdyStream) -> None:
    try:
        while data := await channel.read():
            await stream.write(data)
        await stream.write_eof()
    except ConnectionError:
        channel.inbox.discard()  # the command reads no more; other channels go on


async def _put_out(stream: SpdyStream, channel: ChannelStream) -> None:
    try:
        while data := await stream.read():
            await channel.write(data)
    except ConnectionError:
        stream.inbox.discard()  # the client is gone, which ends the session elsewhere


async def _read_outcome(stream: SpdyStream) -> bytes:
    said = bytearray()
    while data := await stream.read():
        said += data[: _LONGEST_OUTCOME - len(said)]
    return bytes(said)


def _told(said: bytes, version: int, *, broken: bool) -> bytes:
    """Return for version 5 what a kubelet's error stream of ``version`` has said."""
    if not said:
        if broken:
            return failure_outcome(_VERSION, "the kubelet has closed the connection")
        return exit_outcome(_VERSION, 0)
    return said if version >= 4 else failure_outcome(_VERSION, said.decode(errors="replace"))
