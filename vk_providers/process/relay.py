"""Carries bytes between a client and a process or a socket, each direction at its own pace.

`exec` and `attach` relay an `ExecIO` and a session of the supervisor (`relay_session`),
port-forward a `ByteStream` and a connection (`relay_connection`). Cancelling ends both ends.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import vk
from vk_providers.process.supervisor_session import (
    OutputStream,
    SupervisorDisconnected,
    SupervisorSession,
)

__all__ = ["relay_connection", "relay_session"]

_PIECE = 64 * 1024


async def relay_session(session: SupervisorSession, io: vk.ExecIO) -> int | None:
    """Relay until the command ends and all that it said was read; return its exit code.

    None: the supervisor went away before it could say. Raises what the client's streams raise.
    """
    async with session:
        try:
            await _relay_streams(session, io)
        except ExceptionGroup as group:  # of two that fail together the first one tells why
            raise _first(group) from None
        try:
            return (await session.wait()).code
        except SupervisorDisconnected:
            return None


async def relay_connection(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stream: vk.ByteStream
) -> None:
    """Relay until both sides have ended; raises what the client's stream raises.

    A process that breaks the connection off has ended its side.
    """
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_to_client(reader, stream))
            group.create_task(_from_client(writer, stream))
    except ExceptionGroup as group:
        raise _first(group) from None
    finally:
        writer.close()


async def _relay_streams(session: SupervisorSession, io: vk.ExecIO) -> None:
    async with asyncio.TaskGroup() as group:
        inputs = [group.create_task(_resize(session, io))]
        if io.stdin is not None:
            inputs.append(group.create_task(_input(session, io.stdin)))
        outputs = (
            group.create_task(_output(session.stdout, io.stdout)),
            group.create_task(_output(session.stderr, io.stderr)),
        )
        for output in outputs:
            await output
        for task in inputs:
            task.cancel()


async def _input(session: SupervisorSession, stdin: vk.ByteReader) -> None:
    while piece := await stdin.read():
        await session.write(piece)
    session.end_input()


async def _resize(session: SupervisorSession, io: vk.ExecIO) -> None:
    async for size in io.sizes():
        session.resize(size.width, size.height)


async def _output(incoming: OutputStream, target: vk.ByteWriter | None) -> None:
    while piece := await incoming.read():
        if target is not None:  # else nobody asked for it
            await target.write(piece)


async def _to_client(reader: asyncio.StreamReader, stream: vk.ByteStream) -> None:
    while piece := await _read(reader):
        await stream.write(piece)
    await stream.write_eof()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_PIECE)
    except OSError:
        return b""


async def _from_client(writer: asyncio.StreamWriter, stream: vk.ByteStream) -> None:
    while piece := await stream.read(_PIECE):
        try:
            writer.write(piece)
            await writer.drain()
        except OSError:  # nobody reads on; what the process says is still relayed
            return
    with suppress(OSError):
        writer.write_eof()


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
