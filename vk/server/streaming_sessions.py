"""Exec, attach, run and port-forward: from a request to a session that has ended.

In: requests that may do what they ask for, from `vk.server.app`. Out: upgraded connections, served
until their end. Whatever can be refused is refused before the upgrade, by raising: names, query,
protocol, and what the provider cannot do at all; what only the call can tell stands on the error
stream. At the end of the process `Streams.close` ends all sessions.

Surprising: the response that is returned after a SPDY session was never sent; its connection is
gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
from aiohttp import web

from vk.errors import UnsupportedError
from vk.models.keys import ContainerKey
from vk.provider import Provider
from vk.server.errors import Refusal
from vk.server.exec import Asked, Call, ChannelExecution, Execution, SpdyExecution
from vk.server.output import run_for_output
from vk.server.port_forward import MAX_STREAMS, ChannelForwarding, Destination, SpdyForwarding
from vk.server.targets import Targets
from vk.streaming.conversation import converse
from vk.streaming.http_upgrade import take_over
from vk.streaming.negotiation import (
    EXEC_SPDY,
    EXEC_WEBSOCKET,
    PORT_FORWARD_SPDY,
    PORT_FORWARD_WEBSOCKET,
    Protocol,
    Transport,
    choose_spdy,
    choose_websocket,
    requested_transport,
)
from vk.streaming.session import End, Lifetime
from vk.streaming.spdy.connection import Pipe, SpdyConnection
from vk.streaming.spdy.session import Session
from vk.streaming.websocket.channels import Channel, Channels, forwarded_ports
from vk.streaming.websocket.connection import ChannelConnection, MessagePipe, open_websocket
from vk.streams import ByteStream, ExecIO

__all__ = ["Streams"]

log = logging.getLogger(__name__)

_EXEC_STREAMS = 8
_LONGEST_COMMAND = 1024
_CLOSING = 10.0
_PROTOCOL = "X-Stream-Protocol-Version"


@attrs.define(eq=False)
class Streams:
    """The functions of the streaming routes. ``idle_timeout`` and ``creation_timeout`` in s."""

    provider: Provider
    targets: Targets
    idle_timeout: float
    creation_timeout: float = 30.0
    _open: dict[asyncio.Task[object], Lifetime] = attrs.field(factory=dict, init=False, repr=False)
    _closing: bool = attrs.field(default=False, init=False)

    async def exec(self, request: web.Request) -> web.StreamResponse:
        """Run a command in a container, with the client's streams."""
        container = self._container(request)
        command = _command(request.query.getall("command", []))
        self._check_supported("exec", "this provider cannot run commands in a container")

        async def call(io: ExecIO) -> int | None:
            return await self.provider.exec(container, command, io)

        return await self._execute(request, call, f"exec in {container}")

    async def attach(self, request: web.Request) -> web.StreamResponse:
        """Connect the client's streams to a container's main process."""
        container = self._container(request)
        self._check_supported("attach", "this provider cannot attach to a container")

        async def call(io: ExecIO) -> int:
            await self.provider.attach(container, io)
            return 0

        return await self._execute(request, call, f"attach to {container}")

    async def run(self, request: web.Request) -> web.StreamResponse:
        """Run a command, given as ``cmd`` with blanks between its words; answer its output."""
        container = self._container(request)
        command = _command(request.query.get("cmd", "").split())
        self._check_supported("exec", "this provider cannot run commands in a container")

        async def call(io: ExecIO) -> int | None:
            return await self.provider.exec(container, command, io)

        async with self._session(f"run in {container}", "HTTP") as lifetime:
            return await run_for_output(call, lifetime)

    async def port_forward(self, request: web.Request) -> web.StreamResponse:
        """Forward connections to ports of a pod."""
        _check_bodiless(request)
        names = request.match_info
        key = self.targets.pod(names["namespace"], names["pod"], names.get("uid")).key
        self._check_supported("port_forward", "this provider cannot forward ports")

        async def forward(port: int, stream: ByteStream) -> None:
            await self.provider.port_forward(key, port, stream)

        destination, what = Destination(key, forward), f"port-forward to {key}"
        if _transport(request) is Transport.SPDY:
            protocol = choose_spdy(request.headers.getall(_PROTOCOL, []), PORT_FORWARD_SPDY)
            async with self._session(what, _over(Transport.SPDY, protocol)) as lifetime:
                wire = take_over(request, _upgrade(protocol))
                await self._forward_spdy(wire, destination, lifetime)
            return web.Response(status=101)
        protocol = choose_websocket(_subprotocols(request), PORT_FORWARD_WEBSOCKET)
        ports = () if protocol.tunnel else _ports(request)
        async with self._session(what, _over(Transport.WEBSOCKET, protocol)) as lifetime:
            socket = await open_websocket(request, protocol)
            if protocol.tunnel:
                await self._forward_spdy(MessagePipe(socket), destination, lifetime)
            else:
                connection = _channels(socket, protocol, 2 * len(ports), lifetime)
                forwarding = ChannelForwarding(destination, ports, connection)
                await converse(connection, lifetime, forwarding.talk, forwarding.farewell)
        return socket

    async def close(self) -> None:
        """End all sessions and take no more. Clients of exec and attach are told why."""
        self._closing = True
        for lifetime in self._open.values():
            lifetime.end(End.STOPPING)
        if self._open:
            _, late = await asyncio.wait(set(self._open), timeout=_CLOSING)
            for task in late:
                task.cancel()

    async def _execute(self, request: web.Request, call: Call, what: str) -> web.StreamResponse:
        asked = _asked(request)
        if _transport(request) is Transport.SPDY:
            protocol = choose_spdy(request.headers.getall(_PROTOCOL, []), EXEC_SPDY)
            execution = Execution(call, protocol.version, what)
            async with self._session(what, _over(Transport.SPDY, protocol)) as lifetime:
                spdy = SpdyExecution(execution, asked, protocol, lifetime, self.creation_timeout)
                session = Session(max_streams=_EXEC_STREAMS)
                wire = take_over(request, _upgrade(protocol))
                over = SpdyConnection(wire, session, lifetime, spdy.opened)
                await converse(over, lifetime, spdy.talk, spdy.farewell)
            return web.Response(status=101)
        protocol = choose_websocket(_subprotocols(request), EXEC_WEBSOCKET)
        async with self._session(what, _over(Transport.WEBSOCKET, protocol)) as lifetime:
            socket = await open_websocket(request, protocol)
            connection = _channels(socket, protocol, len(Channel), lifetime)
            execution = Execution(call, protocol.version, what)
            channels = ChannelExecution(execution, asked, connection)
            await converse(connection, lifetime, channels.talk, channels.farewell)
        return socket

    async def _forward_spdy(self, pipe: Pipe, to: Destination, lifetime: Lifetime) -> None:
        forwarding = SpdyForwarding(to, self.creation_timeout)
        session = Session(max_streams=MAX_STREAMS)
        connection = SpdyConnection(pipe, session, lifetime, forwarding.opened)
        await converse(connection, lifetime, forwarding.talk, forwarding.farewell)

    @asynccontextmanager
    async def _session(self, what: str, over: str) -> AsyncIterator[Lifetime]:
        if self._closing:
            raise Refusal(503, "the node's process is stopping", retry_after=5.0)
        task = asyncio.current_task()
        assert task is not None
        log.info("session begins", extra={"session": what, "over": over})
        lifetime = self._open[task] = Lifetime(self.idle_timeout)
        try:
            yield lifetime
        finally:
            lifetime.close()
            del self._open[task]

    def _container(self, request: web.Request) -> ContainerKey:
        _check_bodiless(request)
        names = request.match_info
        return self.targets.container(
            names["namespace"], names["pod"], names["container"], names.get("uid")
        )

    def _check_supported(self, method: str, otherwise: str) -> None:
        """Raise before the upgrade what a provider without ``method`` would say after it."""
        if getattr(type(self.provider), method) is getattr(Provider, method):
            raise UnsupportedError(otherwise)


