"""A provider whose commands are processes of this machine, and whose ports are ports of loopback.

A plugin of the tests of streams; nothing about it is isolated.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import Sequence

import attrs

import vk
from vk.streams import ByteReader, ByteWriter


@attrs.define(eq=False)
class LocalProvider(vk.Provider):
    """Pods run from the moment they are created."""

    durable = False
    context: vk.ProviderContext
    _pods: dict[vk.PodKey, vk.PodStatus] = attrs.field(factory=dict, init=False)

    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "8", "memory": "16Gi", "pods": "100"})

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        return self._pods.setdefault(pod.key, vk.PodStatus.running(pod))

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> None:
        if self._pods.pop(key, None) is None:
            raise vk.NotFoundError(key)

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        return list(self._pods.values())

    async def exec(
        self, container: vk.ContainerKey, command: Sequence[str], io: vk.ExecIO
    ) -> int | None:
        return await (_with_terminal(command, io) if io.tty else _with_pipes(command, io))

    async def attach(self, container: vk.ContainerKey, io: vk.ExecIO) -> None:
        await _with_pipes(["cat"], io)

    async def port_forward(self, key: vk.PodKey, port: int, stream: vk.ByteStream) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            raise vk.TemporaryError(f"nothing listens on port {port}") from error
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_pump(stream, writer))
                while piece := await reader.read(65536):
                    await stream.write(piece)
                await stream.write_eof()
        finally:
            writer.close()


async def _pump(source: ByteReader, target: asyncio.StreamWriter) -> None:
    try:
        while piece := await source.read():
            target.write(piece)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
    except (BrokenPipeError, ConnectionResetError):
        pass  # the process reads no more


async def _drain(source: asyncio.StreamReader, target: ByteWriter) -> None:
    while piece := await source.read(65536):
        await target.write(piece)


async def _with_pipes(command: Sequence[str], io: vk.ExecIO) -> int | None:
    pipe, none = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=pipe if io.stdin else none,
        stdout=pipe if io.stdout else none,
        stderr=pipe if io.stderr else none,
    )
    try:
        async with asyncio.TaskGroup() as outputs, asyncio.TaskGroup() as inputs:
            for source, target in ((process.stdout, io.stdout), (process.stderr, io.stderr)):
                if source is not None and target is not None:
                    outputs.create_task(_drain(source, target))
            feeding = None
            if io.stdin is not None and process.stdin is not None:
                feeding = inputs.create_task(_pump(io.stdin, process.stdin))
            await process.wait()
            if feeding is not None:
                feeding.cancel()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode


async def _with_terminal(command: Sequence[str], io: vk.ExecIO) -> int | None:
    assert io.stdin is not None and io.stdout is not None
    loop, (ours, theirs) = asyncio.get_running_loop(), os.openpty()
    sizes = aiter(io.sizes())
    _resize(ours, await anext(sizes))
    process = await asyncio.create_subprocess_exec(
        *command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)

    async def watch_sizes() -> None:
        async for size in sizes:
            _resize(ours, size)

    async def feed() -> None:
        assert io.stdin is not None
        while piece := await io.stdin.read():
            os.write(ours, piece)

    async with asyncio.TaskGroup() as tasks:
        others = [tasks.create_task(watch_sizes()), tasks.create_task(feed())]
        try:
            while piece := await loop.run_in_executor(None, _read, ours):
                await io.stdout.write(piece)
        except BaseException:
            process.kill()
            raise
        finally:
            for other in others:
                other.cancel()
    return await process.wait()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""  # the process has ended


def _resize(terminal: int, size: vk.TerminalSize) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size.height, size.width, 0, 0))


@vk.hookimpl
def vk_register_providers(register: vk.Register) -> None:
    register("local", LocalProvider)
