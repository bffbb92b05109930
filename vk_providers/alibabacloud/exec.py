"""Exec in a container: an API call returns the URL of a WebSocket.

Frames are binary; the first byte is the channel as in Kubernetes: 0 stdin, 1 stdout, 2 stderr, 3
the exit status, 4 the terminal's size. Seen on the live service, except for an exit code on channel
3: without one the exit code is unknown. With ``exec_exit_code = "wrap"`` a shell prints it, in a
line that is removed from the output.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

import aiohttp
import attrs
import orjson

import vk
from vk_providers.alibabacloud.client import RpcClient

__all__ = ["EciExecSession", "execute"]

_STDIN, _STDOUT, _STDERR, _STATUS, _RESIZE = range(5)
_MOST_WORDS, _LONGEST_WORD, _LONGEST = 20, 256, 2048
_HOSTS = (".aliyun.com", ".aliyuncs.com")
_END_OF_INPUT = b"\x04"
_CONNECT = 20.0


async def execute(
    client: RpcClient,
    *,
    group: str,
    container: str,
    command: Sequence[str],
    io: vk.ExecIO,
    wrap: bool,
) -> int | None:
    """Run ``command`` and return its exit code, None where the service does not report it."""
    mark = f"vk-{secrets.token_hex(8)}:" if wrap else ""
    words = _wrapped(command, mark) if wrap else list(command)
    _check(words)
    query = {
        "ContainerGroupId": group,
        "ContainerName": container,
        "Command": orjson.dumps(words).decode(),
        "TTY": io.tty,
        "Stdin": io.stdin is not None,
    }
    answer = await client.call("ExecContainerCommand", query)
    url = str(answer.get("websocketuri") or "")
    _check_address(url, client.endpoint)
    session = EciExecSession(io, mark.encode())
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as http,
            http.ws_connect(url, max_msg_size=1 << 20, heartbeat=30.0) as socket,
        ):
            return await session.run(socket)
    except (aiohttp.ClientError, OSError) as error:  # from None: its text has the URL
        text = f"the exec connection failed ({type(error).__name__})"
        raise vk.TemporaryError(text) from None


def _wrapped(command: Sequence[str], mark: str) -> list[str]:
    return ["/bin/sh", "-c", f"{shlex.join(command)}; printf '%s%s\\n' '{mark}' $?"]


def _check(words: Sequence[str]) -> None:
    if len(words) > _MOST_WORDS or any(len(word) > _LONGEST_WORD for word in words):
        text = (
            f"ECI accepts commands of {_MOST_WORDS} arguments of {_LONGEST_WORD} characters at most"
        )
        raise vk.InvalidInputError(text)
    if sum(len(word.encode()) for word in words) > _LONGEST:
        raise vk.InvalidInputError(f"ECI accepts commands of {_LONGEST} bytes in total at most")


def _check_address(url: str, endpoint: str) -> None:
    """Reject a URL that is not of the vendor or of the configured endpoint."""
    parts, ours = urlsplit(url), urlsplit(endpoint)
    host = parts.hostname or ""
    if parts.scheme == "wss" and (host.endswith(_HOSTS) or host == ours.hostname):
        return
    if ours.scheme == "http" and parts.scheme == "ws" and host == ours.hostname:
        return
    raise vk.TemporaryError("ExecContainerCommand returned a URL that is not the service's")


@attrs.define(eq=False)
class EciExecSession:
    """Both directions of one exec session."""

    io: vk.ExecIO
    mark: bytes = b""
    """Prefix of the line with the exit code; empty: there is none."""
    code: int | None = attrs.field(default=None, init=False)
    _held: bytes = attrs.field(default=b"", init=False)

    async def run(self, socket: aiohttp.ClientWebSocketResponse) -> int | None:
        """Relay until the service closes the socket; return the exit code if known."""
        senders = [asyncio.ensure_future(self._send_input(socket))]
        senders.append(asyncio.ensure_future(self._send_sizes(socket)))
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    await self._take(message.data)
                elif message.type is aiohttp.WSMsgType.TEXT:
                    await self._out(message.data.encode())
            await self._out(b"", last=True)
        finally:
            for sender in senders:
                sender.cancel()
            await asyncio.gather(*senders, return_exceptions=True)
        return self.code

    async def _take(self, frame: bytes) -> None:
        channel, data = (frame[0], frame[1:]) if frame and frame[0] <= _RESIZE else (_STDOUT, frame)
        if channel == _STDOUT:
            await self._out(data)
        elif channel == _STDERR:
            writer = self.io.stderr or self.io.stdout
            if writer is not None and data:
                await writer.write(data)
        elif channel == _STATUS:
            self.code = _exit_code(data)

    async def _out(self, data: bytes, *, last: bool = False) -> None:
        if self.mark:
            data = self._without_mark(data, last=last)
        if data and self.io.stdout is not None:
            await self.io.stdout.write(data)

    def _without_mark(self, data: bytes, *, last: bool) -> bytes:
        """Hold back what may be the line with the exit code; parse it when complete."""
        data, self._held = self._held + data, b""
        found = re.search(re.escape(self.mark) + rb"(\d+)\r?\n", data)
        if found is not None:
            self.code = int(found[1])
            return data[: found.start()] + data[found.end() :]
        if last:
            return data
        start = data.rfind(self.mark[:1])
        tail = data[start:] if start >= 0 else b""
        if tail and (self.mark.startswith(tail) or tail.startswith(self.mark)):
            self._held = tail
            return data[:start]
        return data

    async def _send_input(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        stdin = self.io.stdin
        if stdin is None:
            return
        with suppress(ConnectionError):
            while data := await stdin.read():
                await socket.send_bytes(bytes([_STDIN]) + data)
            await socket.send_bytes(bytes([_STDIN]) + (_END_OF_INPUT if self.io.tty else b""))

    async def _send_sizes(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        with suppress(ConnectionError):
            async for size in self.io.sizes():
                fields = {"Width": size.width, "Height": size.height}
                await socket.send_bytes(bytes([_RESIZE]) + orjson.dumps(fields))


def _exit_code(data: bytes) -> int | None:
    """Return the exit code of a Kubernetes Status, None where it has none."""
    try:
        status = orjson.loads(data)
        if status.get("status") == "Success":
            return 0
        causes = (status.get("details") or {}).get("causes") or ()
        return next(int(one["message"]) for one in causes if one.get("reason") == "ExitCode")
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration):
        return None
