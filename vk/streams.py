"""Streams that a provider gets for exec, attach and port-forward: bytes with back-pressure.

`vk.server` implements them over SPDY and WebSocket; a provider only reads and writes. All waits end
when the client disconnects: the provider's call is cancelled.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import attrs

__all__ = ["ByteReader", "ByteStream", "ByteWriter", "ExecIO", "TerminalSize"]


@attrs.frozen
class TerminalSize:
    """The size of the client's terminal, in characters."""

    width: int
    height: int


class ByteReader(Protocol):
    """Bytes that the client sends."""

    async def read(self, limit: int = 65536) -> bytes:
        """Return the next 1 to ``limit`` bytes; empty once the client has ended its side."""
        ...


class ByteWriter(Protocol):
    """Bytes that go to the client."""

    async def write(self, data: bytes) -> None:
        """Send ``data``; waits while the client reads slower than this writes."""
        ...


class ByteStream(ByteReader, ByteWriter, Protocol):
    """Both directions of one forwarded connection."""

    async def write_eof(self) -> None:
        """End this side; reading goes on, where the protocol can signal the end. Repeatable."""
        ...


class ExecIO(Protocol):
    """The streams of one exec or attach. A stream that the client did not request is None."""

    @property
    def stdin(self) -> ByteReader | None:
        """The input from the client."""
        ...

    @property
    def stdout(self) -> ByteWriter | None:
        """The output of the command; with a terminal, its errors too."""
        ...

    @property
    def stderr(self) -> ByteWriter | None:
        """The errors of the command; None with a terminal."""
        ...

    @property
    def tty(self) -> bool:
        """True where the command runs on a terminal."""
        ...

    def sizes(self) -> AsyncIterator[TerminalSize]:
        """Yield the terminal's size now and whenever it changes; only the newest is kept.

        Ends at once where there is no terminal.
        """
        ...
