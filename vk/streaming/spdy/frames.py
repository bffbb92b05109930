"""The frames of SPDY/3.1: values, and their encoding and decoding.

In: chunks of any size, from a socket or from WebSocket messages. Out: frame values, in order, to
`vk.streaming.spdy.session`, which also encodes the frames that it sends. Header blocks stay
compressed here, since their meaning depends on all blocks before them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from struct import Struct
from struct import error as StructError
from typing import ClassVar, TypeAlias

import attrs

from vk.errors import VkError

__all__ = [
    "MAX_CONTROL",
    "MAX_DATA",
    "Data",
    "Decoder",
    "Frame",
    "GoAway",
    "GoAwayStatus",
    "Headers",
    "Ping",
    "ResetStatus",
    "RstStream",
    "SettingsFrame",
    "SpdyError",
    "SynReply",
    "SynStream",
    "Unknown",
    "WindowUpdate",
    "data_head",
    "parse_control",
]

MAX_CONTROL = 1 << 15
"""Bytes of a control frame's payload: twice what a header block may inflate to."""
MAX_DATA = (1 << 24) - 1
"""Bytes of one DATA frame: the maximum of its length field."""

_ID = (1 << 31) - 1
_CONTROL = 1 << 31
_VERSION = 3  # SPDY/3.1 changed flow control, not this number
_FIN = 1
_UNIDIRECTIONAL = 2
_PAIR = Struct(">II")
_SYN_STREAM = Struct(">IIBB")
_WORD = Struct(">I")


class SpdyError(VkError):
    """The peer broke the protocol so that its further bytes cannot be decoded."""


class ResetStatus(IntEnum):
    """Why a stream was reset: the codes that Kubernetes uses. A peer may send other numbers."""

    PROTOCOL_ERROR = 1
    INVALID_STREAM = 2
    REFUSED_STREAM = 3
    CANCEL = 5
    INTERNAL_ERROR = 6
    STREAM_IN_USE = 8
    STREAM_ALREADY_CLOSED = 9


class GoAwayStatus(IntEnum):
    """Why a session ends."""

    OK = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2


def _control(kind: int, flags: int, payload: bytes) -> bytes:
    head = _PAIR.pack(_CONTROL | _VERSION << 16 | kind, flags << 24 | len(payload))
    return head + payload


def _encode_block(kind: int, stream_id: int, block: bytes, *, fin: bool) -> bytes:
    return _control(kind, fin * _FIN, _WORD.pack(stream_id) + block)


def _parse_block(flags: int, payload: bytes) -> tuple[int, bytes, bool]:
    (stream_id,) = _WORD.unpack_from(payload)
    return _stream(stream_id), payload[_WORD.size :], bool(flags & _FIN)


def data_head(stream_id: int, size: int, *, fin: bool) -> bytes:
    """Return the 8 bytes that come before ``size`` (at most `MAX_DATA`) bytes of a stream."""
    return _PAIR.pack(stream_id, fin << 24 | size)


@attrs.frozen
class Data:
    """Bytes of a stream; ``fin`` on the last piece of the stream, which may be empty.

    A decoded value is a piece: all of a frame, or what one chunk held of it.
    """

    stream_id: int
    data: bytes
    fin: bool = False

    def encode(self) -> bytes:
        return data_head(self.stream_id, len(self.data), fin=self.fin) + self.data


@attrs.frozen
class SynStream:
    """Opens a stream. ``unidirectional``: its receiver never sends on it."""

    KIND: ClassVar = 1
    stream_id: int
    block: bytes
    fin: bool = False
    unidirectional: bool = False
    associated_id: int = 0
    priority: int = 0

    def encode(self) -> bytes:
        fixed = _SYN_STREAM.pack(self.stream_id, self.associated_id, self.priority << 5, 0)
        flags = self.fin * _FIN | self.unidirectional * _UNIDIRECTIONAL
        return _control(self.KIND, flags, fixed + self.block)

    @classmethod
    def parse(cls, flags: int, payload: bytes) -> SynStream:
        stream_id, associated_id, priority, _slot = _SYN_STREAM.unpack_from(payload)
        return cls(
            _stream(stream_id),
            payload[_SYN_STREAM.size :],
            bool(flags & _FIN),
            bool(flags & _UNIDIRECTIONAL),
            associated_id & _ID,
            priority >> 5,
        )


@attrs.frozen
class SynReply:
    """Accepts a stream that the other side opened."""

    KIND: ClassVar = 2
    stream_id: int
    block: bytes
    fin: bool = False

    def encode(self) -> bytes:
        return _encode_block(self.KIND, self.stream_id, self.block, fin=self.fin)

    @classmethod
    def parse(cls, flags: int, payload: bytes) -> SynReply:
        return cls(*_parse_block(flags, payload))


@attrs.frozen
class Headers:
    """More headers of a stream."""

    KIND: ClassVar = 8
    stream_id: int
    block: bytes
    fin: bool = False

    def encode(self) -> bytes:
        return _encode_block(self.KIND, self.stream_id, self.block, fin=self.fin)

    @classmethod
    def parse(cls, flags: int, payload: bytes) -> Headers:
        return cls(*_parse_block(flags, payload))


