"""One exec session over its WebSocket: frames in, the simulated shell, frames out.

Binary frames whose first byte is the channel, numbered as Kubernetes does: 0 input, 1 output, 2
errors, 3 the exit status, 4 the terminal's size as JSON. The end of the command closes it. Two
things are not known of the service and assumed: an empty frame on channel 0, or 255 followed by 0,
ends the input; and channel 3 stays silent unless the setting ``exec_status`` asks for it.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import attrs
import orjson
from aiohttp import WSMsgType, web

from vk_providers.alibabacloud.emulator.sessions import Ticket
from vk_providers.alibabacloud.emulator.shell.programs import launch
from vk_providers.alibabacloud.emulator.shell.steps import (
    STDERR,
    STDOUT,
    Interrupted,
    Read,
    Sleep,
    Write,
)
from vk_providers.alibabacloud.emulator.shell.terminal import cooked, type_in
from vk_providers.alibabacloud.emulator.timeline import Timeline

__all__ = ["ExecSession"]

_INPUT = 0
_STATUS = 3
_SIZE = 4
_CLOSE = 255
_LOOK = 0.5
"""Seconds between looks whether the container still runs."""
_INTERRUPTED = 130


@attrs.define(eq=False)
class ExecSession:
    """A session that is open."""

    ticket: Ticket
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
        """Run the command until it ends, the client leaves or the container is gone."""
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
        elif channel == _SIZE:
            self._size = _size(content) or self._size
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
        place = attrs.evolve(self.ticket.place, size=lambda: self._size)
        steps = launch(self.ticket.words, place)
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
            await self.socket.send_bytes(bytes([_STATUS]) + orjson.dumps(_status(code)))

    async def _write(self, step: Write) -> None:
        tty = self.ticket.tty
        channel = STDERR if step.stream == STDERR and not tty else STDOUT
        content = cooked(step.content) if tty else step.content
        if content:
            await self.socket.send_bytes(bytes([channel]) + content)

    async def _wait(self, seconds: float) -> None:
        """Let time pass, or an interrupt come."""
        try:
            async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                while not self._interrupted:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return

    async def _read(self) -> bytes:
        """Return the next input; nothing at its end, or where there is none."""
        while not (self._input or self._interrupted):
            if self._ended or not self.ticket.stdin:
                self._ended = self._ended and not self.ticket.tty  # a terminal can be read again
                return b""
            self._news.clear()
            await self._news.wait()
        content, self._input = self._input, b""
        return content


def _size(content: bytes) -> tuple[int, int] | None:
    try:
        document = orjson.loads(content)
        return int(document["Width"]), int(document["Height"])
    except (ValueError, KeyError, TypeError):
        return None


def _status(code: int) -> dict[str, Any]:
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
