"""Simulated exec, attach and port-forward.

Nothing is executed: the first output states that the pod is simulated, then the input is echoed. A
client with a terminal sends key strokes, not lines, so Ctrl-C and Ctrl-D are handled here, and
lines end with CR LF.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import TypeVar

import vk
from vk_providers.mock.files import CommandOutput
from vk_providers.mock.scenario import KILLED

__all__ = ["attach", "execute", "first", "killed", "serve"]

T = TypeVar("T")
_EXIT = re.compile(r"exit (\d{1,3})", re.ASCII)
_LEAVE = re.compile(rb"[\x03\x04]")  # Ctrl-C, Ctrl-D


async def execute(
    container: vk.ContainerKey, command: Sequence[str], io: vk.ExecIO, shown: CommandOutput | None
) -> int:
    """Print ``shown``, the simulated output of a command, if given.

    ``exit N``, also with ``sh -c``, returns N; other commands echo stdin and return 0.
    """
    await _tell(io, f"simulated: nothing runs in container {container}, so the command was not run")
    if shown is not None:
        await _print(io, shown)
        return shown.exit_code
    words = command[2] if len(command) == 3 and command[1] == "-c" else " ".join(command)
    if found := _EXIT.fullmatch(words):
        return int(found[1]) % 256
    await _echo(io)
    return 0


async def killed(seconds: AsyncIterator[int]) -> int:
    """Wait for the end of a container's run; return the exit code of its other processes."""
    async for _ in seconds:
        pass
    return KILLED


async def attach(container: vk.ContainerKey, io: vk.ExecIO, log: AsyncIterator[bytes]) -> None:
    """Stream ``log`` and echo stdin; Ctrl-D on a terminal detaches."""
    await _tell(io, f"simulated: nothing runs in container {container}, you see its log and echo")
    await first(_show(io, log), _typed(io))


async def serve(key: vk.PodKey, port: int, stream: vk.ByteStream) -> None:
    """Answer the first bytes as an HTTP server, then read until the client's EOF."""
    text = f"simulated: pod {key} runs nowhere, so nothing listens on its port {port}\n"
    headers = ("Content-Type: text/plain; charset=utf-8", f"Content-Length: {len(text.encode())}")
    answer = "\r\n".join(("HTTP/1.1 200 OK", *headers, "Connection: close", "", text))
    if await stream.read():
        await stream.write(answer.encode())
    await stream.write_eof()
    while await stream.read():
        pass


async def first(*parts: Coroutine[None, None, T]) -> T:
    """Run ``parts`` until one completes, return its result, and cancel the others."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task.done()).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _tell(io: vk.ExecIO, text: str) -> None:
    leave = " (Ctrl-D leaves)" if io.tty and io.stdin is not None else ""
    writer = io.stderr or io.stdout  # stdout stays clean for pipes
    if writer is not None:
        await writer.write(_shown(io, f"{text}{leave}\n".encode()))


async def _print(io: vk.ExecIO, shown: CommandOutput) -> None:
    for writer, data in (
        (io.stdout, shown.stdout),
        (io.stderr or io.stdout, shown.stderr.encode()),
    ):
        if writer is not None and data:
            await writer.write(_shown(io, data))


async def _show(io: vk.ExecIO, log: AsyncIterator[bytes]) -> None:
    async for data in log:
        if io.stdout is not None:
            await io.stdout.write(_shown(io, data))


async def _typed(io: vk.ExecIO) -> None:
    await _echo(io)
    if io.stdin is None or not io.tty:  # after the EOF of a pipe the log continues
        await asyncio.Event().wait()  # until `first` cancels it


async def _echo(io: vk.ExecIO) -> None:
    """Echo stdin until EOF, or Ctrl-D on a terminal."""
    while io.stdin is not None and (data := await io.stdin.read()):
        part, *left = _LEAVE.split(data, maxsplit=1) if io.tty else [data]
        if io.stdout is not None and part:
            await io.stdout.write(_shown(io, part.replace(b"\r", b"\n")) if io.tty else part)
        if left:
            return


def _shown(io: vk.ExecIO, data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n") if io.tty else data
