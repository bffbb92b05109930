"""Connections to kubelets: a request, then, if it was upgraded, bytes; and a tunnel over two.

An upgraded connection is passed on byte for byte, so it is dialled without an HTTP client, and the
heads of request and answer are written and read here. After the upgrade a `KubeletPipe` is a
`DuplexPipe` as the connection of the client is, and `tunnel` passes all bytes on between two such.

Over TLS one direction of a connection cannot be ended alone, so half-closes travel inside the
frames that are passed on, and the end of one side is the end of the tunnel. What that side sent
before still arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import attrs

from vk.aio.transports import abort
from vk.streaming.spdy.connection import DuplexPipe

__all__ = [
    "HOP_BY_HOP",
    "AnswerHead",
    "Headers",
    "KubeletGoneError",
    "KubeletPipe",
    "parse_head",
    "request_head",
    "tunnel",
]

Headers = Iterable[tuple[str, str]]

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that are about one connection and are never passed on, in lower case."""


@attrs.frozen
class AnswerHead:
    """Status and headers of an answer."""

    status: int
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """Return the first value of a header, empty where there is none."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")


def request_head(method: str, target: str, headers: Headers) -> bytes:
    """Return the head of a request; ``target`` is its path and query, quoted already."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def parse_head(raw: bytes) -> AnswerHead:
    """Read the head of an answer, up to its empty line. Raises ValueError, one clear line."""
    first, *lines = raw.decode("utf-8", "surrogateescape").rstrip("\r\n").split("\r\n")
    version, _, rest = first.partition(" ")
    code = rest.partition(" ")[0]
    if not (version.startswith("HTTP/1.") and code.isascii() and code.isdigit() and len(code) == 3):
        raise ValueError(f"malformed HTTP response {first[:60]!r}")
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise ValueError(f"malformed HTTP header {line[:60]!r}")
        headers.append((name, value.strip()))
    return AnswerHead(int(code), tuple(headers))


_CHUNK = 1 << 16
_LONGEST_BODY = 50_000  # bytes of a refusal that are passed on, as the real server has it
_PATIENCE = 30.0  # s for the head of an answer
_CLOSING = 5.0


class KubeletGoneError(ConnectionError):
    """The connection to the kubelet has ended or broken."""


@attrs.define(eq=False)
class KubeletPipe:
    """A connection to a kubelet: one request, then, if it was upgraded, bytes."""

    _reader: asyncio.StreamReader = attrs.field(repr=False)
    _writer: asyncio.StreamWriter = attrs.field(repr=False)

    async def exchange(self, method: str, target: str, headers: Headers) -> AnswerHead:
        """Send a request without a body; return the head of the answer.

        Raises KubeletGoneError for a missing, late or malformed answer.
        """
        await self.write(request_head(method, target, headers))
        try:
            async with asyncio.timeout(_PATIENCE):
                return parse_head(await self._reader.readuntil(b"\r\n\r\n"))
        except TimeoutError:
            raise KubeletGoneError("timeout awaiting response headers") from None
        except EOFError:
            raise KubeletGoneError("EOF") from None
        except (asyncio.LimitOverrunError, OSError, ValueError) as error:
            raise KubeletGoneError(str(error)) from None

    async def body(self, head: AnswerHead) -> bytes:
        """Return the body of an answer that was no upgrade, or the start of a long one."""
        try:
            async with asyncio.timeout(_PATIENCE):
                if "chunked" in head.get("Transfer-Encoding").lower():
                    return await self._chunks()
                length = head.get("Content-Length")
                size = int(length) if length.isascii() and length.isdigit() else _LONGEST_BODY
                return await self._reader.readexactly(min(size, _LONGEST_BODY))
        except asyncio.IncompleteReadError as error:
            return error.partial
        except OSError:  # and too late
            return b""

    async def _chunks(self) -> bytes:
        body = bytearray()
        try:
            while len(body) < _LONGEST_BODY:
                line = await self._reader.readuntil(b"\r\n")
                size = int(line.partition(b";")[0], 16)
                if size <= 0:
                    break
                body += (await self._reader.readexactly(size + 2))[:size]
        except (EOFError, ValueError, asyncio.LimitOverrunError):
            pass  # what came until then is better than nothing
        return bytes(body[:_LONGEST_BODY])

    async def read(self) -> bytes:
        """Return the next chunk, of 64 KiB at most; empty once the kubelet is gone."""
        try:
            return await self._reader.read(_CHUNK)
        except OSError:
            return b""

    async def write(self, data: bytes) -> None:
        """Send ``data``; waits while the kubelet reads slower. Raises KubeletGoneError."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise KubeletGoneError(str(error)) from None

    async def answer(self, data: bytes) -> None:
        """Send ``data`` as `write` does."""
        await self.write(data)

    async def close(self) -> None:
        """Close the connection, in a time that does not depend on the kubelet."""
        self._writer.close()
        try:
            async with asyncio.timeout(_CLOSING):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            pass  # it is gone, or does not read
        finally:
            abort(self._writer.transport)


async def tunnel(client: DuplexPipe, kubelet: DuplexPipe) -> None:
    """Pass bytes on both ways until one side ends; then close both.

    Each direction waits for its reader, without holding the other one back.
    """
    try:
        async with asyncio.TaskGroup() as copies:
            there = copies.create_task(_copy(client, kubelet))
            back = copies.create_task(_copy(kubelet, client))
            there.add_done_callback(lambda _: back.cancel())
            back.add_done_callback(lambda _: there.cancel())
    finally:
        await _close(client, kubelet)


async def _close(client: DuplexPipe, kubelet: DuplexPipe) -> None:
    """Close both; a client that has gone may have left something for the kubelet."""
    try:
        await client.close()
        async with asyncio.timeout(_CLOSING):
            await _copy(client, kubelet)
    except TimeoutError:
        pass  # the kubelet does not read
    finally:
        await kubelet.close()


async def _copy(source: DuplexPipe, target: DuplexPipe) -> None:
    try:
        while chunk := await source.read():
            await target.write(chunk)
    except ConnectionError:
        pass  # one of them is gone: the end of the tunnel
