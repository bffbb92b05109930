"""The client's end of an upgraded connection through the API server, as cheap as can be.

Comes in: a kubeconfig, a path. Goes out: how long so many bytes took there and back. The same code
measures vk, whose bytes come in WebSocket messages, and the yardstick `raw.py`, whose bytes come
bare; so its messages are made once, with a mask of zeros, and only the heads of answers are read.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import urlsplit

import attrs
from access import kubeconfig_of

__all__ = ["Bare", "Framing", "Messages", "Server", "Upgraded"]

PIECE = 1 << 15
"""Bytes of one message, as kubectl's copying makes them."""
_READ = 1 << 18
_CLOSE = 8
_DATA = (1, 2)


class Framing(Protocol):
    """How bytes look on the connection."""

    def message(self, data: bytes) -> bytes:
        """Return ``data`` as the client sends it."""
        ...

    def count(self, data: bytes) -> int:
        """Return how many bytes of the stream came with ``data``."""
        ...


class Bare:
    """No framing at all."""

    def message(self, data: bytes) -> bytes:
        """Return ``data``."""
        return data

    def count(self, data: bytes) -> int:
        """Return the length."""
        return len(data)


@attrs.define
class Messages:
    """WebSocket messages that begin with the number of a channel."""

    sends: int
    """The channel that the client writes to."""
    receives: int
    _rest: bytes = attrs.field(default=b"", init=False)
    _left: int = attrs.field(default=0, init=False)
    _counts: bool = attrs.field(default=False, init=False)

    def message(self, data: bytes) -> bytes:
        """Return a binary message; a mask of zeros leaves it as it is."""
        size = len(data) + 1
        assert 126 <= size < 1 << 16  # else its head looks different
        head = struct.pack("!BBH4x", 0x82, 0x80 | 126, size)
        return b"".join((head, bytes((self.sends,)), data))

    def count(self, data: bytes) -> int:
        """Return how many bytes came on the channel; raises ConnectionError at a close."""
        data, position, found = self._rest + data, 0, 0
        while True:
            part = min(self._left, len(data) - position)
            position += part
            self._left -= part
            found += part if self._counts else 0
            if self._left or (head := self._head(data, position)) is None:
                self._rest = data[position:]
                return found
            position = head

    def _head(self, data: bytes, at: int) -> int | None:
        """Read the head of a message and its channel; return where its bytes begin."""
        if len(data) < at + 2:
            return None
        kind, size = data[at] & 15, data[at + 1]
        begin = at + {126: 4, 127: 10}.get(size, 2)
        if len(data) < begin + 1 and size:
            return None
        if size >= 126:
            size = int.from_bytes(data[at + 2 : begin], "big")
        if kind == _CLOSE:
            raise ConnectionError("the server has closed the WebSocket")
        self._counts = kind in _DATA and size > 0 and data[begin] == self.receives
        self._left = size - 1 if self._counts else size
        return begin + 1 if self._counts else begin


@attrs.frozen
class Server:
    """Where the API server is, and how the administrator speaks to it."""

    host: str
    port: int
    context: ssl.SSLContext = attrs.field(repr=False)

    @classmethod
    def of(cls, kubeconfig: Path) -> Self:
        """Read the kubeconfig."""
        url, context = kubeconfig_of(kubeconfig)
        parts = urlsplit(url)
        assert parts.hostname is not None and parts.port is not None
        return cls(parts.hostname, parts.port, context)

    async def connect(self) -> Upgraded:
        """Open a connection, not upgraded yet."""
        streams = await asyncio.open_connection(self.host, self.port, ssl=self.context, limit=_READ)
        return Upgraded(*streams)

    async def upgrade(self, path: str, protocol: str) -> Upgraded:
        """Open a connection and upgrade it."""
        connection = await self.connect()
        await connection.upgrade(path, protocol)
        return connection


@attrs.define(eq=False)
class Upgraded:
    """A connection. Close it at the end."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    async def upgrade(self, path: str, protocol: str) -> None:
        """Ask for a WebSocket; raises ConnectionError with the answer where it is none."""
        key = base64.b64encode(os.urandom(16)).decode()
        lines: Sequence[str] = (
            f"GET {path} HTTP/1.1",
            "Host: apiserver",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
            f"Sec-WebSocket-Protocol: {protocol}",
            "",
            "",
        )
        self._writer.write("\r\n".join(lines).encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise ConnectionError((head + await self._reader.read(4096)).decode(errors="replace"))

    async def echo(self, framing: Framing, size: int, *, preface: int = 0) -> float:
        """Send ``size`` bytes and return the seconds until as many have come back.

        Before them come ``preface`` bytes that were not asked for.
        """
        await self._receive(framing, preface)
        begun = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send(framing, size))
            tasks.create_task(self._receive(framing, size))
        return time.monotonic() - begun

    async def ended(self) -> None:
        """Read to the end."""
        while await self._reader.read(_READ):
            pass

    async def receive(self, framing: Framing, size: int) -> None:
        """Return when ``size`` bytes have come; raises ConnectionError when they do not."""
        await self._receive(framing, size)

    def close(self) -> None:
        """Break the connection off."""
        self._writer.transport.abort()

    async def _send(self, framing: Framing, size: int) -> None:
        message = framing.message(bytes(PIECE))
        for _ in range(size // PIECE):
            self._writer.write(message)
            await self._writer.drain()

    async def _receive(self, framing: Framing, size: int) -> None:
        while size > 0:
            data = await self._reader.read(_READ)
            if not data:
                raise ConnectionError(f"the connection ended, {size} bytes before the end")
            size -= framing.count(data)
