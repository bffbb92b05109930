"""Exec, attach and run, over SPDY and over WebSocket: ``/exec``, ``/attach``, ``/run``.

In: authorized requests. Out: upgraded connections, served until their end. `ExecHandler` refuses
what can be refused before the upgrade: names, query, protocol, and what the provider does not
implement. After it the client's streams become an `ExecIO` for the provider's call
(`SpdyExecSession`, `WebSocketExecSession`), and the error stream carries how the call ended.

Over SPDY the call begins when the client has opened every stream that it requested, over a
WebSocket at once, after an empty message. Old kubelets reset the error stream of version 1 of the
protocol before anything was on it; here a client of that version reads an error as any other does.
``/run`` answers with the output as a body, once the command has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import attrs
from aiohttp import web

from vk.errors import UnsupportedError
from vk.models.keys import ContainerKey
from vk.provider import Provider, implements
from vk.server.errors import StatusError, status_error_of
from vk.server.streaming_sessions import (
    StreamingSessions,
    check_bodiless,
    negotiate,
    upgrade_to_spdy,
)
from vk.server.targets import Targets
from vk.streaming.exit_status import exit_status, failure_status
from vk.streaming.negotiation import (
    EXEC_SPDY,
    EXEC_WEBSOCKET,
    Protocol,
    RequestedStreams,
    StreamTransport,
)
from vk.streaming.session import (
    ClientGoneError,
    SessionEnd,
    SessionEndedError,
    SessionLifetime,
    run_session,
)
from vk.streaming.spdy.connection import SpdyConnection, SpdyStream
from vk.streaming.spdy.session import SpdySession
from vk.streaming.terminal_sizes import TerminalSizes
from vk.streaming.websocket.channels import Channel
from vk.streaming.websocket.connection import ChannelConnection, ChannelStream, open_channels
from vk.streams import ByteReader, ByteWriter, ExecIO, TerminalSize

__all__ = ["ExecHandler"]

MAX_OUTPUT = 1 << 20
"""Bytes of output of ``/run``."""
_QUOTED_OUTPUT = 512
_MAX_STREAMS = 8
_MAX_WORDS = 1024

Call = Callable[[ExecIO], Awaitable[int | None]]


@attrs.define(eq=False)
class ExecHandler:
    """Answers requests for exec, attach and run."""

    provider: Provider
    targets: Targets
    sessions: StreamingSessions

    async def exec(self, request: web.Request) -> web.StreamResponse:
        """Run a command in a container, with the client's streams."""
        container, call = self._command_call(request, request.query.getall("command", []))
        return await self._serve(request, call, container, f"exec in {container}")

    async def attach(self, request: web.Request) -> web.StreamResponse:
        """Connect the client's streams to a container's main process."""
        container = self._container(request)
        if not implements(self.provider, "attach"):
            raise UnsupportedError("this provider cannot attach to a container")

        async def call(io: ExecIO) -> int:
            await self.provider.attach(container, io)
            return 0

        return await self._serve(request, call, container, f"attach to {container}")

    async def run(self, request: web.Request) -> web.StreamResponse:
        """Run a command, given as ``cmd`` with blanks between its words; answer its output."""
        container, call = self._command_call(request, request.query.get("cmd", "").split())
        async with self.sessions.begin(f"run in {container}", "HTTP", container) as lifetime:
            return await _run_for_output(call, lifetime)

    def _container(self, request: web.Request) -> ContainerKey:
        check_bodiless(request)
        names = request.match_info
        return self.targets.container(
            names["namespace"], names["pod"], names["container"], names.get("uid")
        )

    def _command_call(
        self, request: web.Request, words: Sequence[str]
    ) -> tuple[ContainerKey, Call]:
        container, command = self._container(request), _command(words)
        if not implements(self.provider, "exec"):
            raise UnsupportedError("this provider cannot run commands in a container")

        async def call(io: ExecIO) -> int | None:
            return await self.provider.exec(container, command, io)

        return container, call

    async def _serve(
        self, request: web.Request, call: Call, container: ContainerKey, what: str
    ) -> web.StreamResponse:
        try:
            requested = RequestedStreams.parse(request.query)
        except ValueError as error:
            raise StatusError(400, str(error)) from None
        transport, protocol = negotiate(request, spdy=EXEC_SPDY, websocket=EXEC_WEBSOCKET)
        exec_call = _ExecCall(call, protocol.version, what)
        over = f"{transport.value} {protocol.name}".rstrip()
        async with self.sessions.begin(what, over, container) as lifetime:
            if transport is StreamTransport.SPDY:
                spdy = SpdyExecSession(
                    exec_call, requested, protocol, lifetime, self.sessions.creation_timeout
                )
                session = SpdySession(max_streams=_MAX_STREAMS)
                wire = upgrade_to_spdy(request, protocol)
                connection = SpdyConnection(wire, session, lifetime, spdy.opened)
                await run_session(connection, lifetime, spdy.serve, spdy.notify_end)
                return web.Response(status=101)
            channels = await open_channels(request, protocol, len(Channel), lifetime)
            websocket = WebSocketExecSession(exec_call, requested, channels)
            await run_session(channels, lifetime, websocket.serve, websocket.notify_end)
            return channels.socket


