"""What the client has sent and the provider has not read yet, and the limit of it.

In: pieces, as a connection receives them, each with a function to call once it is used. Out:
`ReceiveBuffer.read` for providers. At a `ReadGate` a connection stops reading while too much waits.

A connection that is not read does not show that its peer has disconnected. So a gate that stays
shut sends a keepalive now and then: to a peer that is gone it fails, and kubectl takes it for the
answer to its own pings, without which it gives up after a minute.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import attrs

__all__ = ["ReadGate", "ReceiveBuffer", "StreamSink", "Used"]

Used = Callable[[], None]
_KEEPALIVE_INTERVAL = 5.0


class StreamSink(Protocol):
    """Takes what one stream of the client carries."""

    def put(self, data: bytes, used: Used) -> None:
        """Take a piece; ``used`` is called once, when it takes no memory any more."""
        ...

    def end(self, error: Exception | None = None) -> None:
        """Note that nothing more comes; ``error``: since the stream was reset."""
        ...


@attrs.define(eq=False)
class ReceiveBuffer:
    """A queue of bytes with one reader. Its writer limits it, by what was not `used` yet."""

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
        """Drop what waits and what still comes: it will not be read."""
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
class ReadGate:
    """Where a connection waits before it reads on. `open` it when a piece was used."""

    _shut: Callable[[], bool]
    _keepalive: Callable[[], Awaitable[None]]
    _used: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)

    def open(self) -> None:
        """Note that less waits now."""
        self._used.set()

    async def passed(self) -> None:
        """Return when little enough waits. Raises ConnectionError when the peer is gone."""
        while self._shut():
            self._used.clear()
            try:
                async with asyncio.timeout(_KEEPALIVE_INTERVAL):
                    await self._used.wait()
            except TimeoutError:
                await self._keepalive()
