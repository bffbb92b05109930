"""One exec or attach session with a supervisor: its streams, terminal and exit.

Each stream is bounded by the credit that its reader returns: a client that does not read stderr
blocks stderr only.
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
    """The connection to the supervisor is closed."""


@attrs.define(eq=False)
class OutputStream:
    """The bytes of stdout or stderr."""

    _allow: Callable[[int], None]
    _chunks: deque[bytes] = attrs.field(factory=deque, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _news: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _taken: int = attrs.field(default=0, init=False)

    async def read(self) -> bytes:
        """Return the next bytes; empty at EOF. Safe to cancel."""
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
        """Append received bytes."""
        self._chunks.append(chunk)
        self._news.set()

    def end(self) -> None:
        """Mark the end of the stream."""
        self._ended = True
        self._news.set()


@attrs.define(eq=False)
class SupervisorSession:
    """A running command, or an attached container. Exiting its context closes it."""

    channel: int
    _send: Callable[[bytes], None]
    _request: Callable[[dict[str, Any]], None]
    tty: bool = attrs.field(default=False, init=False)
    """Whether there is a terminal; stderr is then empty."""
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
        """Send stdin; returns once the supervisor has accepted all of it.

        After the end of the command it returns at once and drops the input.
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
        """Send EOF of stdin."""
        if not self._over.is_set():
            self._send(frames.frame(frames.STDIN, self.channel, b""))

    def resize(self, width: int, height: int) -> None:
        """Set the size of the terminal."""
        if not self._over.is_set():
            self._request(
                {"do": "resize", "channel": self.channel, "width": width, "height": height}
            )

    async def wait(self) -> SessionExit:
        """Wait for the exit; output may still be unread. Raises SupervisorDisconnected."""
        await self._over.wait()
        if self._exit is None:
            raise SupervisorDisconnected(
                "the connection to the supervisor was lost before the session ended"
            )
        return self._exit

    def close(self) -> None:
        """Close: kills an exec'd command with its descendants, detaches from a container."""
        if not self._over.is_set():
            self._request({"do": "close", "channel": self.channel})
            self.finish(SessionExit(137, 9, "closed"))

    def take(self, kind: int, content: bytes) -> None:
        """Handle a frame."""
        if kind == frames.CREDIT:
            self._credit += frames.read_credit(content)[1]
            self._more_credit.set()
        else:
            (self.stdout if kind == frames.STDOUT else self.stderr).feed(content)

    def finish(self, exit: SessionExit | None) -> None:
        """Set the exit; None: the connection was lost."""
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
