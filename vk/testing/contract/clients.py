"""The client's side of exec, attach and port-forward, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import attrs

from vk.streams import TerminalSize

__all__ = ["ClientInput", "ExecClient", "ForwardedConnection"]


@attrs.define(eq=False)
class ClientInput:
    """What the client sends: its bytes, then the end, or silence where it stays connected."""

    data: bytes = b""
    stays: bool = attrs.field(default=False, kw_only=True)

    async def read(self, limit: int = 65536) -> bytes:
        """Return the next bytes; empty at the end."""
        piece, self.data = self.data[:limit], self.data[limit:]
        if not piece and self.stays:
            await asyncio.Event().wait()  # until the call is cancelled
        return piece


@attrs.define(eq=False)
class ClientOutput:
    """What the client gets."""

    received: bytearray = attrs.field(factory=bytearray)

    async def write(self, data: bytes) -> None:
        """Take ``data``; lets others run, as a network would."""
        await asyncio.sleep(0)
        self.received += data


@attrs.define(eq=False)
class ExecClient:
    """An `vk.ExecIO` without a terminal."""

    stdin: ClientInput | None = None
    stdout: ClientOutput = attrs.field(factory=ClientOutput)
    stderr: ClientOutput = attrs.field(factory=ClientOutput)
    tty: bool = False

    async def sizes(self) -> AsyncIterator[TerminalSize]:
        """Yield nothing: there is no terminal."""
        nothing: tuple[TerminalSize, ...] = ()
        for size in nothing:  # makes this an async generator
            yield size


@attrs.define(eq=False)
class ForwardedConnection:
    """A `vk.ByteStream`: both directions of a forwarded connection."""

    sent: ClientInput
    got: ClientOutput = attrs.field(factory=ClientOutput)

    async def read(self, limit: int = 65536) -> bytes:
        """Return what the client sends next."""
        return await self.sent.read(limit)

    async def write(self, data: bytes) -> None:
        """Take what comes back."""
        await self.got.write(data)

    async def write_eof(self) -> None:
        """Take the end of the other side."""
