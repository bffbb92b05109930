"""Copies bytes between a client and a process or a socket, with independent backpressure.

`exec` and `attach` relay an `ExecIO` and a session of the supervisor (`relay_session`),
port-forward a `ByteStream` and a connection (`relay_connection`). Cancelling closes both ends.
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
    """Copy until the command ends and its output is read; return its exit code.

    None: the supervisor was lost before. Raises the errors of the client's streams.
    """
    async with session:
        try:
            await _relay_streams(session, io)
        except ExceptionGroup as group:  # of two errors the first is the cause
            raise _first(group) from None
        try:
            return (await session.wait()).code
        except SupervisorDisconnected:
            return None


async def relay_connection(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stream: vk.ByteStream
) -> None:
    """Copy until both sides have ended; raises the errors of the client's stream.

    A connection reset by the process counts as the end of its side.
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
        if target is not None:  # else the client did not request it
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
        except OSError:  # the process reads no more; its output is still copied
            return
    with suppress(OSError):
        writer.write_eof()


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
