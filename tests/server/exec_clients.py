"""Exec and attach as any client speaks it: one face for all protocols of both transports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import attrs
from spdy_client import ClientStream, SpdyClient, spdy
from streaming_world import Served

from vk.streaming.websocket.channels import Channel, Channels

SPDY = [f"v{version}.channel.k8s.io" for version in (5, 4, 3, 2)] + ["channel.k8s.io"]
WEBSOCKET = [
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "base64.channel.k8s.io",
    "",
]
EVERY = [("spdy", name) for name in SPDY] + [("websocket", name) for name in WEBSOCKET]


def version(name: str) -> int:
    return int(name[1]) if name.startswith("v") else 1


@attrs.frozen
class Result:
    """What the client got."""

    stdout: bytes
    stderr: bytes
    error: bytes

    @property
    def status(self) -> Any:
        return json.loads(self.error)


@attrs.define(eq=False)
class SpdyExec:
    """Over SPDY."""

    client: SpdyClient
    streams: dict[str, ClientStream] = attrs.field(factory=dict)

    async def send(self, data: bytes) -> None:
        await self.streams["stdin"].write(data)

    async def end_input(self) -> None:
        await self.streams["stdin"].finish()

    async def resize(self, text: bytes) -> None:
        await self.streams["resize"].write(text)

    async def result(self) -> Result:
        got = {kind: await stream.read_to_end() for kind, stream in self.streams.items()}
        return Result(got.get("stdout", b""), got.get("stderr", b""), got["error"])

    async def output(self, size: int) -> bytes:
        return await self.streams["stdout"].read_until(size)


@attrs.define(eq=False)
class WebSocketExec:
    """Over WebSocket."""

    socket: aiohttp.ClientWebSocketResponse
    channels: Channels
    received: dict[int, bytearray] = attrs.field(
        factory=lambda: {number: bytearray() for number in Channel}
    )
    first: list[Any] = attrs.field(factory=list)

    async def _send(self, message: bytes | str) -> None:
        if isinstance(message, str):
            await self.socket.send_str(message)
        else:
            await self.socket.send_bytes(message)

    async def send(self, data: bytes) -> None:
        for start in range(0, len(data), 32768):
            await self._send(self.channels.encode(Channel.STDIN, data[start : start + 32768]))

    async def end_input(self) -> None:
        await self.socket.send_bytes(self.channels.close(Channel.STDIN))

    async def resize(self, text: bytes) -> None:
        await self._send(self.channels.encode(Channel.RESIZE, text))

    async def result(self) -> Result:
        while await self._receive():
            pass
        return Result(*(bytes(self.received[number]) for number in (1, 2, 3)))

    async def output(self, size: int) -> bytes:
        while len(self.received[Channel.STDOUT]) < size and await self._receive():
            pass
        return bytes(self.received[Channel.STDOUT])

    async def _receive(self) -> bool:
        message = await self.socket.receive()
        if message.type not in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
            return False
        decoded = self.channels.decode(message.data)
        assert decoded is not None
        self.first = self.first or [decoded]
        self.received[decoded.channel] += decoded.data
        return True


Exec = SpdyExec | WebSocketExec


def path(kind: str, *command: str, streams: str = "ioe", tty: bool = False) -> str:
    """Return the path of a request; ``streams`` are i, o, e for stdin, stdout, stderr."""
    names = {"i": "input", "o": "output", "e": "error"}
    query = [f"{names[one]}=1" for one in streams] + ["tty=1"] * tty
    query += [f"command={word}" for word in command]
    return f"/{kind}/default/web/app?{'&'.join(query)}"


@asynccontextmanager
async def started(
    served: Served,
    how: tuple[str, str],
    *command: str,
    kind: str = "exec",
    streams: str = "ioe",
    tty: bool = False,
) -> AsyncIterator[Exec]:
    """Begin a session over transport and protocol ``how``."""
    transport, name = how
    target = path(kind, *command, streams=streams, tty=tty)
    if transport == "spdy":
        async with spdy(served, target, [name]) as client:
            assert client.protocol == name
            one = SpdyExec(client)
            kinds = ["error", *({"i": "stdin", "o": "stdout", "e": "stderr"}[s] for s in streams)]
            kinds = [kind for kind in kinds if not (tty and kind == "stderr")]
            for stream in kinds + ["resize"] * (tty and version(name) >= 3):
                one.streams[stream] = await client.open(streamtype=stream)
            yield one
    else:
        async with websocket(served, target, name) as socket:
            base64, closes = "base64" in name, name.startswith("v5")
            yield WebSocketExec(socket, Channels(5, base64=base64, closes=closes))


@asynccontextmanager
async def websocket(
    served: Served, target: str, *names: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Open a WebSocket, read no faster than the test does."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        url = f"https://127.0.0.1:{served.port}{target}"
        asked = [name for name in names if name]
        async with session.ws_connect(
            url, protocols=asked, ssl=served.tls, max_msg_size=0
        ) as socket:
            assert socket.protocol == (asked[0] if asked else None)
            yield socket
