"""Commands in a container: one API call for an address, then a WebSocket to it.

Frames are binary, the first byte names the channel as in Kubernetes: 0 stdin, 1 stdout, 2 stderr,
3 the end's status, 4 the terminal's size. That much is seen on the live service; whether channel 3
tells an exit code is not known, so none is claimed where none comes. With ``exec_exit_code =
"wrap"`` a shell tells it, in a line that is taken out of the output again.
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
    """Run ``command`` and return its exit code, None where the service does not say."""
    mark = f"vk-{secrets.token_hex(8)}:" if wrap else ""
    words = _wrapped(command, mark) if wrap else list(command)
    _check(words)
    question = {
        "ContainerGroupId": group,
        "ContainerName": container,
        "Command": orjson.dumps(words).decode(),
        "TTY": io.tty,
        "Stdin": io.stdin is not None,
    }
    answer = await client.call("ExecContainerCommand", question)
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
        text = f"the command's connection failed ({type(error).__name__})"
        raise vk.TemporaryError(text) from None


def _wrapped(command: Sequence[str], mark: str) -> list[str]:
    return ["/bin/sh", "-c", f"{shlex.join(command)}; printf '%s%s\\n' '{mark}' $?"]


def _check(words: Sequence[str]) -> None:
    if len(words) > _MOST_WORDS or any(len(word) > _LONGEST_WORD for word in words):
        text = f"ECI takes a command of {_MOST_WORDS} words of {_LONGEST_WORD} characters at most"
        raise vk.InvalidInputError(text)
    if sum(len(word.encode()) for word in words) > _LONGEST:
        raise vk.InvalidInputError(f"ECI takes a command of {_LONGEST} bytes in all at most")


def _check_address(url: str, endpoint: str) -> None:
    """Refuse an address that is none of the vendor's, or of the endpoint that is configured."""
    parts, ours = urlsplit(url), urlsplit(endpoint)
    host = parts.hostname or ""
    if parts.scheme == "wss" and (host.endswith(_HOSTS) or host == ours.hostname):
        return
    if ours.scheme == "http" and parts.scheme == "ws" and host == ours.hostname:
        return
    raise vk.TemporaryError("ExecContainerCommand gave no address of the service")


@attrs.define(eq=False)
class EciExecSession:
    """Both directions of one command."""

    io: vk.ExecIO
    mark: bytes = b""
    """Begins the line that tells the exit code; empty: there is none."""
    code: int | None = attrs.field(default=None, init=False)
    _held: bytes = attrs.field(default=b"", init=False)

    async def run(self, socket: aiohttp.ClientWebSocketResponse) -> int | None:
        """Relay until the service closes, and return the exit code where it is known."""
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
        """Keep back what may be the line with the code; at the end read it."""
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
    """Read a Kubernetes Status, where it is one."""
    try:
        status = orjson.loads(data)
        if status.get("status") == "Success":
            return 0
        causes = (status.get("details") or {}).get("causes") or ()
        return next(int(one["message"]) for one in causes if one.get("reason") == "ExitCode")
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration):
        return None
