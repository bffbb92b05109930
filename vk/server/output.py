"""The route /run: a command's output as the body of a plain answer.

In: the call to make. Out: 200 with what it wrote, output and errors as they came; a code other than
0 is an error with the end of the output in its message. Called by `vk.server.streaming_sessions`.

Surprising: the answer waits for the command's end, since its first byte says how that was. So the
output is limited: who wants more uses exec.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import attrs
from aiohttp import web

from vk.server.errors import Refusal
from vk.server.exec import Call
from vk.streaming.session import End, Ended, Lifetime
from vk.streams import TerminalSize

__all__ = ["LONGEST", "run_for_output"]

LONGEST = 1 << 20
"""Bytes of output."""
_QUOTED = 512


@attrs.define(eq=False)
class _Output:
    """An `ExecIO` that keeps what is written."""

    _lifetime: Lifetime
    kept: bytearray = attrs.field(factory=bytearray, init=False, repr=False)

    @property
    def stdin(self) -> None:
        return None

    @property
    def stdout(self) -> _Output:
        return self

    @property
    def stderr(self) -> _Output:
        return self

    @property
    def tty(self) -> bool:
        return False

    async def sizes(self) -> AsyncIterator[TerminalSize]:
        none: tuple[TerminalSize, ...] = ()
        for size in none:  # makes this an async generator
            yield size

    async def write(self, data: bytes) -> None:
        if len(self.kept) + len(data) > LONGEST:
            self._lifetime.end(End.TOO_LONG)
            await asyncio.Event().wait()  # until the call is cancelled
        self.kept += data
        await self._lifetime.moved(len(data))


async def run_for_output(call: Call, lifetime: Lifetime) -> web.Response:
    """Make the call and return the answer. Raises Refusal, and what the provider raises.

    Cancelling it cancels the call: aiohttp does so when the client goes (`handler_cancellation`).
    """
    output = _Output(lifetime)
    try:
        async with lifetime.limit():
            code = await call(output)
    except Ended as ended:
        raise Refusal(500, f"the command was ended: {ended.reason.value}") from None
    if code == 0:
        return web.Response(body=bytes(output.kept), content_type="text/plain", charset="utf-8")
    end = bytes(output.kept[-_QUOTED:]).decode(errors="replace")
    how = "unknown" if code is None else str(code)
    raise Refusal(500, f"command terminated with exit code {how}: {end}")
