"""Which lines of a log are wanted, and how readings are joined without a gap or a repeat."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vk
from vk.log_lines import LineFilter, LineSplitter, Seam, follow, split_stamp, stamp_time
from vk.models.logs import LogOptions

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


def line(second: float, text: str) -> bytes:
    moment = START + timedelta(seconds=second)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}000Z {text}\n".encode()


LOG = b"".join(line(number, f"line {number}") for number in range(5))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, b"line 0\nline 1\nline 2\nline 3\nline 4\n"),
        ({"tail_lines": 2}, b"line 3\nline 4\n"),
        ({"tail_lines": 0}, b""),
        ({"tail_lines": 9}, b"line 0\nline 1\nline 2\nline 3\nline 4\n"),
        ({"limit_bytes": 9}, b"line 0\nli"),
        ({"tail_lines": 2, "limit_bytes": 3}, b"lin"),
        ({"since": START + timedelta(seconds=3)}, b"line 3\nline 4\n"),
        ({"since": START + timedelta(seconds=2.5)}, b"line 3\nline 4\n"),
        ({"since": START + timedelta(hours=1)}, b""),
        ({"since": START + timedelta(seconds=1), "tail_lines": 1}, b"line 4\n"),
        ({"tail_lines": 1, "timestamps": True}, line(4, "line 4")),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_filter_gives_what_the_options_want(
    options: dict[str, object], expected: bytes, size: int
) -> None:
    """However the log is cut into pieces."""
    wanted = vk.filter_lines(LogOptions(**options))  # type: ignore[arg-type] # a table's row
    pieces = [LOG[start : start + size] for start in range(0, len(LOG), size)]
    assert b"".join([*map(wanted.feed, pieces), wanted.finish()]) == expected


def test_a_log_without_times_has_tail_and_limit() -> None:
    wanted = vk.filter_lines(LogOptions(tail_lines=2, since=START), stamped=False)
    assert wanted.feed(b"a\nb\nc") + wanted.finish() == b"b\nc"


@pytest.mark.parametrize(
    ("text", "stamp", "rest"),
    [
        (b"2026-01-31T12:00:00Z x", "2026-01-31T12:00:00.000000000", b"x"),
        (b"2026-01-31T12:00:00.5Z x", "2026-01-31T12:00:00.500000000", b"x"),
        (b"2026-01-31T13:00:00.123456789+01:00 x", "2026-01-31T12:00:00.123456789", b"x"),
        (b"2026-01-31T12:00:00Zx", "", b"2026-01-31T12:00:00Zx"),
        (b"2026-13-31T12:00:00+01:00 x", "", b"2026-13-31T12:00:00+01:00 x"),
        (b"no time", "", b"no time"),
    ],
)
def test_the_time_of_a_line(text: bytes, stamp: str, rest: bytes) -> None:
    assert split_stamp(text) == (stamp, rest)


def test_the_time_of_a_stamp_is_cut_down() -> None:
    assert stamp_time("2026-01-31T12:00:00.123456789") == START.replace(microsecond=123456)
    assert stamp_time("") is None


@given(st.lists(st.binary(max_size=20), max_size=20), st.integers(1, 30))
def test_lines_are_cut_at_newlines_only(parts: list[bytes], size: int) -> None:
    """Nothing is lost, and every line but the last ends where a newline stood."""
    data = b"\n".join(parts)
    lines, found = LineSplitter(), []
    for start in range(0, len(data), size):
        found += lines.feed(data[start : start + size])
    found += lines.finish()
    *whole, last = data.split(b"\n")
    assert found == [part + b"\n" for part in whole] + ([last] if last else [])


def test_an_endless_line_is_cut() -> None:
    lines = LineSplitter()
    found = lines.feed(b"x" * (1 << 20))
    assert found == [b"x" * (1 << 20)]
    assert lines.finish() == []


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=30),
    st.data(),
)
def test_two_readings_are_joined_without_gap_or_repeat(
    steps: list[int], data: st.DataObject
) -> None:
    """Also where many lines have one time: the second reading begins at the time of the first."""
    second, log = 0, []
    for number, step in enumerate(steps):
        second += step
        log.append(line(second, f"{number}"))
    first = data.draw(st.integers(0, len(log)))
    seam = Seam()
    for one in log[:first]:
        seam.note(split_stamp(one)[0])
    again = [one for one in log if split_stamp(one)[0] >= seam.stamp]
    seam.rejoin()
    new = [one for one in again if seam.is_new(split_stamp(one)[0])]
    assert log[:first] + new == log


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30), st.data())
def test_a_client_that_joins_midway_misses_nothing(steps: list[int], data: st.DataObject) -> None:
    """It subscribes, reads what is there by then, and goes on with what comes."""
    second, log = 0, []
    for number, step in enumerate(steps):
        second += step
        log.append(line(second, f"{number}"))
    joined = data.draw(st.integers(0, len(log)))
    read = data.draw(st.integers(joined, len(log)))
    missed, seam = Seam(), Seam()
    for one in log[:joined]:
        missed.note(split_stamp(one)[0])
    for one in log[:read]:
        seam.note(split_stamp(one)[0])
    seam.rejoin(missed)
    new = [one for one in log[joined:] if seam.is_new(split_stamp(one)[0])]
    assert log[:read] + new == log


class Backend:
    """A log that grows by one second's lines each time it is asked."""

    def __init__(self, *batches: bytes) -> None:
        self.batches, self.asked = list(batches), 0
        self.since: list[datetime | None] = []

    async def poll(self, since: datetime | None) -> bytes:
        self.asked += 1
        self.since.append(since)
        written = b"".join(self.batches[: self.asked]).splitlines(keepends=True)
        if since is None:
            return b"".join(written)
        return b"".join(
            one for one in written if (stamp_time(split_stamp(one)[0]) or START) >= since
        )

    def ended(self) -> bool:
        return self.asked >= len(self.batches) - 1