def _command(words: Sequence[str]) -> tuple[str, ...]:
    if not 0 < len(words) <= _MAX_WORDS:
        raise StatusError(400, f"command of {len(words)} words, expected 1 to {_MAX_WORDS}")
    if any("\0" in word for word in words):
        raise StatusError(400, "command contains a NUL character, which no process can be given")
    return tuple(words)


@attrs.frozen(eq=False)
class ClientIO:
    """The `ExecIO` of one session."""

    stdin: ByteReader | None
    stdout: ByteWriter | None
    stderr: ByteWriter | None
    tty: bool
    _sizes: TerminalSizes | None

    async def sizes(self) -> AsyncIterator[TerminalSize]:
        """Yield the terminal's size now and whenever it changes."""
        if self._sizes is not None:
            async for size in self._sizes.each():
                yield size


@attrs.frozen
class _ExecCall:
    """The provider's call and the status it ends with, for both transports."""

    _call: Call
    version: int
    _what: str

    async def run(self, io: ExecIO) -> bytes:
        """Make the call and return the bytes for the error stream."""
        try:
            return exit_status(self.version, await self._call(io))
        except ClientGoneError:
            raise
        except Exception as error:  # noqa: BLE001 # whatever a provider raises is sent or logged
            status = status_error_of(error, self._what)
            return failure_status(
                self.version, status.message, reason=status.reason, code=status.code
            )

    def unfinished(self, why: str) -> bytes:
        """Return the bytes for the error stream of a call that was not made, or cancelled."""
        return failure_status(self.version, why)


