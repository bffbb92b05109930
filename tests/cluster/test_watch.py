"""One watch connection: splitting, unreadable lines, the forms of 410, breaks."""

from __future__ import annotations

from itertools import pairwise

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from scripted import answer, client_of, event, pod, status, stream

from vk import errors
from vk.cluster.resources import PODS
from vk.cluster.watch import SKIPPED, Event, Lines, Long

RECORDED = b"".join(event("ADDED", pod(f"p{number}", number)) for number in range(4))


@given(st.lists(st.integers(0, len(RECORDED)), max_size=8))
def test_lines_do_not_depend_on_where_the_stream_is_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(RECORDED)]
    lines = Lines()
    found = []
    for start, end in pairwise(places):
        found += lines.feed(RECORDED[start:end])
    assert found == RECORDED.splitlines()
    assert lines.rest() == b""


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_line_over_the_cap_is_told_and_the_next_is_whole(size: int) -> None:
    lines = Lines(longest=20)
    data = b"short\n" + b"x" * 50 + b"\nnext\n"
    found = [line for at in range(0, len(data), size) for line in lines.feed(data[at : at + size])]
    assert found[0] == b"short"
    assert isinstance(found[1], Long)
    assert found[2] == b"next"


def test_a_line_of_sixteen_mebibytes_passes_and_one_byte_more_is_told() -> None:
    lines = Lines()
    assert [len(line) for line in lines.feed(b"x" * 2**24 + b"\n")] == [2**24]  # type: ignore[arg-type] # whole lines
    found = list(lines.feed(b"x" * (2**24 + 1) + b"\nnext\n"))
    assert isinstance(found[0], Long)
    assert found[1:] == [b"next"]


async def collect(handler: object) -> tuple[list[Event], errors.ClusterError | None]:
    found: list[Event] = []
    async with client_of(handler) as client:  # type: ignore[arg-type] # each test's own function
        try:
            async for item in client.watch(PODS, resource_version="5"):
                found.append(item)
        except errors.ClusterError as error:
            return found, error
    return found, None


async def test_a_watch_asks_for_bookmarks_and_an_end() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        assert request.query["allowWatchBookmarks"] == "true"
        assert 240 <= int(request.query["timeoutSeconds"]) <= 480
        assert request.query["resourceVersion"] == "5"
        return await stream(request, event("ADDED", pod("a", 6)), event("BOOKMARK", pod("", 9)))

    found, error = await collect(handle)
    assert [kind for kind, _ in found] == ["ADDED", "BOOKMARK"]
    assert error is None


async def test_unreadable_lines_are_skipped_with_the_name_if_it_shows() -> None:
    broken = event("MODIFIED", pod("bad", 7)).replace(b'"resourceVersion":', b"\x00")

    async def handle(request: web.Request) -> web.StreamResponse:
        good = event("ADDED", pod("good", 8))
        return await stream(request, broken, b"nonsense\n", b"[]\n", good)

    found, error = await collect(handle)
    assert error is None
    assert found[0] == (SKIPPED, {"metadata": {"name": "bad", "namespace": "default"}})
    assert found[1] == found[2] == (SKIPPED, {})
    assert found[3][1]["metadata"]["name"] == "good"


async def http_410(request: web.Request) -> web.StreamResponse:
    return answer(status(410, "Expired"), 410)


async def event_410(request: web.Request) -> web.StreamResponse:
    return await stream(request, event("ERROR", status(410, "Expired")))


async def body_410(request: web.Request) -> web.StreamResponse:
    return answer(status(410, "Gone"))


async def pretty_410(request: web.Request) -> web.StreamResponse:
    return web.Response(body=orjson.dumps(status(410, "Gone"), option=orjson.OPT_INDENT_2))


async def unended_410(request: web.Request) -> web.StreamResponse:
    return await stream(request, orjson.dumps(status(410, "Gone")))


async def too_large(request: web.Request) -> web.StreamResponse:
    return answer(status(504, "Timeout", "Too large resource version: 9, current: 5"), 504)


@pytest.mark.parametrize(
    "handler", [http_410, event_410, body_410, pretty_410, unended_410, too_large]
)
async def test_each_form_of_an_expired_version(handler: object) -> None:
    found, error = await collect(handler)
    assert found == []
    assert type(error) is errors.ExpiredError


async def test_a_break_inside_a_line_drops_that_line_only() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        half = event("ADDED", pod("b", 7))[:40]
        return await stream(request, event("ADDED", pod("a", 6)), half, cut=True)

    found, error = await collect(handle)
    assert [raw["metadata"]["name"] for _, raw in found] == ["a"]
    assert type(error) is errors.UnavailableError


async def test_an_object_of_several_mebibytes_passes() -> None:
    large = pod("a", 6, annotations={"x": "\u0001" * 1_000_000})

    async def handle(request: web.Request) -> web.StreamResponse:
        return await stream(request, event("ADDED", large))

    found, _ = await collect(handle)
    assert found == [("ADDED", large)]