async def read(backend: Backend, **options: object) -> bytes:
    wanted = LogOptions(follow=True, **options)  # type: ignore[arg-type] # as a query gives them
    return b"".join([piece async for piece in follow(wanted, backend.poll, backend.ended)])


@pytest.mark.looptime
@pytest.mark.asyncio
async def test_polling_gives_each_line_once() -> None:
    """Lines of one second may come in two answers."""
    backend = Backend(
        line(0, "a") + line(1, "b"), line(1, "c"), b"", line(1, "d") + line(2, "e"), line(3, "f")
    )
    started = asyncio.get_running_loop().time()
    assert await read(backend) == b"a\nb\nc\nd\ne\nf\n"
    assert asyncio.get_running_loop().time() - started == pytest.approx(8.0)
    assert backend.since[0] is None
    assert None not in backend.since[1:]


@pytest.mark.looptime
@pytest.mark.asyncio
async def test_polling_takes_a_tail_of_what_is_there_and_all_that_comes() -> None:
    backend = Backend(line(0, "a") + line(1, "b"), line(2, "c"), line(3, "d") + line(3, "e"))
    assert await read(backend, tail_lines=1) == b"b\nc\nd\ne\n"


@pytest.mark.looptime
@pytest.mark.asyncio
async def test_polling_stops_at_the_limit() -> None:
    backend = Backend(line(0, "a"), line(1, "b"), line(2, "c"), line(3, "d"))
    assert await read(backend, limit_bytes=3) == b"a\nb"
    assert backend.asked == 2


@pytest.mark.looptime
@pytest.mark.asyncio
async def test_polling_keeps_a_line_without_time_beside_the_one_before_it() -> None:
    """A line of several rows is one entry: its rows are new when it is."""
    backend = Backend(line(0, "a") + b"more\n", line(1, "b") + b"again", b"", b"")
    assert await read(backend) == b"a\nmore\nb\nagain\n"


def test_a_limit_that_is_reached_is_known() -> None:
    wanted = LineFilter(LogOptions(limit_bytes=2))
    assert (wanted.feed(LOG), wanted.full) == (b"li", True)
    assert wanted.feed(LOG) == b""
