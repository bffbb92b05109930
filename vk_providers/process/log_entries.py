"""Converts log entries to the output of ``kubectl logs``. Pure; used by `logs`.

In: blocks of whole entries ``TIME STREAM TAG TEXT``, as `supervisor.log_file` writes them. Out: the
bytes that the container wrote, with timestamps if requested. The fields before TEXT have a fixed
width, so that entries are cut by position, and times are compared as text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import attrs

__all__ = ["EntryFilter", "LogStream", "is_line_end"]

LogStream = Literal["all", "stdout", "stderr"]

_TIME = len("2026-01-31T12:00:00.123456789Z ")
_STREAM = slice(_TIME, _TIME + len("stdout"))
_TAG = slice(_TIME + len("stdout "), _TIME + len("stdout F"))
_TEXT = _TIME + len("stdout F ")


@attrs.define
class EntryFilter:
    """Converts the blocks of one log, in order, into output.

    ``since`` skips older entries, ``limit`` ends the output after that many bytes.
    """

    _stream: LogStream = "all"
    _timestamps: bool = False
    _since: datetime | None = None
    _limit: int | None = None
    _oldest: bytes = attrs.field(init=False)
    _open_lines: set[bytes] = attrs.field(factory=set, init=False)
    """The streams whose last entry was a piece of a line."""

    def __attrs_post_init__(self) -> None:
        self._oldest = b"" if self._since is None else _time_text(self._since)

    @property
    def is_full(self) -> bool:
        """Whether the limit is reached."""
        return self._limit is not None and self._limit <= 0

    def render(self, block: bytes) -> bytes:
        """Return the output of the next block, which ends with a newline."""
        block = self._from_oldest(block)
        entries = block.split(b"\n")
        entries.pop()  # the empty string after the last newline
        tags = {entry[_TAG] for entry in entries}
        if self._stream != "all" or self._open_lines or tags != {b"F"}:
            output = b"".join([self._render(entry) for entry in entries])
        elif self._timestamps:
            output = b"\n".join([entry[:_TIME] + entry[_TEXT:] for entry in entries]) + b"\n"
        else:
            output = b"\n".join([entry[_TEXT:] for entry in entries]) + b"\n"
        if self._limit is not None:
            output = output[: self._limit]
            self._limit -= len(output)
        return output

    def _from_oldest(self, block: bytes) -> bytes:
        """Skip the entries before ``since``; times in a log never decrease."""
        if not self._oldest:
            return block
        last = block.rfind(b"\n", 0, -1) + 1
        if block[last : last + len(self._oldest)] < self._oldest:
            return b""
        start = 0
        while block[start : start + len(self._oldest)] < self._oldest:
            start = block.index(b"\n", start) + 1
        self._oldest = b""
        return block[start:]

    def _render(self, entry: bytes) -> bytes:
        stream = entry[_STREAM]
        if self._stream != "all" and stream != self._stream.encode():
            return b""
        text = entry[_TEXT:]
        if self._timestamps and stream not in self._open_lines:
            text = entry[:_TIME] + text
        if entry[_TAG] == b"P":
            self._open_lines.add(stream)
            return text
        self._open_lines.discard(stream)
        return text + b"\n"


def is_line_end(entry: bytes) -> bool:
    """Return whether this entry completes a line."""
    return entry[_TAG] == b"F"


def _time_text(moment: datetime) -> bytes:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()
