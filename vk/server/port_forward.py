"""Port-forward, ``/portForward``: each connection of the client is one call of the provider.

In: authorized requests. Out: upgraded connections, served until their end; errors go to the error
stream of each forwarded connection. `PortForwardHandler` refuses what can be refused before the
upgrade.

Over SPDY a client opens two streams for each connection, one of them only for errors, tied by a
request id, and any number of such pairs. To end one it resets the data stream and then waits for
the end of the error stream. Over WebSocket channels there is one connection a port, named in the
request, which ends with either side of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import attrs
from aiohttp import web

from vk.errors import UnsupportedError
from vk.models.keys import PodKey
from vk.provider import Provider, implements
from vk.server.errors import StatusError, status_error_of
from vk.server.streaming_sessions import (
    StreamingSessions,
    check_bodiless,
    negotiate,
    upgrade_to_spdy,
)
from vk.server.targets import Targets
from vk.streaming.negotiation import (
    PORT_FORWARD_SPDY,
    PORT_FORWARD_WEBSOCKET,
    StreamTransport,
)
from vk.streaming.session import (
    ClientGoneError,
    SessionEnd,
    SessionEndedError,
    SessionLifetime,
    run_session,
)
from vk.streaming.spdy.connection import DuplexPipe, SpdyConnection, SpdyStream
from vk.streaming.spdy.session import SpdySession
from vk.streaming.websocket.channels import (
    forwarded_ports,
    port_channels,
    port_number,
    port_preface,
)
from vk.streaming.websocket.connection import (
    ChannelConnection,
    MessagePipe,
    open_channels,
    open_websocket,
)
from vk.streams import ByteStream

__all__ = ["PortForwardHandler"]

_MAX_STREAMS = 256  # of one SPDY connection
_MAX_PAIRS = _MAX_STREAMS // 2


@attrs.define(eq=False)
class PortForwardHandler:
    """Answers requests for port-forward."""

    provider: Provider
    targets: Targets
    sessions: StreamingSessions

    async def port_forward(self, request: web.Request) -> web.StreamResponse:
        """Forward connections to ports of a pod."""
        check_bodiless(request)
        names = request.match_info
        key = self.targets.pod(names["namespace"], names["pod"], names.get("uid")).key
        if not implements(self.provider, "port_forward"):
            raise UnsupportedError("this provider cannot forward ports")

        async def forward(port: int, stream: ByteStream) -> None:
            # The client may be connected for hours: it must never reach another pod of that name.
            self.targets.pod(key.namespace, key.name, key.uid)
            await self.provider.port_forward(key, port, stream)

        destination = _Destination(key, forward)
        transport, protocol = negotiate(
            request, spdy=PORT_FORWARD_SPDY, websocket=PORT_FORWARD_WEBSOCKET
        )
        by_channels = transport is StreamTransport.WEBSOCKET and not protocol.tunnel
        ports = _ports(request) if by_channels else ()
        over = f"{transport.value} {protocol.name}".rstrip()
        async with self.sessions.begin(f"port-forward to {key}", over, key) as lifetime:
            if transport is StreamTransport.SPDY:
                wire = upgrade_to_spdy(request, protocol)
                await self._serve_spdy(wire, destination, lifetime)
                return web.Response(status=101)
            if protocol.tunnel:
                socket = await open_websocket(request, protocol)
                await self._serve_spdy(MessagePipe(socket), destination, lifetime)
                return socket
            channels = await open_channels(request, protocol, 2 * len(ports), lifetime)
            forwarding = WebSocketPortForward(destination, ports, channels)
            await run_session(channels, lifetime, forwarding.serve, forwarding.notify_end)
            return channels.socket

    async def _serve_spdy(
        self, pipe: DuplexPipe, to: _Destination, lifetime: SessionLifetime
    ) -> None:
        forwarding = SpdyPortForward(to, self.sessions.creation_timeout)
        session = SpdySession(max_streams=_MAX_STREAMS)
        connection = SpdyConnection(pipe, session, lifetime, forwarding.opened)
        await run_session(connection, lifetime, forwarding.serve, forwarding.notify_end)


def _ports(request: web.Request) -> tuple[int, ...]:
    try:
        return forwarded_ports(request.query.getall("port", []))
    except ValueError as error:
        raise StatusError(400, str(error)) from None


@attrs.frozen
class _Destination:
    """A pod, and the provider's call for one connection to a port of it."""

    key: PodKey
    _forward: Callable[[int, ByteStream], Awaitable[None]] = attrs.field(repr=False)

    async def connect(self, port: int, stream: ByteStream) -> str:
        """Forward one connection to its end; return what went wrong, empty: nothing."""
        try:
            await self._forward(port, stream)
        except ClientGoneError:
            return ""
        except Exception as error:  # noqa: BLE001 # whatever a provider raises is sent or logged
            text = status_error_of(error, "port-forward").message
            pod = f"{self.key.name}_{self.key.namespace}, uid {self.key.uid}"
            return f"error forwarding port {port} to pod {pod}: {text}"
        return ""


