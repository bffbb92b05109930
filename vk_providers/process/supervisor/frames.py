"""The frames on the socket between vk and a supervisor, and their flow control.

Pure; used by both sides. The messages are described in ``protocol.py`` of vk's side.

A frame is a header of nine bytes, ``length (4) kind (1) channel (4)``, big-endian, and ``length``
bytes. Kind 0 holds a JSON object on channel 0; kinds 1 to 3 hold bytes of stdin, stdout or stderr
of the session ``channel``, empty for EOF; kind 4 is credit: ``stream (1) bytes (4)``. Each side may
send `WINDOW` bytes of each stream of a session, and then as many as the other side's credits
permit: a slow reader blocks one stream only.
"""

from __future__ import annotations

import json
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

__all__ = [
    "CHUNK",
    "CREDIT",
    "JSON",
    "STDERR",
    "STDIN",
    "STDOUT",
    "WINDOW",
    "Frames",
    "ProtocolError",
    "credit_frame",
    "frame",
    "json_frame",
    "read_credit",
]

JSON, STDIN, STDOUT, STDERR, CREDIT = range(5)

WINDOW = 256 * 1024
CHUNK = 64 * 1024
"""Maximum bytes in one frame of a stream."""
_LARGEST = 8 * 1024 * 1024
"""Maximum bytes in any frame: a status with its events, or a long command."""

_HEADER = struct.Struct("!IBI")
_CREDIT = struct.Struct("!BI")


class ProtocolError(Exception):
    """The peer sent a malformed frame or request."""


def frame(kind: int, channel: int, content: bytes | memoryview) -> bytes:
    """Return one frame."""
    return b"".join((_HEADER.pack(len(content), kind, channel), content))


def json_frame(message: Mapping[str, Any]) -> bytes:
    """Return the frame of a JSON object."""
    return frame(JSON, 0, json.dumps(message).encode())


def credit_frame(channel: int, stream: int, count: int) -> bytes:
    """Return the frame that permits ``count`` more bytes of ``stream``."""
    return frame(CREDIT, channel, _CREDIT.pack(stream, count))


def read_credit(content: bytes) -> tuple[int, int]:
    """Return stream and bytes of a credit; raises ProtocolError."""
    if len(content) != _CREDIT.size:
        raise ProtocolError(f"a credit of {len(content)} bytes, expected {_CREDIT.size}")
    stream, count = _CREDIT.unpack(content)
    return int(stream), int(count)


class Frames:
    """Splits a byte stream into frames."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, content: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield kind, channel and content of each complete frame; raises ProtocolError."""
        self._rest += content
        while len(self._rest) >= _HEADER.size:
            length, kind, channel = _HEADER.unpack_from(self._rest)
            if length > _LARGEST or kind > CREDIT:
                raise ProtocolError(f"a frame of kind {kind} and {length} bytes")
            end = _HEADER.size + length
            if len(self._rest) < end:
                return
            body = bytes(memoryview(self._rest)[_HEADER.size : end])
            del self._rest[:end]
            yield kind, channel, body
