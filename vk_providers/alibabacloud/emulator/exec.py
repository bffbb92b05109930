"""ExecContainerCommand, and the WebSocket session that its ticket opens.

Frames are binary; their first byte is the channel, numbered as Kubernetes does: 0 stdin, 1 stdout,
2 stderr, 3 the exit status, 4 the terminal's size as JSON. The end of the command closes
the socket.
Two details of the service are not known and assumed: an empty frame on channel 0, or 255 followed
by 0, ends stdin; and channel 3 is sent only with the setting ``exec_status``.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import attrs
import orjson
from aiohttp import WSMsgType, web

from vk_providers.alibabacloud.emulator.cloud import ApiCall
from vk_providers.alibabacloud.emulator.container_environment import container_of, program_context
from vk_providers.alibabacloud.emulator.errors import EciApiError, invalid, wrong_state
from vk_providers.alibabacloud.emulator.exec_tickets import ExecTicket
from vk_providers.alibabacloud.emulator.shell.programs import launch, output
from vk_providers.alibabacloud.emulator.shell.script import ProgramContext
from vk_providers.alibabacloud.emulator.shell.steps import (
    STDERR,
    STDOUT,
    Interrupted,
    Read,
    Sleep,
    Write,
)
from vk_providers.alibabacloud.emulator.shell.terminal import cooked, type_in
from vk_providers.alibabacloud.emulator.states import RunningState
from vk_providers.alibabacloud.emulator.timeline import Timeline

__all__ = ["EmulatedExecSession", "execute"]

_WORD = 256
_COMMAND_BYTES = 2048
_SYNC_LONGEST = 60.0


def execute(call: ApiCall) -> dict[str, Any]:
    """Return the URL of a session, or the output with Sync."""
    group, command = call.group(), tuple(call.parameters["Command"])
    long = any(len(each) > _WORD for each in command)
    if long or sum(len(each.encode()) for each in command) > _COMMAND_BYTES:
        expected = (
            f"expected arguments of at most {_WORD} characters, {_COMMAND_BYTES} bytes in total"
        )
        raise invalid("Command", expected, "ValueExceeded")
    container = container_of(group, call.text("ContainerName"))
    if group.status != "Running" or not isinstance(container.state, RunningState):
        raise wrong_state(group.status)
    tty = bool(call.parameters.get("TTY"))
    context = attrs.evolve(program_context(group, container), terminal=tty)
    if call.parameters.get("Sync"):
        if tty:
            raise invalid("TTY", "expected false with Sync")
        return {"SyncResponse": _at_once(command, context)}
    stdin = bool(call.parameters.get("Stdin", True))
    ticket = ExecTicket(
        group=group,
        container=container,
        run=container.state,
        words=command,
        context=context,
        tty=tty,
        stdin=stdin,
    )
    secret = call.cloud.sessions.issue(ticket, call.now)
    return {
        "WebSocketUri": f"{call.base.replace('http', 'ws', 1)}/exec/?s={secret}",
        "HttpUrl": f"{call.base}/terminal?param={secret}",
        "SyncResponse": "",
    }


def _at_once(command: tuple[str, ...], context: ProgramContext) -> str:
    """Return the output of a command without stdin. Raises `EciApiError` if it takes long."""
    pieces = list[bytes]()
    for at, content in output(command, context):
        if at > _SYNC_LONGEST:
            raise EciApiError(408, "Request Timeout", "The command took too long.")
        pieces.append(content)
    return b"".join(pieces).decode("utf-8", "replace")


_INPUT = 0
_STATUS_CHANNEL = 3
_SIZE_CHANNEL = 4
_CLOSE = 255
_LOOK = 0.5
"""Seconds between checks whether the container is running."""
_INTERRUPTED = 130


@attrs.define(eq=False)
class EmulatedExecSession:
    """An open session."""

    ticket: ExecTicket
    socket: web.WebSocketResponse
    timeline: Timeline
    tells_status: bool
    _size: tuple[int, int] = (80, 24)
    _line: bytes = b""
    _input: bytes = b""
    _ended: bool = False
    _interrupted: bool = False
    _news: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    async def run(self) -> None:
        """Run the command until it ends, the client disconnects or the container ends."""
        ways = [self._listen(), self._run_command(), self._watch()]
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self.socket.close()

    async def _listen(self) -> None:
        async for message in self.socket:
            if message.type is WSMsgType.TEXT:
                await self._typed(message.data.encode())
            elif message.type is WSMsgType.BINARY and message.data:
                await self._frame(message.data[0], message.data[1:])

    async def _frame(self, channel: int, content: bytes) -> None:
        if channel == _INPUT and content:
            await self._typed(content)
        elif channel == _INPUT or (channel, content) == (_CLOSE, b"\0"):
            self._ended = True
        elif channel == _SIZE_CHANNEL:
            self._size = _read_size(content) or self._size
        self._news.set()

    async def _typed(self, content: bytes) -> None:
        if not self.ticket.tty:
            self._input += content
        else:
            typed = type_in(self._line, content)
            self._line = typed.line
            self._input += typed.input
            self._ended = self._ended or typed.ended
            self._interrupted = self._interrupted or typed.interrupted
            if typed.echo:
                await self.socket.send_bytes(bytes([STDOUT]) + typed.echo)
        self._news.set()

    async def _watch(self) -> None:
        while self.ticket.alive:
            await asyncio.sleep(_LOOK)
            self.timeline.now()

    async def _run_command(self) -> None:
        context = attrs.evolve(self.ticket.context, size=lambda: self._size)
        steps = launch(self.ticket.words, context)
        answer: bytes | None = None
        code = 0
        while True:
            try:
                if self._interrupted:
                    self._interrupted = False
                    step = steps.throw(Interrupted())
                else:
                    step = steps.send(answer)
            except StopIteration as end:
                code = int(end.value)
                break
            except Interrupted:
                code = _INTERRUPTED
                break
            answer = None
            if isinstance(step, Write):
                await self._write(step)
            elif isinstance(step, Sleep):
                await self._wait(self.timeline.scaled(step.seconds))
            elif isinstance(step, Read):
                answer = await self._read()
        if self.tells_status:
            await self.socket.send_bytes(
                bytes([_STATUS_CHANNEL]) + orjson.dumps(_exit_status(code))
            )

    async def _write(self, step: Write) -> None:
        tty = self.ticket.tty
        channel = STDERR if step.stream == STDERR and not tty else STDOUT
        content = cooked(step.content) if tty else step.content
        if content:
            await self.socket.send_bytes(bytes([channel]) + content)

    async def _wait(self, seconds: float) -> None:
        """Wait for the time, or for an interrupt."""
        try:
            async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                while not self._interrupted:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return

    async def _read(self) -> bytes:
        """Return the next input; empty at EOF, or without stdin."""
        while not (self._input or self._interrupted):
            if self._ended or not self.ticket.stdin:
                self._ended = (
                    self._ended and not self.ticket.tty
                )  # a terminal can be read after Ctrl-D
                return b""
            self._news.clear()
            await self._news.wait()
        content, self._input = self._input, b""
        return content


def _read_size(content: bytes) -> tuple[int, int] | None:
    try:
        document = orjson.loads(content)
        return int(document["Width"]), int(document["Height"])
    except (ValueError, KeyError, TypeError):
        return None


def _exit_status(code: int) -> dict[str, Any]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    cause = {"reason": "ExitCode", "message": str(code)}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [cause]},
    }
