"""Lines of a log: their times, filtering by the log options, and joining two readings.

For backends that can only return the log as it is, and for the server, which joins the log so far
with the lines that are being written. Pure but for `follow`, which polls. A line with a time begins
with it, in RFC 3339, and a space, as the kubelet writes it.

Times may be the same for several lines. So a `Seam` keeps the position of a reading as the last
time *and* how many lines had it.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime

import attrs

from vk.models.logs import LogOptions
from vk.models.time import parse_time

__all__ = [
    "LineFilter",
    "LineSplitter",
    "Seam",
    "filter_lines",
    "follow",
    "split_lines",
    "split_stamp",
    "stamp_time",
]

_STAMP = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ", re.ASCII
)
_LONGEST_LINE = 1 << 20
OVERLAP = 128
"""Lines requested beyond ``tail_lines``, so that all lines of the last time are known."""


def split_stamp(line: bytes) -> tuple[str, bytes]:
    """Return the time of a line, in a form that sorts, and the rest; empty where it has none."""
    found = _STAMP.match(line)
    if found is None:
        return "", line
    second, fraction, zone = found.groups()
    stamp = second.decode()
    if zone != b"Z":
        moment = parse_time(stamp + zone.decode())
        if moment is None:
            return "", line
        stamp = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{(fraction or b'').decode():0<9}", line[found.end() :]


def stamp_time(stamp: str) -> datetime | None:
    """Return the moment of a time of `split_stamp`, cut to microseconds; None for none."""
    return parse_time(stamp[:-3] + "+00:00") if stamp else None


def _stamp_of(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000"


def split_lines(data: bytes) -> list[bytes]:
    """Split at newlines only; each line keeps its own, the last may have none."""
    if b"\r" not in data:
        return data.splitlines(keepends=True)
    lines = [part + b"\n" for part in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


@attrs.define(eq=False)
class LineSplitter:
    """Splits pieces of any size into lines, and longer lines after each MiB.

    So the same log gives the same lines, whatever the pieces.
    """

    _rest: bytes = attrs.field(default=b"", init=False)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete, each with its newline."""
        data, self._rest = self._rest + data, b""
        lines = split_lines(data)
        if len(data) > _LONGEST_LINE:
            lines = [part for line in lines for part in _parts(line)]
        if lines and not lines[-1].endswith(b"\n") and len(lines[-1]) < _LONGEST_LINE:
            self._rest = lines.pop()
        return lines

    def finish(self) -> list[bytes]:
        """Return what is left: a line without its newline."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


def _parts(line: bytes) -> Iterable[bytes]:
    if len(line) <= _LONGEST_LINE:
        return (line,)
    starts = range(0, len(line), _LONGEST_LINE)
    return (line[start : start + _LONGEST_LINE] for start in starts)


@attrs.define(eq=False)
class Seam:
    """The position of a reading: the last time, and how many lines had it.

    A line without a time is a part of a long one and has the time of the line before.
    """

    stamp: str = ""
    count: int = 0
    _at: str = attrs.field(default="", init=False)
    _skip: int = attrs.field(default=0, init=False)
    _begun: tuple[str, int] = attrs.field(default=("", 0), init=False)

    def note(self, stamp: str) -> None:
        """Note a line that was read."""
        stamp = self._at = stamp or self._at
        if stamp > self.stamp:
            self.stamp, self.count = stamp, 1
        elif stamp and stamp == self.stamp:
            self.count += 1

    def rejoin(self, missed: Seam | None = None) -> None:
        """Begin another reading that may start with lines of the previous one.

        ``missed`` is the position of the other reading when this one joined it.
        """
        self._at = missed.stamp if missed is not None else ""
        same = missed is not None and missed.stamp == self.stamp
        self._skip = max(0, self.count - (missed.count if missed is not None and same else 0))

    def is_new(self, stamp: str) -> bool:
        """Return whether a line of the other reading is new, and if so, note it."""
        stamp = self._at = stamp or self._at
        if stamp and stamp < self.stamp:
            return False
        if stamp and stamp == self.stamp and self._skip:
            self._skip -= 1
            return False
        self.note(stamp)
        return True

    def begin(self, stamp: str, size: int) -> None:
        """Note that ``size`` bytes were read of a line that had not ended: it is still new."""
        self._begun = stamp, size

    def begun(self, stamp: str) -> int:
        """Return how many bytes of a new line were read when it had not ended; once."""
        (begun, size), self._begun = self._begun, ("", 0)
        return size if stamp == begun else 0


@attrs.define(eq=False)
class LineFilter:
    """Filters a log by ``options``: tail, since, timestamps, limit.

    Feed it the log in pieces of any size, then `finish`. ``stamped``: whether the lines carry
    their times; without them ``since`` and ``timestamps`` have no effect.
    """

    options: LogOptions
    stamped: bool = attrs.field(default=True, kw_only=True)
    full: bool = attrs.field(default=False, init=False)
    """The limit of bytes is reached: nothing more will come."""
    _lines: LineSplitter = attrs.field(factory=LineSplitter, init=False)
    _tail: deque[bytes] | None = attrs.field(init=False)
    _since: str = attrs.field(init=False)
    _inside: bool = attrs.field(init=False)
    _left: int | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        options = self.options
        self._tail = None if options.tail_lines is None else deque(maxlen=options.tail_lines)
        self._since = _stamp_of(options.since) if options.since and self.stamped else ""
        self._inside = not self._since
        self._left = options.limit_bytes

    def feed(self, data: bytes) -> bytes:
        """Return the wanted part of the log so far, as far as it is known."""
        return self.feed_lines(self._lines.feed(data))

    def feed_lines(self, lines: Iterable[bytes]) -> bytes:
        """Return the wanted part, as `feed`, of whole lines."""
        wanted = self._wanted(lines)
        if self._tail is None:
            return self.limit(b"".join(wanted))
        for line in wanted:
            if self._tail and not self._tail[-1].endswith(b"\n"):
                self._tail[-1] += line  # the next part of a long line
            else:
                self._tail.append(line)
        return b""

    def finish(self) -> bytes:
        """Return the rest, at the end of the log."""
        rest = self.feed_lines(self._lines.finish())
        tail, self._tail = self._tail, None
        return rest if tail is None else self.limit(b"".join(tail))

    def _wanted(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            stamp, text = split_stamp(line) if self.stamped else ("", line)
            if self.is_late(stamp):
                yield line if self.options.timestamps else text

    def is_late(self, stamp: str) -> bool:
        """Return whether the next line is not before ``since``; without a time, as the line before.

        Once a line was, all that follow are.
        """
        if stamp and not self._inside:
            self._inside = stamp >= self._since
        return self._inside

    def limit(self, data: bytes) -> bytes:
        """Return as much of ``data`` as the limit of bytes leaves."""
        if self._left is None:
            return data
        data = data[: self._left]
        self._left -= len(data)
        self.full = self._left == 0
        return data


def filter_lines(options: LogOptions, *, stamped: bool = True) -> LineFilter:
    """Return a filter that selects the part of a log that ``options`` want; see `LineFilter`."""
    return LineFilter(options, stamped=stamped)


async def follow(
    options: LogOptions,
    poll: Callable[[datetime | None], Awaitable[bytes]],
    ended: Callable[[], bool],
    *,
    interval: float = 2.0,
) -> AsyncIterator[bytes]:
    """Yield the log by calling ``poll`` every ``interval`` seconds until ``ended`` returns True.

    ``poll(since)`` returns whole lines that carry their times: all from ``since`` on, or with None
    all lines. No line is repeated or lost where two answers meet. What ``poll`` raises ends it.
    After the end it polls once more.
    """
    seam, wanted, first = Seam(), LineFilter(options), True
    while True:
        over = ended()
        text = await poll(options.since if first else stamp_time(seam.stamp))
        data = wanted.feed_lines(_new(split_lines(text), seam))
        if first or over:
            data += wanted.finish()
        if data:
            yield data
        if over or wanted.full:
            return
        first = False
        await asyncio.sleep(interval)


def _new(lines: Iterable[bytes], seam: Seam) -> Iterator[bytes]:
    """Yield the lines that earlier readings did not have; one without a time goes with the last."""
    seam.rejoin()
    new = not seam.stamp
    for line in lines:
        stamp, _ = split_stamp(line)
        new = seam.is_new(stamp) if stamp else new
        if new:
            yield line if line.endswith(b"\n") else line + b"\n"
