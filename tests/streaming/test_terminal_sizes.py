"""Sizes of a terminal: read in any pieces, only the newest is kept, no size is an error."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.streaming.terminal_sizes import TerminalSizes
from vk.streams import TerminalSize

SIZES = st.tuples(st.integers(1, 65535), st.integers(1, 65535))


def nothing() -> None:
    """Stand for a piece that is not counted."""


def newest(sizes: TerminalSizes, data: bytes) -> tuple[int, int] | None:
    """Put ``data`` and return the newest size."""
    sizes.put(data, nothing)
    return None if sizes.newest is None else (sizes.newest.width, sizes.newest.height)


async def test_of_sizes_only_the_newest_is_kept_and_seen_once() -> None:
    sizes = TerminalSizes()
    for width in (1, 2, 3):
        sizes.put(b'{"Width":%d,"Height":9}' % width, nothing)
    each = sizes.each()
    assert await anext(each) == TerminalSize(3, 9)
    later = asyncio.ensure_future(anext(each))
    await asyncio.sleep(0)
    assert not later.done()
    sizes.put(b'{"Width":4,"Height":9}', nothing)
    assert await later == TerminalSize(4, 9)
    sizes.end()
    assert [size async for size in each] == []
    assert [size async for size in sizes.each()] == [TerminalSize(4, 9)]


async def test_sizes_that_never_came_end_too() -> None:
    sizes = TerminalSizes()
    sizes.end()
    assert [size async for size in sizes.each()] == []


@given(st.lists(SIZES, min_size=1, max_size=8), st.integers(1, 40))
def test_the_newest_size_is_read_in_any_pieces(sizes: list[tuple[int, int]], step: int) -> None:
    lines = (json.dumps({"Width": width, "Height": height}) for width, height in sizes)
    wire = "".join(f"{line}\n" for line in lines).encode()
    read = TerminalSizes()
    found = [newest(read, wire[start : start + step]) for start in range(0, len(wire), step)]
    assert found[-1] == sizes[-1]
    assert set(found) <= {*sizes, None}
    assert newest(TerminalSizes(), wire) == sizes[-1]


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b'{"Width":80,"Height":24}', (80, 24)),
        (b'{"width":80,"HEIGHT":24}', (80, 24)),
        (b'{"Height":24,"Width":80,"More":[1]}', (80, 24)),
        (b' \n{"Width":80,"Height":24}\n', (80, 24)),
        (b'{"Width":80,"Height":0}', None),
        (b'{"Width":80}', None),
        (b"{}", None),
        (b"", None),
    ],
)
def test_a_size_is_read(data: bytes, size: tuple[int, int] | None) -> None:
    sizes = TerminalSizes()
    assert newest(sizes, data) == size
    assert newest(sizes, b'{"Width":132,"Height":43}') == (132, 43)


@pytest.mark.parametrize(
    "data",
    [
        b'{"Width":65536,"Height":24}',
        b'{"Width":-1,"Height":24}',
        b'{"Width":8e1,"Height":24}',
        b'{"Width":true,"Height":24}',
        b'{"Width":"80","Height":24}',
        b'{"Width":1' + b"0" * 400 + b',"Height":24}',
        b"[" * 1000 + b"}",
        b"80x24}",
        b"\xff\xfe}",
        b"[{}",
        b" " * 5000,
        b"{" * 5000,
    ],
)
def test_what_is_no_size_ends_the_reading_without_a_size(data: bytes) -> None:
    sizes = TerminalSizes()
    assert newest(sizes, data) is None
    assert newest(sizes, b'{"Width":132,"Height":43}') is None


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_bytes_are_sizes_or_nothing(parts: list[bytes]) -> None:
    sizes = TerminalSizes()
    for part in parts:
        size = newest(sizes, part)
        assert size is None or all(0 < length < 65536 for length in size)
