"""The streams of a command: pipes or a terminal, with backpressure.

`open_streams` creates them. An `OutputReader` reads one and passes the bytes on; a `StdinWriter`
writes one. After the exit of a command an OutputReader reads what is left and closes, although a
daemon may still hold the other end: waiting for that could take indefinitely.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections import deque

from .frames import CHUNK
from .loop import LoopFuture

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .loop import EventLoop

__all__ = ["CommandStreams", "OutputReader", "StdinWriter", "open_streams", "resize"]

_LAST = 1024 * 1024
"""Maximum bytes read after the exit of a command: the capacity of a pipe."""


class CommandStreams:
    """Both ends of a command's streams; ``stderr`` -1: a terminal; ``stdin`` -1: no input."""

    __slots__ = ("childs", "stderr", "stdin", "stdout", "terminal")

    def __init__(
        self, childs: tuple[int, int, int], *, stdin: int, stdout: int, stderr: int, terminal: bool
    ) -> None:
        self.childs = childs
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.terminal = terminal
        for fd in (stdin, stdout, stderr):
            if fd >= 0:
                os.set_blocking(fd, False)

    def close_childs(self) -> None:
        """Close the command's ends in this process."""
        for fd in set(self.childs):
            os.close(fd)

    def close(self) -> None:
        """Close this process's ends, after a failed start."""
        for fd in (self.stdin, self.stdout, self.stderr):
            if fd >= 0:
                os.close(fd)


def open_streams(*, stdin: bool, terminal: bool, size: tuple[int, int] = (0, 0)) -> CommandStreams:
    """Create the streams of a command; without ``stdin`` it reads /dev/null.

    ``size`` is the initial width and height of a terminal.
    """
    if terminal:
        master, slave = os.openpty()
        resize(master, *size)
        writer = os.dup(master) if stdin else -1
        childs = (slave, slave, slave)
        return CommandStreams(childs, stdin=writer, stdout=master, stderr=-1, terminal=True)
    read, writer = os.pipe() if stdin else (os.open(os.devnull, os.O_RDONLY), -1)
    stdout, childs_stdout = os.pipe()
    stderr, childs_stderr = os.pipe()
    childs = (read, childs_stdout, childs_stderr)
    return CommandStreams(childs, stdin=writer, stdout=stdout, stderr=stderr, terminal=False)


def resize(fd: int, width: int, height: int) -> None:
    """Set the size of a terminal; the kernel sends SIGWINCH."""
    height, width = (max(0, min(each, 0xFFFF)) for each in (height, width))
    size = struct.pack("HHHH", height, width, 0, 0)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, size)


class OutputReader:
    """Reads an output stream of a command; ``ended`` is set when it is closed."""

    def __init__(
        self, loop: EventLoop, fd: int, *, room: Callable[[], int], take: Callable[[bytes], None]
    ) -> None:
        """Read up to ``room()`` bytes at a time; after a 0, `resume` continues."""
        self._loop = loop
        self._fd = fd
        self._room = room
        self._take = take
        self._left = _LAST
        self._finishing = False
        self.ended = LoopFuture()
        self.resume()

    def resume(self) -> None:
        """Continue reading, if there is room."""
        if self.ended.done:
            return
        if self._finishing:
            self._read_last()
        else:
            self._loop.on_readable(self._fd, self._read)

    def finish(self) -> None:
        """Read the remaining output of an exited command, then close."""
        if not self.ended.done and not self._finishing:
            self._finishing = True
            self._loop.on_readable(self._fd, None)
            self._read_last()

    def close(self) -> None:
        """Stop reading."""
        if not self.ended.done:
            self._loop.on_readable(self._fd, None)
            os.close(self._fd)
            self.ended.set()

    def _read(self) -> None:
        size = min(CHUNK, self._room())
        if size <= 0:
            self._loop.on_readable(self._fd, None)
            return
        try:
            chunk = os.read(self._fd, size)
        except BlockingIOError:
            if self._finishing:
                self.close()
            return
        except OSError:  # no process has the terminal open now
            if not self._finishing:
                # Closing it would send SIGHUP, also to a command that closed its streams and
                # has not exited yet.
                self._loop.on_readable(self._fd, None)
                return
            chunk = b""
        if chunk:
            self._left -= len(chunk) if self._finishing else 0
            self._take(chunk)
        else:
            self.close()

    def _read_last(self) -> None:
        while not self.ended.done and self._room() > 0:
            if self._left <= 0:
                self.close()
            else:
                self._read()


class StdinWriter:
    """Writes a command's stdin in order."""

    def __init__(self, loop: EventLoop, fd: int, *, terminal: bool) -> None:
        self._loop = loop
        self._fd = fd
        self._terminal = terminal
        self._queue: deque[tuple[memoryview, Callable[[int], None]]] = deque()
        self._closing = False
        self.closed = False

    def write(self, chunk: bytes, written: Callable[[int], None]) -> None:
        """Write ``chunk``; ``written`` is called with the number of bytes written or dropped."""
        if self.closed or self._closing:
            written(len(chunk))
            return
        self._queue.append((memoryview(chunk), written))
        self._write()

    def end(self) -> None:
        """Close the stream after queued data; a terminal gets its EOF character."""
        self._closing = True
        if not self._queue:
            self._finish()

    def close(self) -> None:
        """Close the stream now."""
        if not self.closed:
            self.closed = True
            self._loop.on_writable(self._fd, None)
            os.close(self._fd)
            while self._queue:
                rest, written = self._queue.popleft()
                written(len(rest))

    def _write(self) -> None:
        while self._queue:
            rest, written = self._queue.popleft()
            try:
                count = os.write(self._fd, rest)
            except BlockingIOError:
                self._queue.appendleft((rest, written))
                self._loop.on_writable(self._fd, self._write)
                return
            except OSError:  # the command closed its end
                written(len(rest))
                self.close()
                return
            if count < len(rest):
                self._queue.appendleft((rest[count:], written))
            written(count)
        if not self.closed:
            self._loop.on_writable(self._fd, None)
            if self._closing:
                self._finish()

    def _finish(self) -> None:
        if self._terminal and not self.closed:
            self._send_end_of_file()
        self.close()

    def _send_end_of_file(self) -> None:
        try:
            flags, characters = termios.tcgetattr(self._fd)[3], termios.tcgetattr(self._fd)[6]
            if flags & termios.ICANON:
                os.write(self._fd, characters[termios.VEOF])
        except (OSError, termios.error):  # its other side is closed or not reading
            return
