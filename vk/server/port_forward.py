"""Port-forward: each connection of the client's to one call of the provider.

In: an upgraded connection. Out: nothing; what went wrong stands on the error stream of its
connection. Called by `vk.server.streaming_sessions` once nothing can be refused any more.

Surprising: over SPDY a client opens two streams for each connection, one of them only for errors,
tied by a request id, and as many such pairs as it likes. When it no longer wants one it breaks the
data stream off and then waits for the end of the error stream. Over WebSocket channels there is one
connection a port, named in the request, which ends with either side of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import attrs

from vk.models.keys import PodKey
from vk.server.errors import refusal_of
from vk.streaming.session import ClientGoneError, End, Ended, Lifetime
from vk.streaming.spdy.connection import SpdyStream
from vk.streaming.websocket.channels import port_channels, port_number, port_preface
from vk.streaming.websocket.connection import ChannelConnection
from vk.streams import ByteStream

__all__ = ["MAX_STREAMS", "ChannelForwarding", "Destination", "SpdyForwarding"]

MAX_STREAMS = 256
"""Streams of one SPDY connection."""
_MAX_PAIRS = MAX_STREAMS // 2


@attrs.frozen
class Destination:
    """A pod, and the provider's call for one connection to a port of it."""

    key: PodKey
    _forward: Callable[[int, ByteStream], Awaitable[None]] = attrs.field(repr=False)

    async def connect(self, port: int, stream: ByteStream) -> str:
        """Forward one connection to its end; return what went wrong, empty: nothing."""
        try:
            await self._forward(port, stream)
        except ClientGoneError:
            return ""
        except Exception as error:  # noqa: BLE001 # whatever a provider raises is told, or logged
            text = refusal_of(error, "port-forward").message
            pod = f"{self.key.name}_{self.key.namespace}, uid {self.key.uid}"
            return f"error forwarding port {port} to pod {pod}: {text}"
        return ""


@attrs.define(eq=False)
class _Pair:
    """The two streams of one connection."""

    lifetime: Lifetime = attrs.field(factory=Lifetime)
    streams: dict[str, SpdyStream] = attrs.field(factory=dict)
    complete: asyncio.Event = attrs.field(factory=asyncio.Event)


@attrs.define(eq=False)
class SpdyForwarding:
    """All connections of one SPDY session: what a `SpdyConnection` and `converse` need.

    A pair of streams that stays incomplete for ``creation_timeout`` (s) is refused.
    """

    _destination: Destination
    _creation_timeout: float
    _pairs: dict[str, _Pair] = attrs.field(factory=dict, init=False, repr=False)
    _tasks: asyncio.TaskGroup | None = attrs.field(default=None, init=False, repr=False)

    def opened(self, stream: SpdyStream) -> None:
        """Take a stream of a pair; refuse what names no port, no kind, or is too much."""
        kind, request_id = stream.headers.get("streamtype", ""), _request_id(stream)
        pair = self._pairs.get(request_id)
        # A session forgets streams that both sides have ended; what is made of them goes on.
        fits = len(self._pairs) < _MAX_PAIRS if pair is None else kind not in pair.streams
        known = fits and kind in ("data", "error")
        if not known or not _port(stream.headers) or self._tasks is None:
            stream.refuse()
            return
        if pair is None:
            pair = self._pairs[request_id] = _Pair()
            self._tasks.create_task(self._serve(request_id, pair))
        pair.streams[kind] = stream
        lifetime = pair.lifetime
        stream.on_reset = lambda: lifetime.end(End.CLIENT_GONE)
        if kind == "error":
            stream.inbox.discard()
        stream.accept()
        if len(pair.streams) == 2:
            pair.complete.set()

    async def talk(self) -> None:
        """Serve pairs until the session ends; then all of them are cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            try:
                await asyncio.Event().wait()
            finally:
                self._tasks = None  # what is opened from now on is refused

    async def farewell(self, reason: End) -> None:
        """Say nothing: there is no stream for it."""

    async def _serve(self, request_id: str, pair: _Pair) -> None:
        try:
            await self._conclude(pair, await self._connect(pair))
        except ConnectionError:
            pass  # the client has gone
        finally:
            pair.lifetime.close()
            del self._pairs[request_id]

    async def _connect(self, pair: _Pair) -> str:
        try:
            async with pair.lifetime.limit():
                async with asyncio.timeout(self._creation_timeout):
                    await pair.complete.wait()
                data = pair.streams["data"]
                return await self._destination.connect(_port(data.headers), data)
        except TimeoutError:
            return "error forwarding: only one of a data and an error stream came in time"
        except Ended:
            return ""

    async def _conclude(self, pair: _Pair, message: str) -> None:
        for stream in pair.streams.values():
            stream.inbox.discard()
        error = pair.streams.get("error")
        if error is not None and message:
            await error.write(message.encode(errors="replace"))
        for stream in pair.streams.values():
            await stream.write_eof()


@attrs.define(eq=False)
class ChannelForwarding:
    """One connection for each of ``ports``, over a WebSocket: what `converse` needs."""

    _destination: Destination
    _ports: tuple[int, ...]
    _connection: ChannelConnection = attrs.field(repr=False)

    async def talk(self) -> None:
        """Forward until every port's connection has ended."""
        async with asyncio.TaskGroup() as forwards:
            for index, port in enumerate(self._ports):
                forwards.create_task(self._serve(index, port))

    async def farewell(self, reason: End) -> None:
        """Say nothing: what is on a channel for errors ends only its own port."""

    async def _serve(self, index: int, port: int) -> None:
        data_channel, error_channel = port_channels(index)
        data = self._connection.stream(data_channel, reads=True)
        error = self._connection.stream(error_channel)
        try:
            await data.write(port_preface(port))
            await error.write(port_preface(port))
            message = await self._destination.connect(port, data)
            data.inbox.discard()
            await error.write(message.encode(errors="replace"))
        except ConnectionError:
            pass  # the client has gone


def _request_id(stream: SpdyStream) -> str:
    """Return what ties the streams of a pair; old clients open the error stream just before."""
    given = stream.headers.get("requestid")
    before = 0 if stream.headers.get("streamtype") == "error" else 2
    return given if given else str(stream.stream_id - before)


def _port(headers: Mapping[str, str]) -> int:
    """Return the port that a stream names, 0 where it names none."""
    try:
        return port_number(headers.get("port", ""))
    except ValueError:
        return 0
