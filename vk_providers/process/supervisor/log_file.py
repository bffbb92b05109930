"""The log files of a container, in the CRI logging format.

In: the output of a run, in any pieces. Out, in ``logs/CONTAINER/``: ``RUN.log`` with lines ``TIME
STREAM TAG TEXT``, its rotated predecessors ``RUN.log.000001`` etc., and ``RUN.end`` at the end. TAG
is F for a full line and P for a partial one without newline, so that a reader (`logs.py` on vk's
side) can restore the exact bytes.

An incomplete line is buffered in memory, up to 16 KiB. A full disk loses lines but does not affect
the pod.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LogFile", "last_lines"]

_LONGEST = 16 * 1024
"""Bytes of an incomplete line after which it is written as a partial entry."""


class LogFile:
    """The log of one run."""

    def __init__(self, folder: str, run: int, *, limit: int, files: int) -> None:
        """Start the log of run number ``run``; of earlier runs only the last one is kept.

        A file is rotated at ``limit`` bytes; the newest ``files`` of the run are kept.
        """
        self._path = f"{folder}/{run}"
        self._limit = limit
        self._files = files
        self._rest: dict[str, bytes] = {}
        self._fd = -1
        self._size = 0
        self._rotations = 0
        self._clock = 0
        self.lost = 0
        """Bytes that could not be written."""
        try:
            os.makedirs(folder, exist_ok=True)
            _remove(folder, [name for name in _listed(folder) if _run_of(name) < run - 1])
        except OSError:  # the lines then count as lost
            pass
        self._open()

    def write(self, stream: str, chunk: bytes) -> None:
        """Append output of ``stream`` (stdout or stderr)."""
        content = self._rest.pop(stream, b"") + chunk
        end = content.rfind(b"\n") + 1
        rest = content[end:]
        time_and_stream = f"{self._now()} {stream} ".encode()
        if end:
            self._append(_entries(content[: end - 1], time_and_stream + b"F "))
        if len(rest) >= _LONGEST:
            self._append(_entries(rest, time_and_stream + b"P "))
        elif rest:
            self._rest[stream] = rest

    def close(self) -> None:
        """Write incomplete lines and mark the end of the log."""
        for stream, rest in self._rest.items():
            self._append(_entries(rest, f"{self._now()} {stream} P ".encode()))
        self._rest.clear()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        try:
            os.close(os.open(self._path + ".end", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except OSError:  # a reader then waits until the supervisor exits
            return

    def tail(self, size: int) -> bytes:
        """Return the last bytes of the current file, ``size`` at most."""
        try:
            with open(self._path + ".log", "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - size))
                return file.read(size)
        except OSError:
            return b""

    def _now(self) -> str:
        """Return the time with nanoseconds; monotonic within one log."""
        self._clock = max(self._clock, time.time_ns())
        seconds, nanoseconds = divmod(self._clock, 1_000_000_000)
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanoseconds:09}Z"

    def _append(self, entries: bytes) -> None:
        try:
            if self._size and self._size + len(entries) > self._limit:
                self._rotate()
            if self._fd < 0:
                self._open()
            rest = memoryview(entries)
            while rest:
                written = os.write(self._fd, rest)
                self._size += written
                rest = rest[written:]
        except OSError:
            self.lost += len(entries)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            self._fd = os.open(self._path + ".log", flags, 0o600)
        except OSError:  # retried with the next line
            self._fd = -1
        self._size = 0

    def _rotate(self) -> None:
        self._rotations += 1
        os.rename(self._path + ".log", f"{self._path}.log.{self._rotations:06}")
        os.close(self._fd)
        self._open()
        oldest = self._rotations - self._files + 1
        if oldest > 0:
            _remove(
                os.path.dirname(self._path), [f"{os.path.basename(self._path)}.log.{oldest:06}"]
            )


def last_lines(entries: bytes, *, lines: int, size: int) -> str:
    """Return the last ``lines`` of log entries as text, at most ``size`` bytes; for messages."""
    texts = [entry.split(b" ", 3)[3] for entry in entries.split(b"\n") if entry.count(b" ") >= 3]
    text = b"\n".join(texts[-lines:])
    return text[-size:].decode(errors="replace")


def _entries(lines: bytes, prefix: bytes) -> bytes:
    return prefix + lines.replace(b"\n", b"\n" + prefix) + b"\n"


def _listed(folder: str) -> list[str]:
    return [name for name in os.listdir(folder) if name.partition(".")[0].isdigit()]


def _run_of(name: str) -> int:
    return int(name.partition(".")[0])


def _remove(folder: str, names: Iterable[str]) -> None:
    for name in names:
        try:
            os.unlink(f"{folder}/{name}")
        except OSError:  # gone already, or it stays until the pod's folder goes
            continue
