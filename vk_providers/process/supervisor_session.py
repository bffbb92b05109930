"""One exec or attach over a link: its streams, its terminal, its end.

`link.Link` makes it and hands it what comes in; the provider reads, writes and waits. Each stream
is bounded by the credit that reading gives back: whoever does not read stderr stops stderr only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import attrs

import vk
from vk_providers.process.protocol import SessionExit
from vk_providers.process.supervisor import frames

__all__ = ["OutputStream", "SupervisorDisconnected", "SupervisorSession"]


class SupervisorDisconnected(vk.TemporaryError):
    """The supervisor is not connected any more."""


@attrs.define(eq=False)
class OutputStream:
    """The bytes of stdout or stderr."""

    _allow: Callable[[int], None]
    _chunks: deque[bytes] = attrs.field(factory=deque, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _news: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _taken: int = attrs.field(default=0, init=False)

    async def read(self) -> bytes:
        """Return the next bytes; none at the end. Cancelling loses nothing."""
        while not self._chunks:
            if self._ended:
                return b""
            self._news.clear()
            await self._news.wait()
        chunk = self._chunks.popleft()
        self._taken += len(chunk)
        if self._taken >= frames.WINDOW // 4:
            self._allow(self._taken)
            self._taken = 0
        return chunk

    def feed(self, chunk: bytes) -> None:
        """Take bytes from the link."""
        self._chunks.append(chunk)
        self._news.set()

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True
        self._news.set()


@attrs.define(eq=False)
class SupervisorSession:
    """A running command, or an attached container. Leaving its context closes it."""

    channel: int
    _send: Callable[[bytes], None]
    _request: Callable[[dict[str, Any]], None]
    tty: bool = attrs.field(default=False, init=False)
    """Whether there is a terminal; then stderr stays empty."""
    stdout: OutputStream = attrs.field(init=False)
    stderr: OutputStream = attrs.field(init=False)
    _credit: int = attrs.field(default=frames.WINDOW, init=False)
    _more_credit: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _exit: SessionExit | None = attrs.field(default=None, init=False)
    _over: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self.stdout = OutputStream(self._allow(frames.STDOUT))
        self.stderr = OutputStream(self._allow(frames.STDERR))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def write(self, content: bytes) -> None:
        """Send stdin; returns once the supervisor has room for all of it.

        After the end of the command it returns at once: what a command does not read is lost.
        """
        rest = memoryview(content)
        while rest and not self._over.is_set():
            if self._credit <= 0:
                self._more_credit.clear()
                await self._more_credit.wait()
                continue
            piece = rest[: min(frames.CHUNK, self._credit)]
            rest = rest[len(piece) :]
            self._credit -= len(piece)
            self._send(frames.frame(frames.STDIN, self.channel, piece))

    def end_input(self) -> None:
        """Close stdin, after all that was written."""
        if not self._over.is_set():
            self._send(frames.frame(frames.STDIN, self.channel, b""))

    def resize(self, width: int, height: int) -> None:
        """Set the size of the terminal."""
        if not self._over.is_set():
            self._request(
                {"do": "resize", "channel": self.channel, "width": width, "height": height}
            )

    async def wait(self) -> SessionExit:
        """Wait for the end; the output may still have to be read. Raises LinkClosed."""
        await self._over.wait()
        if self._exit is None:
            raise SupervisorDisconnected("the supervisor went away before the session ended")
        return self._exit

    def close(self) -> None:
        """Leave: an exec'd command ends with all that it started, an attached container runs on."""
        if not self._over.is_set():
            self._request({"do": "close", "channel": self.channel})
            self.finish(SessionExit(137, 9, "closed"))

    def take(self, kind: int, content: bytes) -> None:
        """Take a frame of the link."""
        if kind == frames.CREDIT:
            self._credit += frames.read_credit(content)[1]
            self._more_credit.set()
        else:
            (self.stdout if kind == frames.STDOUT else self.stderr).feed(content)

    def finish(self, exit: SessionExit | None) -> None:
        """Take the end; None: the link was lost."""
        if not self._over.is_set():
            self._exit = exit
            self._over.set()
            self._more_credit.set()
            self.stdout.end()
            self.stderr.end()

    def _allow(self, stream: int) -> Callable[[int], None]:
        def allow(count: int) -> None:
            if not self._over.is_set():
                self._send(frames.credit_frame(self.channel, stream, count))

        return allow
