"""Bytes of a SPDY/3.1 connection to frames, whatever the chunks they come in.

In: chunks of any size, from a socket or from WebSocket messages. Out: frame values, in order, to
`vk.streaming.spdy.session`.

Surprising: a DATA frame is never held back until it is whole. Each piece of it is handed out as it
comes, copied once out of the chunk, so a frame may claim the 16 MiB that its length field can say
and still costs no memory. Control frames are collected, and refused above `MAX_CONTROL`.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

import attrs

from vk.streaming.spdy.frames import MAX_CONTROL, Data, Frame, SpdyError, parse_control

__all__ = ["Decoder"]

_HEAD = Struct(">II")
_CONTROL = 1 << 31
_VERSION = 3
_FIN = 1


@attrs.define(eq=False)
class Decoder:
    """Remembers an unfinished frame between two chunks: at most `MAX_CONTROL` bytes and a head."""

    _pending: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    # Of the DATA frame that is being handed out.
    _left: int = attrs.field(default=0, init=False)
    _stream_id: int = attrs.field(default=0, init=False)
    _fin: bool = attrs.field(default=False, init=False)

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """Yield the frames that ``chunk`` ends, and a piece of the one that it leaves open.

        Must be exhausted before the next chunk. Raises SpdyError where the bytes make no frame;
        after that nothing more can be understood.
        """
        position, size = 0, len(chunk)
        while position < size:
            if self._left:
                end = min(position + self._left, size)
                self._left -= end - position
                piece = chunk[position:end]
                position = end
                yield Data(self._stream_id, piece, self._fin and not self._left)
            else:
                position = self._gather(chunk, position)
                frame = self._begin()
                if frame is not None:
                    yield frame

    def _gather(self, chunk: bytes, position: int) -> int:
        """Move bytes to the pending frame: up to the end of its head, or of all of it."""
        pending = self._pending
        wanted = _HEAD.size
        if len(pending) >= wanted:
            wanted += _HEAD.unpack_from(pending)[1] & 0xFFFFFF
        taken = chunk[position : position + wanted - len(pending)]
        pending += taken
        return position + len(taken)

    def _begin(self) -> Frame | None:
        """Return the pending frame once it is whole; switch to handing out if it is DATA."""
        pending = self._pending
        if len(pending) < _HEAD.size:
            return None
        first, second = _HEAD.unpack_from(pending)
        flags, length = second >> 24, second & 0xFFFFFF
        if first & _CONTROL:
            return self._control(first & ~_CONTROL, flags, length)
        pending.clear()
        if not first:
            raise SpdyError("data frame for stream 0, expected an id from 1")
        self._stream_id, self._fin, self._left = first, bool(flags & _FIN), length
        return None if length else Data(first, b"", self._fin)

    def _control(self, word: int, flags: int, length: int) -> Frame | None:
        version, kind = word >> 16, word & 0xFFFF
        if version != _VERSION:
            raise SpdyError(f"control frame of version {version}, expected {_VERSION}")
        if length > MAX_CONTROL:
            raise SpdyError(f"control frame of {length} bytes, expected at most {MAX_CONTROL}")
        if len(self._pending) < _HEAD.size + length:
            return None
        payload = bytes(self._pending[_HEAD.size :])
        self._pending.clear()
        return parse_control(kind, flags, payload)