@attrs.define(eq=False)
class SpdyExecSession:
    """Exec or attach over SPDY; `opened`, `serve` and `notify_end` are called by the session."""

    _exec_call: _ExecCall
    _requested: RequestedStreams
    _protocol: Protocol
    _lifetime: SessionLifetime = attrs.field(repr=False)
    _creation_timeout: float
    _wanted: frozenset[str] = attrs.field(init=False)
    _streams: dict[str, SpdyStream] = attrs.field(factory=dict, init=False, repr=False)
    _complete: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)
    _sizes: TerminalSizes = attrs.field(factory=TerminalSizes, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._wanted = self._requested.spdy_types(self._protocol)

    def opened(self, stream: SpdyStream) -> None:
        """Accept a stream that was requested; refuse any other."""
        kind = stream.headers.get("streamtype", "")
        if kind not in self._wanted or kind in self._streams:
            stream.refuse()
            return
        self._streams[kind] = stream
        stream.on_reset = lambda: self._lifetime.end(SessionEnd.CLIENT_GONE)
        if kind == "resize":
            stream.sink = self._sizes
        elif kind != "stdin":
            stream.received.discard()
        stream.accept()
        if self._wanted == self._streams.keys():
            self._complete.set()

    async def serve(self) -> None:
        """Wait for the streams, make the call, send the final status."""
        try:
            async with asyncio.timeout(self._creation_timeout):
                await self._complete.wait()
        except TimeoutError:
            await self._conclude(self._exec_call.unfinished("not all streams were opened in time"))
        else:
            await self._conclude(await self._exec_call.run(self._io()))

    async def notify_end(self, reason: SessionEnd) -> None:
        """Send the reason why the call was cancelled."""
        await self._conclude(self._exec_call.unfinished(reason.value))

    def _io(self) -> ClientIO:
        of = self._streams.get
        sizes = self._sizes if "resize" in self._streams else None
        return ClientIO(of("stdin"), of("stdout"), of("stderr"), self._requested.tty, sizes)

    async def _conclude(self, status: bytes) -> None:
        for stream in self._streams.values():
            stream.received.discard()
        error = self._streams.get("error")
        if error is not None:
            await error.write(status)
        for stream in self._streams.values():
            await stream.write_eof()


@attrs.define(eq=False)
class WebSocketExecSession:
    """Exec or attach over a WebSocket; `serve` and `notify_end` are called by the session."""

    _exec_call: _ExecCall
    _requested: RequestedStreams
    _connection: ChannelConnection = attrs.field(repr=False)
    _stdin: ChannelStream | None = attrs.field(init=False)
    _sizes: TerminalSizes = attrs.field(factory=TerminalSizes, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        stream = self._connection.stream
        self._stdin = stream(Channel.STDIN, reads=True) if self._requested.stdin else None
        if self._requested.tty:
            stream(Channel.RESIZE, reads=True).sink = self._sizes

    async def serve(self) -> None:
        """Send the first empty message, make the call, send the final status."""
        requested, stream = self._requested, self._connection.stream
        ready = Channel.STDERR if requested.stderr else Channel.ERROR
        await self._connection.send(Channel.STDOUT if requested.stdout else ready, b"")
        io = ClientIO(
            self._stdin,
            stream(Channel.STDOUT) if requested.stdout else None,
            stream(Channel.STDERR) if requested.stderr else None,
            requested.tty,
            self._sizes if requested.tty else None,
        )
        await self._conclude(await self._exec_call.run(io))

    async def notify_end(self, reason: SessionEnd) -> None:
        """Send the reason why the call was cancelled."""
        await self._conclude(self._exec_call.unfinished(reason.value))

    async def _conclude(self, status: bytes) -> None:
        if self._stdin is not None:
            self._stdin.received.discard()
        await self._connection.stream(Channel.ERROR).write(status)


@attrs.define(eq=False)
class _Output:
    """An `ExecIO` that keeps what is written."""

    _lifetime: SessionLifetime
    kept: bytearray = attrs.field(factory=bytearray, init=False, repr=False)

    @property
    def stdin(self) -> None:
        return None

    @property
    def stdout(self) -> _Output:
        return self

    @property
    def stderr(self) -> _Output:
        return self

    @property
    def tty(self) -> bool:
        return False

    async def sizes(self) -> AsyncIterator[TerminalSize]:
        none: tuple[TerminalSize, ...] = ()
        for size in none:  # makes this an async generator
            yield size

    async def write(self, data: bytes) -> None:
        if len(self.kept) + len(data) > MAX_OUTPUT:
            self._lifetime.end(SessionEnd.TOO_LONG)
            await asyncio.Event().wait()  # until the call is cancelled
        self.kept += data
        await self._lifetime.moved(len(data))


async def _run_for_output(call: Call, lifetime: SessionLifetime) -> web.Response:
    """Make the call and return the answer. Raises StatusError, and what the provider raises.

    Cancelling it cancels the call: aiohttp does so when the client goes (`handler_cancellation`).
    """
    output = _Output(lifetime)
    try:
        async with lifetime.limit():
            code = await call(output)
    except SessionEndedError as ended:
        raise StatusError(500, f"the command was ended: {ended.reason.value}") from None
    if code == 0:
        return web.Response(body=bytes(output.kept), content_type="text/plain", charset="utf-8")
    end = bytes(output.kept[-_QUOTED_OUTPUT:]).decode(errors="replace")
    how = "unknown" if code is None else str(code)
    raise StatusError(500, f"command terminated with exit code {how}: {end}")
