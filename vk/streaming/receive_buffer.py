"""What the client has sent and nobody has used yet: bytes of a stream, or the size of a terminal.

In: pieces, as a connection receives them, each with a function to call once it waits no longer.
Out: `Inbox.read` for providers, `Sizes.each` for terminals. `Gate` is where a connection stops
reading while too much waits.

Surprising: a connection that is not read does not show that its peer has gone. So a gate that stays
shut sends a sign of life now and then: to a peer that is gone it fails, and kubectl takes it for
the answer to its own pings, without which it gives up after a minute.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import attrs

from vk.streaming.exit_status import Resizes
from vk.streams import TerminalSize

__all__ = ["Gate", "Inbox", "Sink", "Sizes", "Used"]

Used = Callable[[], None]
_SIGN_OF_LIFE = 5.0


class Sink(Protocol):
    """Takes what one stream of the client carries."""

    def put(self, data: bytes, used: Used) -> None:
        """Take a piece; ``used`` is called once, when it takes no memory any more."""
        ...

    def end(self, error: Exception | None = None) -> None:
        """Note that nothing more comes; ``error``: since the stream was broken off."""
        ...


@attrs.define(eq=False)
class Inbox:
    """A queue of bytes with one reader. Who fills it limits it, by what was not `used` yet."""

    _pieces: deque[tuple[bytes, Used]] = attrs.field(factory=deque, init=False, repr=False)
    _offset: int = attrs.field(default=0, init=False)  # what is read of the first piece
    _ready: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)
    _ended: bool = attrs.field(default=False, init=False)
    _error: Exception | None = attrs.field(default=None, init=False)
    _wanted: bool = attrs.field(default=True, init=False)

    def put(self, data: bytes, used: Used) -> None:
        """Keep a piece for the reader; nothing is kept after `discard`."""
        if self._wanted:
            self._pieces.append((data, used))
            self._ready.set()
        else:
            used()

    def end(self, error: Exception | None = None) -> None:
        """End the reading: after what waits, or with ``error`` at once."""
        self._ended = True
        if error is not None:
            self._error = error
            self.discard()
        self._ready.set()

    def discard(self) -> None:
        """Throw away what waits and what still comes: nobody will read it."""
        self._wanted = False
        self._offset = 0
        while self._pieces:
            self._pieces.popleft()[1]()

    async def read(self, limit: int = 65536) -> bytes:
        """Return the next 1 to ``limit`` bytes; empty at the end. Raises the error of `end`."""
        if limit < 1:
            raise ValueError(f"cannot read {limit} bytes, expected at least 1")
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._ended or not self._wanted:
                return b""
            self._ready.clear()
            await self._ready.wait()
        data, used = self._pieces[0]
        part = data[self._offset : self._offset + limit]
        self._offset += len(part)
        if self._offset == len(data):
            self._pieces.popleft()
            self._offset = 0
            used()
        return part


@attrs.define(eq=False)
class Sizes:
    """The newest size of a terminal, out of the resize messages."""

    _messages: Resizes = attrs.field(factory=Resizes, init=False, repr=False)
    _newest: TerminalSize | None = attrs.field(default=None, init=False)
    _count: int = attrs.field(default=0, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _changed: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)

    def put(self, data: bytes, used: Used) -> None:
        """Take a piece of the messages."""
        used()
        size = self._messages.feed(data)
        if size is not None:
            self._newest = TerminalSize(*size)
            self._count += 1
            self._changed.set()

    def end(self, error: Exception | None = None) -> None:
        """Note that the size will not change any more."""
        self._ended = True
        self._changed.set()

    async def each(self) -> AsyncIterator[TerminalSize]:
        """Yield the size that is known, then each newer one; those in between are lost."""
        seen = 0
        while True:
            if self._newest is not None and seen != self._count:
                seen = self._count
                yield self._newest
            elif self._ended:
                return
            else:
                self._changed.clear()
                await self._changed.wait()


@attrs.define(eq=False)
class Gate:
    """Where a connection waits before it reads on. `open` it when a piece was used."""

    _shut: Callable[[], bool]
    _sign_of_life: Callable[[], Awaitable[None]]
    _used: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)

    def open(self) -> None:
        """Note that less waits now."""
        self._used.set()

    async def passed(self) -> None:
        """Return when little enough waits. Raises ConnectionError when the peer is gone."""
        while self._shut():
            self._used.clear()
            try:
                async with asyncio.timeout(_SIGN_OF_LIFE):
                    await self._used.wait()
            except TimeoutError:
                await self._sign_of_life()
