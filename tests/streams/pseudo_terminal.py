"""A terminal on which kubectl runs, as at a person's hands."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import termios
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import attrs
from kubectl_process import Kubectl

LIMIT = 20.0
"""Seconds after which a test has failed; nothing waits for them to pass."""


@attrs.define(eq=False)
class Terminal:
    """The side of the person: what is typed and seen, and how the command ended."""

    _fd: int
    _child: Process
    seen: bytes = b""

    def type(self, text: str) -> None:
        """Type."""
        os.write(self._fd, text.encode())

    async def sees(self, text: str) -> None:
        """Wait until the screen shows ``text``, below what was waited for before."""
        loop, wanted = asyncio.get_running_loop(), text.encode()
        async with asyncio.timeout(LIMIT):
            while wanted not in self.seen:
                readable = asyncio.Event()
                loop.add_reader(self._fd, readable.set)
                try:
                    await readable.wait()
                finally:
                    loop.remove_reader(self._fd)
                self.seen += os.read(self._fd, 4096)
        self.seen = self.seen.partition(wanted)[2]

    def resize(self, rows: int, columns: int) -> None:
        """Make the window another size."""
        resize(self._fd, rows, columns)
        self._child.send_signal(signal.SIGWINCH)

    async def exit_code(self) -> int:
        """Wait for the end of the command."""
        async with asyncio.timeout(LIMIT):
            return await self._child.wait()


@asynccontextmanager
async def on_terminal(
    kubectl: Kubectl, *arguments: str, rows: int = 24, columns: int = 80
) -> AsyncIterator[Terminal]:
    """Run a command on a terminal of its own for as long as the block."""
    ours, theirs = os.openpty()
    resize(theirs, rows, columns)
    child = await asyncio.create_subprocess_exec(
        *(kubectl.path, f"--kubeconfig={kubectl.kubeconfig}", f"--cache-dir={kubectl.cache}"),
        *arguments,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **kubectl.environment},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    try:
        yield Terminal(ours, child)
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()
        os.close(ours)


def resize(terminal: int, rows: int, columns: int) -> None:
    """Set the size of a terminal, from either side."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
