"""A SPDY client on a real connection, made of the codec's client side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import attrs
from streaming_world import Served

from vk.streaming.spdy.frames import Data, ResetStatus
from vk.streaming.spdy.session import HalfClosed, Pong, SpdySession, StreamAccepted, StreamReset


class RefusedError(Exception):
    """The server did not upgrade."""

    def __init__(self, status: int, headers: Mapping[str, Sequence[str]], body: bytes) -> None:
        super().__init__(f"{status}: {body!r}")
        self.status, self.headers, self.body = status, headers, body


@attrs.define(eq=False)
class ClientStream:
    """One stream, from the side that opened it."""

    client: SpdyClient
    stream_id: int
    received: bytearray = attrs.field(factory=bytearray)
    accepted: asyncio.Event = attrs.field(factory=asyncio.Event)
    ended: asyncio.Event = attrs.field(factory=asyncio.Event)
    reset: int | None = None

    async def write(self, data: bytes) -> None:
        assert self.client.session.send(self.stream_id, data)
        await self.client.flush()

    async def finish(self) -> None:
        self.client.session.finish(self.stream_id)
        await self.client.flush()

    async def break_off(self) -> None:
        self.client.session.reset(self.stream_id, ResetStatus.CANCEL)
        await self.client.flush()

    async def read_to_end(self) -> bytes:
        await self.ended.wait()
        return bytes(self.received)

    async def read_until(self, size: int) -> bytes:
        while len(self.received) < size:
            self.client.news.clear()
            await self.client.news.wait()
        return bytes(self.received)


@attrs.define(eq=False)
class SpdyClient:
    """A session with the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    protocol: str
    session: SpdySession = attrs.field(factory=lambda: SpdySession(client=True))
    streams: dict[int, ClientStream] = attrs.field(factory=dict)
    news: asyncio.Event = attrs.field(factory=asyncio.Event)
    reading: asyncio.Event = attrs.field(factory=asyncio.Event)
    closed: asyncio.Event = attrs.field(factory=asyncio.Event)
    pongs: set[int] = attrs.field(factory=set)

    async def open(self, **headers: str) -> ClientStream:
        """Open a stream and wait until it is accepted, or broken off."""
        stream_id = self.session.open(headers)
        stream = self.streams[stream_id] = ClientStream(self, stream_id)
        await self.flush()
        await stream.accepted.wait()
        return stream

    async def flush(self) -> None:
        self.writer.write(b"".join(self.session.take()))
        await self.writer.drain()

    async def run(self) -> None:
        try:
            while True:
                await self.reading.wait()
                chunk = await self.reader.read(65536)
                if not chunk:
                    break
                for event in self.session.receive(chunk, asyncio.get_running_loop().time()):
                    self._take(event)
                # No wait here: a server that waits for this reader would wait indefinitely.
                self.writer.write(b"".join(self.session.take()))
        except ConnectionError:
            pass
        self.closed.set()
        for stream in self.streams.values():
            stream.ended.set()
            stream.accepted.set()
        self.news.set()

    def _take(self, event: object) -> None:
        match event:
            case StreamAccepted(stream_id):
                self.streams[stream_id].accepted.set()
            case Data(stream_id, data):
                self.session.consumed(event)
                self.streams[stream_id].received += data
                self.news.set()
            case HalfClosed(stream_id):
                self.streams[stream_id].ended.set()
            case StreamReset(stream_id, status):
                self.streams[stream_id].reset = status
                self.streams[stream_id].ended.set()
                self.streams[stream_id].accepted.set()
            case Pong(ping_id):
                self.pongs.add(ping_id)
                self.news.set()


@asynccontextmanager
async def spdy(
    served: Served,
    path: str,
    protocols: Sequence[str] = ("v4.channel.k8s.io",),
    *,
    limit: int = 65536,
    length: int = 0,
) -> AsyncIterator[SpdyClient]:
    """Upgrade and give the session. Raises RefusedError."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", served.port, ssl=served.tls, limit=limit
    )
    lines = [f"POST {path} HTTP/1.1", "Host: node", "Connection: Upgrade", "Upgrade: SPDY/3.1"]
    lines += [
        f"Content-Length: {length}",
        *(f"X-Stream-Protocol-Version: {name}" for name in protocols),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        status, answer = int(head[0].split()[1]), _headers(head[1:])
        if status != 101:
            body = await reader.readexactly(int(answer["content-length"][0]))
            raise RefusedError(status, answer, body)
        assert answer["upgrade"] == ["SPDY/3.1"]
        client = SpdyClient(reader, writer, answer["x-stream-protocol-version"][0])
        client.reading.set()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(client.run())
            yield client
            running.cancel()
    finally:
        writer.transport.abort()


def _headers(lines: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            found.setdefault(name.lower(), []).append(value.strip())
    return found
