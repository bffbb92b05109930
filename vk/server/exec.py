"""Exec and attach: the client's streams to an `ExecIO`, the provider's call, and how it ended.

In: the call to make, and an upgraded connection. Out: nothing; the error stream has told the
client. Called by `vk.server.streaming_sessions` once nothing can be refused any more.

Surprising: over SPDY the call begins when the client has opened every stream that it asked for,
over a WebSocket at once, after an empty message that says so. What version 1 of the protocol did
wrong in old kubelets (resetting the error stream before anything was on it) is not repeated: a
client of that version reads an error there as any other does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import attrs

from vk.server.errors import refusal_of
from vk.streaming.exit_status import exit_outcome, failure_outcome
from vk.streaming.negotiation import Protocol, stream_types
from vk.streaming.receive_buffer import Sizes
from vk.streaming.session import ClientGoneError, End, Lifetime
from vk.streaming.spdy.connection import SpdyStream
from vk.streaming.websocket.channels import Channel
from vk.streaming.websocket.connection import ChannelConnection, ChannelStream
from vk.streams import ByteReader, ByteWriter, ExecIO, TerminalSize

__all__ = ["Asked", "Call", "ChannelExecution", "ClientIO", "Execution", "SpdyExecution"]

Call = Callable[[ExecIO], Awaitable[int | None]]


@attrs.frozen
class Asked:
    """Which streams the client asked for."""

    stdin: bool
    stdout: bool
    stderr: bool
    tty: bool

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> Asked:
        """Read the query as a kubelet does: a terminal has no stderr. ValueError: no stream."""
        stdin, stdout, stderr, tty = (
            query.get(name) == "1" for name in ("input", "output", "error", "tty")
        )
        if not (stdin or stdout or stderr):
            raise ValueError("expected at least one of input=1, output=1, error=1")
        return cls(stdin, stdout, stderr and not tty, tty)


@attrs.frozen(eq=False)
class ClientIO:
    """The `ExecIO` of one session."""

    stdin: ByteReader | None
    stdout: ByteWriter | None
    stderr: ByteWriter | None
    tty: bool
    _sizes: Sizes | None

    async def sizes(self) -> AsyncIterator[TerminalSize]:
        """Yield the terminal's size now and whenever it changes."""
        if self._sizes is not None:
            async for size in self._sizes.each():
                yield size


@attrs.frozen
class Execution:
    """What both transports share: the call, and how its end is told."""

    _call: Call
    version: int
    _what: str

    async def run(self, io: ExecIO) -> bytes:
        """Make the call and return what the error stream says of it."""
        try:
            return exit_outcome(self.version, await self._call(io))
        except ClientGoneError:
            raise
        except Exception as error:  # noqa: BLE001 # whatever a provider raises is told, or logged
            refusal = refusal_of(error, self._what)
            return failure_outcome(
                self.version, refusal.message, reason=refusal.reason, code=refusal.code
            )

    def unfinished(self, why: str) -> bytes:
        """Return what the error stream says of a call that was not made, or cancelled."""
        return failure_outcome(self.version, why)


@attrs.define(eq=False)
class SpdyExecution:
    """Exec or attach over SPDY: what a `SpdyConnection` and `converse` need."""

    _execution: Execution
    _asked: Asked
    _protocol: Protocol
    _lifetime: Lifetime = attrs.field(repr=False)
    _creation_timeout: float
    _wanted: frozenset[str] = attrs.field(init=False)
    _streams: dict[str, SpdyStream] = attrs.field(factory=dict, init=False, repr=False)
    _complete: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)
    _sizes: Sizes = attrs.field(factory=Sizes, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._wanted = stream_types(self._protocol, **attrs.asdict(self._asked))

    def opened(self, stream: SpdyStream) -> None:
        """Take a stream that was asked for; refuse any other."""
        kind = stream.headers.get("streamtype", "")
        if kind not in self._wanted or kind in self._streams:
            stream.refuse()
            return
        self._streams[kind] = stream
        stream.on_reset = lambda: self._lifetime.end(End.CLIENT_GONE)
        if kind == "resize":
            stream.sink = self._sizes
        elif kind != "stdin":
            stream.inbox.discard()
        stream.accept()
        if self._wanted == self._streams.keys():
            self._complete.set()

    async def talk(self) -> None:
        """Wait for the streams, make the call, tell how it ended."""
        try:
            async with asyncio.timeout(self._creation_timeout):
                await self._complete.wait()
        except TimeoutError:
            await self._conclude(self._execution.unfinished("not all streams came in time"))
        else:
            await self._conclude(await self._execution.run(self._io()))

    async def farewell(self, reason: End) -> None:
        """Tell why the call was cancelled."""
        await self._conclude(self._execution.unfinished(reason.value))

    def _io(self) -> ClientIO:
        of = self._streams.get
        sizes = self._sizes if "resize" in self._streams else None
        return ClientIO(of("stdin"), of("stdout"), of("stderr"), self._asked.tty, sizes)

    async def _conclude(self, outcome: bytes) -> None:
        for stream in self._streams.values():
            stream.inbox.discard()
        error = self._streams.get("error")
        if error is not None:
            await error.write(outcome)
        for stream in self._streams.values():
            await stream.write_eof()


@attrs.define(eq=False)
class ChannelExecution:
    """Exec or attach over a WebSocket: what `converse` needs."""

    _execution: Execution
    _asked: Asked
    _connection: ChannelConnection = attrs.field(repr=False)
    _stdin: ChannelStream | None = attrs.field(init=False)
    _sizes: Sizes = attrs.field(factory=Sizes, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        stream = self._connection.stream
        self._stdin = stream(Channel.STDIN, reads=True) if self._asked.stdin else None
        if self._asked.tty:
            stream(Channel.RESIZE, reads=True).sink = self._sizes

    async def talk(self) -> None:
        """Say that all is ready, make the call, tell how it ended."""
        asked, stream = self._asked, self._connection.stream
        ready = Channel.STDERR if asked.stderr else Channel.ERROR
        await self._connection.send(Channel.STDOUT if asked.stdout else ready, b"")
        io = ClientIO(
            self._stdin,
            stream(Channel.STDOUT) if asked.stdout else None,
            stream(Channel.STDERR) if asked.stderr else None,
            asked.tty,
            self._sizes if asked.tty else None,
        )
        await self._conclude(await self._execution.run(io))

    async def farewell(self, reason: End) -> None:
        """Tell why the call was cancelled."""
        await self._conclude(self._execution.unfinished(reason.value))

    async def _conclude(self, outcome: bytes) -> None:
        if self._stdin is not None:
            self._stdin.inbox.discard()
        await self._connection.stream(Channel.ERROR).write(outcome)