@attrs.frozen
class RstStream:
    """Ends a stream at once, both ways. ``status`` is a `ResetStatus`, or another number."""

    KIND: ClassVar = 3
    stream_id: int
    status: int

    def encode(self) -> bytes:
        return _control(self.KIND, 0, _PAIR.pack(self.stream_id, self.status))

    @classmethod
    def parse(cls, flags: int, payload: bytes) -> RstStream:
        stream_id, status = _PAIR.unpack(payload)
        return cls(_stream(stream_id), status)


@attrs.frozen
class SettingsFrame:
    """SETTINGS entries as (flags, id, value). No Kubernetes peer sends or applies any."""

    KIND: ClassVar = 4
    entries: tuple[tuple[int, int, int], ...]

    def encode(self) -> bytes:
        words = (_PAIR.pack(flags << 24 | key, value) for flags, key, value in self.entries)
        return _control(self.KIND, 0, _WORD.pack(len(self.entries)) + b"".join(words))

    @classmethod
    def parse(cls, flags: int, payload: bytes) -> SettingsFrame:
        (count,) = _WORD.unpack_from(payload)
        if len(payload) != _WORD.size + count * _PAIR.size:
            raise SpdyError(f"settings frame of {len(payload)} bytes for {count} entries")
        pairs = _PAIR.iter_unpack(payload[_WORD.size :])
        return cls(tuple((key >> 24, key & 0xFFFFFF, value) for key, value in pairs))


@attrs.frozen
class Ping:
    """Comes back as it is. Odd ids are the client's, even ones the server's."""

    KIND: ClassVar = 6
    ping_id: int

    def encode(self) -> bytes:
        return _control(self.KIND, 0, _WORD.pack(self.ping_id))

    @classmethod
    def parse(cls, flags: int, payload: bytes) -> Ping:
        return cls(*_WORD.unpack(payload))


@attrs.frozen
class GoAway:
    """No further streams; ``last_id`` is the last one of the other side that was taken."""

    KIND: ClassVar = 7
    last_id: int
    status: int = GoAwayStatus.OK

    def encode(self) -> bytes:
        return _control(self.KIND, 0, _PAIR.pack(self.last_id, self.status))

    @classmethod
    def parse(cls, flags: int, payload: bytes) -> GoAway:
        last_id, status = _PAIR.unpack(payload)
        return cls(last_id & _ID, status)


@attrs.frozen
class WindowUpdate:
    """Flow control, which no Kubernetes peer uses; stream 0 is the session's own window."""

    KIND: ClassVar = 9
    stream_id: int
    delta: int

    def encode(self) -> bytes:
        return _control(self.KIND, 0, _PAIR.pack(self.stream_id, self.delta))

    @classmethod
    def parse(cls, flags: int, payload: bytes) -> WindowUpdate:
        stream_id, delta = _PAIR.unpack(payload)
        return cls(stream_id & _ID, delta & _ID)


@attrs.frozen
class Unknown:
    """A control frame of another kind, which is ignored; its payload is dropped."""

    kind: int


Frame: TypeAlias = (
    Data
    | SynStream
    | SynReply
    | RstStream
    | SettingsFrame
    | Ping
    | GoAway
    | Headers
    | WindowUpdate
    | Unknown
)

_KINDS: dict[int, Callable[[int, bytes], Frame]] = {
    kind.KIND: kind.parse
    for kind in (SynStream, SynReply, RstStream, SettingsFrame, Ping, GoAway, Headers, WindowUpdate)
}


def parse_control(kind: int, flags: int, payload: bytes) -> Frame:
    """Return the control frame of that kind; raises SpdyError when its payload is not of it."""
    parse = _KINDS.get(kind)
    if parse is None:
        return Unknown(kind)
    try:
        return parse(flags, payload)
    except StructError:
        size = len(payload)
        raise SpdyError(f"control frame of kind {kind} cannot have {size} bytes") from None


def _stream(word: int) -> int:
    stream_id = word & _ID
    if not stream_id:
        raise SpdyError("control frame for stream 0, expected an id from 1")
    return stream_id


@attrs.define(eq=False)
class Decoder:
    """Decodes a connection's bytes to frames, whatever the chunks they come in.

    Keeps an unfinished frame between two chunks: at most `MAX_CONTROL` bytes and a head. A DATA
    frame is never held back until it is whole: each piece of it is returned as it comes, copied
    once out of the chunk, so a frame may claim the 16 MiB that its length field allows and costs no
    memory. Control frames are collected, and refused above `MAX_CONTROL`.
    """

    _pending: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    # The rest of the DATA frame whose pieces are being returned.
    _left: int = attrs.field(default=0, init=False)
    _stream_id: int = attrs.field(default=0, init=False)
    _fin: bool = attrs.field(default=False, init=False)

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """Yield the frames that ``chunk`` ends, and a piece of the one that it leaves open.

        Must be exhausted before the next chunk. Raises SpdyError for bytes that are no frame; after
        that no further frame can be decoded.
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
        wanted = _PAIR.size
        if len(pending) >= wanted:
            wanted += _PAIR.unpack_from(pending)[1] & 0xFFFFFF
        taken = chunk[position : position + wanted - len(pending)]
        pending += taken
        return position + len(taken)

    def _begin(self) -> Frame | None:
        """Return the pending frame once it is whole; switch to returning pieces if it is DATA."""
        pending = self._pending
        if len(pending) < _PAIR.size:
            return None
        first, second = _PAIR.unpack_from(pending)
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
        if len(self._pending) < _PAIR.size + length:
            return None
        payload = bytes(self._pending[_PAIR.size :])
        self._pending.clear()
        return parse_control(kind, flags, payload)