def _check_bodiless(request: web.Request) -> None:
    if request.can_read_body:
        raise Refusal(400, "expected a request without a body")


def _command(words: Sequence[str]) -> tuple[str, ...]:
    if not 0 < len(words) <= _LONGEST_COMMAND:
        raise Refusal(400, f"command of {len(words)} words, expected 1 to {_LONGEST_COMMAND}")
    if any("\0" in word for word in words):
        raise Refusal(400, "command with a NUL in it, which no process can be given")
    return tuple(words)


def _asked(request: web.Request) -> Asked:
    try:
        return Asked.parse(request.query)
    except ValueError as error:
        raise Refusal(400, str(error)) from None


def _ports(request: web.Request) -> tuple[int, ...]:
    try:
        return forwarded_ports(request.query.getall("port", []))
    except ValueError as error:
        raise Refusal(400, str(error)) from None


def _transport(request: web.Request) -> Transport:
    headers = request.headers
    return requested_transport(headers.getall("Connection", []), headers.getall("Upgrade", []))


def _subprotocols(request: web.Request) -> Sequence[str]:
    return request.headers.getall("Sec-WebSocket-Protocol", [])


def _upgrade(protocol: Protocol) -> dict[str, str]:
    return {"Upgrade": Transport.SPDY.value, _PROTOCOL: protocol.name}


def _over(transport: Transport, protocol: Protocol) -> str:
    return f"{transport.value} {protocol.name}".rstrip()


def _channels(
    socket: web.WebSocketResponse, protocol: Protocol, count: int, lifetime: Lifetime
) -> ChannelConnection:
    channels = Channels(count, base64=protocol.base64, closes=protocol.closes_channels)
    return ChannelConnection(socket, channels, lifetime)
