"""Reads the logs of a container from its files; the supervisor is not needed.

The files are those of `supervisor.log_file`: ``RUN.log``, its rotated predecessors
``RUN.log.000001`` etc., and ``RUN.end`` after the end of the run. Following polls the file every 20
ms; a reader that is slower than the rotation continues with the oldest file that is left.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path

import attrs

import vk
from vk_providers.process.log_entries import EntryFilter, LogStream, is_line_end
from vk_providers.process.protocol import is_running

__all__ = ["read_log"]

_BLOCK = 256 * 1024
_POLL = 0.02


async def read_log(
    folder: Path,
    container: str,
    *,
    follow: bool = False,
    previous: bool = False,
    waiting: bool = False,
    tail: int | None = None,
    since: datetime | None = None,
    limit: int | None = None,
    timestamps: bool = False,
    stream: LogStream = "all",
) -> AsyncGenerator[bytes, None]:
    """Return the log of a container's newest run, or of the one before it (``previous``).

    While the container is ``waiting`` for its next run, the newest ended run is the previous one
    too. ``tail`` is a number of lines from the end (0: none), ``since`` an aware time, ``limit`` a
    number of bytes. With ``follow`` the iterator continues until the run has ended, or the pod is
    not running any more. Raises InvalidInputError where there is no such run. The iterator must be
    closed.
    """
    logs = folder / "logs" / container
    runs = _runs(logs)
    wanted = max(runs, default=0)
    if previous and not (waiting and _Chain(logs / str(wanted)).is_over()):
        wanted -= 1
    if wanted not in runs:
        text = "previous terminated container" if previous else "log of container"
        raise vk.InvalidInputError(f"{text} {container!r} not found")
    chain = _Chain(logs / str(wanted))
    if tail is not None:
        await chain.seek_tail(tail)
    entries = EntryFilter(stream=stream, timestamps=timestamps, since=since, limit=limit)
    return _read(chain, entries, folder if follow else None)


async def _read(
    chain: _Chain, entries: EntryFilter, follow: Path | None
) -> AsyncGenerator[bytes, None]:
    """Yield the output of ``chain``; ``follow`` is the folder of the pod to follow."""
    try:
        while not entries.is_full:
            over = follow is None or chain.is_over() or not is_running(follow)
            block = chain.read()
            if block:
                if output := entries.render(block):
                    yield output
                await asyncio.sleep(0)  # a long log must not block the event loop
            elif over:
                return
            else:
                await asyncio.sleep(_POLL)
    finally:
        chain.close()


@attrs.define(eq=False)
class _Chain:
    """The files of one run, read as one file that may still grow."""

    _path: Path
    """Without ``.log``."""
    _fd: int = attrs.field(default=-1, init=False)
    _rest: bytes = attrs.field(default=b"", init=False)

    def is_over(self) -> bool:
        """Return whether the run has ended and its log is complete."""
        return self._path.with_name(f"{self._path.name}.end").exists()

    def read(self) -> bytes:
        """Return whole entries; empty where there are no more now."""
        if self._fd < 0 and not self._open(next(iter(self._files()), None)):
            return b""
        while True:
            chunk = os.read(self._fd, _BLOCK)
            if not chunk and self._is_complete():
                # Read what was written in between.
                chunk = os.read(self._fd, _BLOCK)
                if not chunk and not self._open(self._successor()):
                    return b""
            elif not chunk:
                return b""
            content = self._rest + chunk
            end = content.rfind(b"\n") + 1
            self._rest = content[end:]
            if end:
                return content[:end]

    async def seek_tail(self, lines: int) -> None:
        """Seek to ``lines`` lines before the end."""
        missing = lines + 1  # including the newline before the first line
        for path in reversed(self._files()):
            if not self._open(path):
                continue
            start, missing = await self._find_back(missing, last=missing == lines + 1)
            os.lseek(self._fd, start, os.SEEK_SET)
            if not missing:
                return

    async def _find_back(self, missing: int, *, last: bool) -> tuple[int, int]:
        """Find the ``missing``-th line end from the file's end.

        Return the offset behind it and 0, or 0 and how many are still missing. ``last``: the
        file's last entry is the log's and counts as a line end, whatever its tag.
        """
        position = os.fstat(self._fd).st_size
        rest = b""
        while position:
            size = min(_BLOCK, position)
            position -= size
            block = os.pread(self._fd, size, position) + rest
            head = block.find(b"\n") + 1 if position else 0
            rest = block[:head]
            end = len(block)
            for entry in reversed(block[head:].split(b"\n")[:-1]):
                if last or is_line_end(entry):
                    missing -= 1
                    last = False
                if not missing:
                    return position + end, 0
                end -= len(entry) + 1
            await asyncio.sleep(0)
        return 0, missing

    def close(self) -> None:
        """Close the file that is open."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _files(self) -> list[Path]:
        """Return the existing files, the oldest first."""
        current = self._path.with_name(f"{self._path.name}.log")
        return [*sorted(self._path.parent.glob(f"{current.name}.*")), current]

    def _is_complete(self) -> bool:
        """Return whether the open file was rotated and is complete."""
        try:
            return os.stat(self._files()[-1]).st_ino != os.fstat(self._fd).st_ino
        except FileNotFoundError:  # the next file is about to be made
            return False

    def _successor(self) -> Path:
        files = self._files()
        mine = os.fstat(self._fd).st_ino
        for number, path in enumerate(files[:-1]):
            if _inode(path) == mine:
                return files[number + 1]
        return files[0]  # the open file is deleted already

    def _open(self, path: Path | None) -> bool:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path is not None else -1
        except FileNotFoundError:
            return False
        self.close()
        self._fd, self._rest = fd, b""
        return fd >= 0


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _runs(folder: Path) -> set[int]:
    """Return the numbers of the runs that have a log."""
    try:
        names = [name.partition(".") for name in os.listdir(folder)]
    except FileNotFoundError:
        return set()
    return {int(run) for run, _, kind in names if run.isdigit() and kind.startswith("log")}
