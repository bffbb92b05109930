"""The size of the client's terminal, read from the resize stream of exec and attach.

In: the JSON messages of the stream, in pieces of any size. Out: `TerminalSizes.each` for providers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import attrs
import orjson

from vk.streaming.receive_buffer import Used
from vk.streams import TerminalSize

__all__ = ["TerminalSizes"]

_LONGEST_MESSAGE = 1024


@attrs.define(eq=False)
class TerminalSizes:
    """The newest size of a terminal; a `StreamSink`.

    A message that is no size ends the reading, not the command: the terminal then keeps its size.
    """

    newest: TerminalSize | None = attrs.field(default=None, init=False)
    _rest: bytes = attrs.field(default=b"", init=False)
    _broken: bool = attrs.field(default=False, init=False)
    _count: int = attrs.field(default=0, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _changed: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)

    def put(self, data: bytes, used: Used) -> None:
        """Take a piece of the messages."""
        used()
        size = self._read(data)
        if size is not None:
            self.newest = size
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
            if self.newest is not None and seen != self._count:
                seen = self._count
                yield self.newest
            elif self._ended:
                return
            else:
                self._changed.clear()
                await self._changed.wait()

    def _read(self, data: bytes) -> TerminalSize | None:
        """Return the newest size in ``data``, None where there is no new one."""
        if self._broken:
            return None
        done, closed, self._rest = (self._rest + data).rpartition(b"}")
        self._broken = len(self._rest) > _LONGEST_MESSAGE
        if not closed:
            return None
        size = _parse_size(done.rpartition(b"}")[2] + b"}")
        self._broken |= size is None
        return size if size is not None and size.width and size.height else None


def _parse_size(text: bytes) -> TerminalSize | None:
    """Return the size in one JSON object; None: no size. A missing dimension is 0, as in Go."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict):
        return None
    fields = {key.lower(): value for key, value in document.items()}
    width, height = fields.get("width", 0), fields.get("height", 0)
    fits = all(type(value) is int and 0 <= value < 1 << 16 for value in (width, height))
    return TerminalSize(width, height) if fits else None