@attrs.define(eq=False)
class _Pair:
    """The two streams of one connection."""

    lifetime: SessionLifetime = attrs.field(factory=SessionLifetime)
    streams: dict[str, SpdyStream] = attrs.field(factory=dict)
    complete: asyncio.Event = attrs.field(factory=asyncio.Event)


@attrs.define(eq=False)
class SpdyPortForward:
    """All connections of one SPDY session, whose `opened`, `serve` and `notify_end` it calls.

    A pair of streams that stays incomplete for ``creation_timeout`` (s) is refused.
    """

    _destination: _Destination
    _creation_timeout: float
    _pairs: dict[str, _Pair] = attrs.field(factory=dict, init=False, repr=False)
    _tasks: asyncio.TaskGroup | None = attrs.field(default=None, init=False, repr=False)

    def opened(self, stream: SpdyStream) -> None:
        """Accept a stream of a pair; refuse one without port or type, and one above the limit."""
        kind, request_id = stream.headers.get("streamtype", ""), _request_id(stream)
        pair = self._pairs.get(request_id)
        # A session drops streams that both sides have ended; their forwarded connection goes on.
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
        stream.on_reset = lambda: lifetime.end(SessionEnd.CLIENT_GONE)
        if kind == "error":
            stream.received.discard()
        stream.accept()
        if len(pair.streams) == 2:
            pair.complete.set()

    async def serve(self) -> None:
        """Serve pairs until the session ends; then all of them are cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            try:
                await asyncio.Event().wait()
            finally:
                self._tasks = None  # streams that are opened from now on are refused

    async def notify_end(self, reason: SessionEnd) -> None:
        """Send nothing: there is no stream for it."""

    async def _serve(self, request_id: str, pair: _Pair) -> None:
        try:
            await self._conclude(pair, await self._connect(pair))
        except ConnectionError:
            pass  # the client has disconnected
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
            return "error forwarding: only one of the data and error streams was opened in time"
        except SessionEndedError:
            return ""

    async def _conclude(self, pair: _Pair, message: str) -> None:
        for stream in pair.streams.values():
            stream.received.discard()
        error = pair.streams.get("error")
        if error is not None and message:
            await error.write(message.encode(errors="replace"))
        for stream in pair.streams.values():
            await stream.write_eof()


@attrs.define(eq=False)
class WebSocketPortForward:
    """One connection for each of ``ports``, over a WebSocket."""

    _destination: _Destination
    _ports: tuple[int, ...]
    _connection: ChannelConnection = attrs.field(repr=False)

    async def serve(self) -> None:
        """Forward until every port's connection has ended."""
        async with asyncio.TaskGroup() as forwards:
            for index, port in enumerate(self._ports):
                forwards.create_task(self._serve(index, port))

    async def notify_end(self, reason: SessionEnd) -> None:
        """Send nothing: a message on an error channel ends only its own port."""

    async def _serve(self, index: int, port: int) -> None:
        data_channel, error_channel = port_channels(index)
        data = self._connection.stream(data_channel, reads=True)
        error = self._connection.stream(error_channel)
        try:
            await data.write(port_preface(port))
            await error.write(port_preface(port))
            message = await self._destination.connect(port, data)
            data.received.discard()
            await error.write(message.encode(errors="replace"))
        except ConnectionError:
            pass  # the client has disconnected


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
