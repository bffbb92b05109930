"""Log files give back the bytes that were written, with every option of ``kubectl logs``."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vk
from vk_providers.process.log_entries import EntryFilter
from vk_providers.process.logs import read_log
from vk_providers.process.supervisor.log_file import LogFile, last_lines

MEBIBYTE = 1024 * 1024


def new_log(folder: Path, run: int = 0, *, limit: int = MEBIBYTE, files: int = 5) -> LogFile:
    return LogFile(str(folder / "logs/c"), run, limit=limit, files=files)


async def read(folder: Path, **options: Any) -> bytes:
    async with asyncio.timeout(20), aclosing(await read_log(folder, "c", **options)) as log:
        return b"".join([block async for block in log])


@pytest.fixture
def alive(tmp_path: Path) -> Iterator[None]:
    """Hold the pod's lock as a supervisor in another process does."""
    fd = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", fcntl.F_WRLCK, 0, 0, 0, 0))
    yield
    os.close(fd)


PIECES = st.lists(st.binary(max_size=60) | st.just(b"\n") | st.just(b"a b P c\n"), max_size=20)


@pytest.mark.slow
@given(PIECES)
async def test_the_bytes_of_one_stream_come_back(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = new_log(folder)
    for piece in pieces:
        log.write("stdout", piece)
    log.close()
    assert await read(folder) == b"".join(pieces)


@pytest.mark.slow
@given(PIECES, st.integers(0, 12))
async def test_tail_gives_the_last_lines(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], tail: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = new_log(folder, limit=200, files=1_000)
    for piece in pieces:
        log.write("stdout", piece)
    log.close()
    lines = b"".join(pieces).split(b"\n")
    lines = [line + b"\n" for line in lines[:-1]] + [lines[-1]] * bool(lines[-1])
    assert await read(folder, tail=tail) == b"".join(lines[-tail:] if tail else [])
    assert await read(folder, tail=1_000) == b"".join(pieces)


async def test_a_long_line_is_cut_into_pieces_and_comes_back_whole(tmp_path: Path) -> None:
    log, line = new_log(tmp_path), b"x" * 100_000
    for start in range(0, len(line), 7_000):
        log.write("stdout", line[start : start + 7_000])
    log.write("stdout", b"\nnext\n")
    log.close()
    assert b" P " in (tmp_path / "logs/c/0.log").read_bytes()
    assert await read(tmp_path) == line + b"\nnext\n"
    stamped = await read(tmp_path, timestamps=True)
    assert [len(each) for each in stamped.splitlines()] == [31 + len(line), 31 + len("next")]


async def test_streams_are_distinguished(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    for stream, text in (("stdout", b"o1\n"), ("stderr", b"e1\n"), ("stdout", b"o2\n")):
        log.write(stream, text)
    log.close()
    assert await read(tmp_path) == b"o1\ne1\no2\n"
    assert await read(tmp_path, stream="stdout") == b"o1\no2\n"
    assert await read(tmp_path, stream="stderr") == b"e1\n"


async def test_only_the_newest_files_are_kept_and_read_as_one(tmp_path: Path) -> None:
    log = new_log(tmp_path, limit=1_000, files=3)
    lines = [b"%06d\n" % number for number in range(200)]
    for line in lines:
        log.write("stdout", line)
    log.close()
    assert sorted(os.listdir(tmp_path / "logs/c"))[:2] == ["0.end", "0.log"]
    sizes = [path.stat().st_size for path in (tmp_path / "logs/c").glob("0.log*")]
    assert len(sizes) == 3
    assert max(sizes) <= 1_000
    assert await read(tmp_path) == b"".join(lines[-(sum(sizes) // 47) :])
    assert await read(tmp_path, tail=30) == b"".join(lines[-30:])


async def test_since_leaves_out_what_is_older(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.write("stdout", b"old\n")
    log.write("stdout", b"older\n")
    log.write("stdout", b"new\n")
    log.close()
    entries = (tmp_path / "logs/c/0.log").read_text().splitlines()
    moment = datetime.now(UTC).replace(microsecond=0)
    times = [moment - timedelta(seconds=90), moment - timedelta(seconds=60), moment]
    text = "".join(
        time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z") + entry[30:] + "\n"
        for time, entry in zip(times, entries, strict=True)
    )
    (tmp_path / "logs/c/0.log").write_text(text)
    assert await read(tmp_path, since=moment - timedelta(seconds=61)) == b"older\nnew\n"
    assert await read(tmp_path, since=moment) == b"new\n"
    assert await read(tmp_path, since=moment + timedelta(seconds=1)) == b""


@pytest.mark.parametrize("limit", [0, 1, 5, 6, 100])
async def test_limit_counts_bytes_of_output(tmp_path: Path, limit: int) -> None:
    log = new_log(tmp_path)
    log.write("stdout", b"abc\ndef\n")
    log.close()
    assert await read(tmp_path, limit=limit) == b"abc\ndef\n"[:limit]


async def test_previous_is_the_run_before_and_older_ones_are_gone(tmp_path: Path) -> None:
    for run in range(3):
        log = new_log(tmp_path, run)
        log.write("stdout", b"run %d\n" % run)
        log.close()
    assert await read(tmp_path) == b"run 2\n"
    assert await read(tmp_path, previous=True) == b"run 1\n"
    assert not (tmp_path / "logs/c/0.log").exists()


async def test_a_log_that_does_not_exist_is_refused_before_the_first_byte(tmp_path: Path) -> None:
    with pytest.raises(vk.InvalidInputError, match="log of container 'c' not found"):
        await read_log(tmp_path, "c")
    new_log(tmp_path).close()
    with pytest.raises(vk.InvalidInputError, match="previous terminated container 'c' not found"):
        await read_log(tmp_path, "c", previous=True)


@pytest.mark.usefixtures("alive")
async def test_following_misses_nothing_over_many_rotations_and_ends_with_the_run(
    tmp_path: Path,
) -> None:
    log = new_log(tmp_path, limit=2_000, files=100)
    lines = [b"%06d\n" % number for number in range(1_000)]
    log.write("stdout", b"first\n")
    got = b""
    async with asyncio.timeout(20), aclosing(await read_log(tmp_path, "c", follow=True)) as blocks:
        async for block in blocks:
            got += block
            for line in lines[:100]:
                log.write("stdout", line)
            if not lines:
                log.close()
            del lines[:100]
    assert got == b"first\n" + b"".join(b"%06d\n" % number for number in range(1_000))


@pytest.mark.usefixtures("alive")
async def test_following_from_tail_0_gives_only_what_is_new(tmp_path: Path) -> None:
    log = new_log(tmp_path)
    log.write("stdout", b"old\n")
    async with aclosing(await read_log(tmp_path, "c", follow=True, tail=0)) as blocks:
        log.write("stdout", b"new\n")
        async with asyncio.timeout(20):
            assert await anext(blocks) == b"new\n"
    log.close()


async def test_following_ends_when_nothing_of_the_pod_is_alive(tmp_path: Path) -> None:
    """Its supervisor was killed, so the end of the run is not marked."""
    log = new_log(tmp_path)
    log.write("stdout", b"last\n")
    assert await read(tmp_path, follow=True) == b"last\n"
    log.close()


async def test_a_full_disk_loses_lines_and_counts_them(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("")  # no folder can be made here
    log = new_log(tmp_path)
    log.write("stdout", b"text\n")
    assert log.lost == len(b"2026-01-31T12:00:00.123456789Z stdout F text\n")
    log.close()


def test_the_last_lines_are_those_of_all_streams() -> None:
    time = b"2026-01-31T12:00:00.123456789Z "
    entries = b"cut off\n" + time + b"stdout F one\n" + time + b"stderr F two words\n"
    assert last_lines(entries, lines=80, size=2048) == "one\ntwo words"
    assert last_lines(entries, lines=1, size=2048) == "two words"
    assert last_lines(entries, lines=80, size=5) == "words"


@given(st.lists(st.binary(max_size=30).filter(lambda text: b"\n" not in text), max_size=10))
def test_blocks_may_be_cut_at_any_entry(texts: list[bytes]) -> None:
    time = b"2026-01-31T12:00:00.123456789Z "
    entries = [time + b"stdout F " + text + b"\n" for text in texts]
    one, many = EntryFilter(timestamps=True), EntryFilter(timestamps=True)
    whole = one.render(b"".join(entries)) if entries else b""
    assert whole == b"".join(many.render(entry) for entry in entries)
    assert whole == b"".join(time + text + b"\n" for text in texts)
