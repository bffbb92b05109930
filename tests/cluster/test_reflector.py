"""The reflector against a scripted server: what the store holds after each kind of trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from aiohttp import web
from scripted import (
    Handler,
    answer,
    client_of,
    event,
    listing,
    pod,
    status,
    stream,
)

from vk.cluster.reflector import Reflector
from vk.cluster.resources import PODS
from vk.cluster.store import Store


@attrs.define
class Server:
    """Answers lists and watches from two scripts; the last entry of each is repeated."""

    lists: list[Any]
    watches: list[Handler]
    listed: int = 0
    watched: list[str] = attrs.field(factory=list)
    times: list[float] = attrs.field(factory=list)
    """When each watch came."""
    second_watch: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            self.watched.append(request.query["resourceVersion"])
            self.times.append(asyncio.get_running_loop().time())
            if len(self.watched) > 1:
                self.second_watch.set()
            watch: Handler = _next(self.watches)
            return await watch(request)
        selector = request.query.get("fieldSelector", "")
        self.listed += 1
        made = _next(self.lists)
        if isinstance(made, tuple):
            return listing(*made)
        look: web.StreamResponse = await made(request, selector)
        return look


def _next(script: list[Any]) -> Any:
    return script.pop(0) if len(script) > 1 else script[0]


def sends(*chunks: bytes, hold: bool = False, cut: bool = False) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await stream(request, *chunks, hold=hold, cut=cut)

    return handle


def refuses(code: int) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return answer(status(code), code)

    return handle


async def gone_in_body(request: web.Request) -> web.StreamResponse:
    return answer(status(410, "Gone"))


silent = sends(hold=True)


@attrs.define
class Mirror:
    store: Store
    changes: list[tuple[str, str]] = attrs.field(factory=list)
    changed: asyncio.Event = attrs.field(factory=asyncio.Event)
    synced: asyncio.Event = attrs.field(factory=asyncio.Event)

    def take(self, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        kind = "added" if old is None else "deleted" if new is None else "changed"
        self.changes.append((kind, (new or old or {})["metadata"]["uid"]))
        self.changed.set()

    async def until(self, *changes: tuple[str, str]) -> None:
        async with asyncio.timeout(10):
            while len(self.changes) < len(changes):
                self.changed.clear()
                await self.changed.wait()
        assert self.changes == list(changes)


@asynccontextmanager
async def mirror(server: Server, **options: Any) -> AsyncIterator[Mirror]:
    found = Mirror(Store())
    async with client_of(server.handle) as client:
        reflector = Reflector(client, PODS, found.store, found.take, **options)
        found.synced = reflector.synced
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(reflector.run())
            yield found
            running.cancel()


async def test_a_list_then_events_fill_the_store() -> None:
    events = (
        event("ADDED", pod("b", 6)),
        event("MODIFIED", pod("a", 7, managedFields=[{}])),
        event("DELETED", pod("b", 8)),
    )
    server = Server([(5, pod("a", 3))], [sends(*events, hold=True)])
    async with mirror(server) as found:
        await found.until(
            ("added", "uid-a"), ("added", "uid-b"), ("changed", "uid-a"), ("deleted", "uid-b")
        )
        assert found.synced.is_set()
        assert found.store.values() == [pod("a", 7)]
    assert server.watched == ["5"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "gone",
    [refuses(410), sends(event("ERROR", status(410, "Expired"))), gone_in_body],
    ids=["status", "event", "body"],
)
async def test_an_expired_version_lists_again_and_finds_what_was_missed(gone: Handler) -> None:
    server = Server(
        [(5, pod("a", 3), pod("b", 4), pod("c", 5)), (9, pod("a", 3), pod("b", 8), pod("d", 9))],
        [gone, silent],
    )
    async with mirror(server) as found:
        await found.until(
            ("added", "uid-a"),
            ("added", "uid-b"),
            ("added", "uid-c"),
            ("deleted", "uid-c"),
            ("changed", "uid-b"),
            ("added", "uid-d"),
        )
    assert server.listed == 2


@pytest.mark.slow
@pytest.mark.parametrize("code", [429, 500, 503, 403])
async def test_a_refused_watch_goes_on_from_its_version_without_a_list(code: int) -> None:
    server = Server([(5,)], [refuses(code), sends(event("ADDED", pod("a", 6)), hold=True)])
    async with mirror(server) as found:
        await found.until(("added", "uid-a"))
    assert server.listed == 1
    assert server.watched == ["5", "5"]


@pytest.mark.slow
async def test_a_break_resumes_after_the_last_event() -> None:
    server = Server(
        [(5,)],
        [
            sends(event("ADDED", pod("a", 6)), event("ADDED", pod("b", 7))[:30], cut=True),
            sends(event("ADDED", pod("b", 7)), hold=True),
        ],
    )
    async with mirror(server) as found:
        await found.until(("added", "uid-a"), ("added", "uid-b"))
    assert server.watched == ["5", "6"]
    assert server.listed == 1


@pytest.mark.slow
async def test_a_bookmark_moves_the_version() -> None:
    mark = event("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": "50"}})
    server = Server([(5,)], [sends(mark), sends(event("ADDED", pod("a", 51)), hold=True)])
    async with mirror(server) as found:
        await found.until(("added", "uid-a"))
    assert server.watched == ["5", "50"]


@pytest.mark.slow
async def test_watches_that_end_at_once_do_not_spin() -> None:
    server = Server([(5,)], [sends()])
    async with mirror(server), asyncio.timeout(10):
        await server.second_watch.wait()
    assert server.times[1] - server.times[0] >= 0.8
    assert server.listed == 1


async def test_a_watch_that_told_something_goes_on_at_once_however_short_it_was() -> None:
    """The API server ends watches that fall behind in a burst; waiting makes that worse."""
    bursts = [sends(event("MODIFIED", pod("a", version))) for version in range(6, 26)]
    server = Server([(5, pod("a", 3))], [*bursts, silent])
    async with mirror(server) as found:
        await found.until(("added", "uid-a"), *[("changed", "uid-a")] * 20)
    assert server.times[-1] - server.times[0] < 5.0  # with the waits of empty watches: minutes


@pytest.mark.slow
async def test_a_list_beside_the_watch_makes_good_what_the_watch_never_told() -> None:
    """It is a quorum read: resourceVersion=0 would come from the cache that feeds the watch."""

    async def compare(request: web.Request, selector: str) -> web.StreamResponse:
        assert "resourceVersion" not in request.query
        return listing(9, pod("b", 8), pod("c", 5), pod("d", 9))

    server = Server([(5, pod("a", 3), pod("b", 4), pod("c", 5)), compare], [sends(), silent])
    async with mirror(server, compare_every=0.0) as found:
        await found.until(
            ("added", "uid-a"),
            ("added", "uid-b"),
            ("added", "uid-c"),
            ("deleted", "uid-a"),
            ("changed", "uid-b"),
            ("added", "uid-d"),
        )
        async with asyncio.timeout(10):
            await server.second_watch.wait()
        assert found.store.values() == [pod("b", 8), pod("c", 5), pod("d", 9)]
    assert server.watched == ["5", "9"]


@pytest.mark.slow
@pytest.mark.parametrize("code", [403, 410, 429, 500])
async def test_a_list_beside_the_watch_that_fails_does_not_end_the_watch(code: int) -> None:
    async def compare(request: web.Request, selector: str) -> web.StreamResponse:
        return answer(status(code), code, Retry_After="30")

    resumed = sends(event("ADDED", pod("a", 6)), hold=True)
    server = Server([(5,), compare], [sends(), resumed])
    async with mirror(server, compare_every=0.0) as found:
        await found.until(("added", "uid-a"))
    assert server.watched == ["5", "5"]


@pytest.mark.slow
async def test_a_watch_is_resumed_until_the_next_list_is_due() -> None:
    server = Server([(5,)], [sends(), sends(event("ADDED", pod("a", 6)), hold=True)])
    async with mirror(server, compare_every=600.0) as found:
        await found.until(("added", "uid-a"))
    assert server.listed == 1


async def test_a_lower_version_of_an_object_is_ignored() -> None:
    events = (
        event("MODIFIED", pod("a", 8)),
        event("MODIFIED", pod("a", 7)),
        event("DELETED", pod("a", 7)),
        event("ADDED", pod("b", 9)),
    )
    server = Server([(5, pod("a", 3))], [sends(*events, hold=True)])
    async with mirror(server) as found:
        await found.until(("added", "uid-a"), ("changed", "uid-a"), ("added", "uid-b"))
        assert found.store.get("default", "a") == pod("a", 8)


@pytest.mark.slow
@pytest.mark.parametrize("missed", [True, False])
async def test_a_recreated_object_is_deleted_then_added(missed: bool) -> None:
    new = pod("a", 8, uid="new")
    server = (
        Server([(5, pod("a", 3)), (8, new)], [refuses(410), silent])
        if missed
        else Server([(5, pod("a", 3))], [sends(event("MODIFIED", new), hold=True)])
    )
    async with mirror(server) as found:
        await found.until(("added", "uid-a"), ("deleted", "uid-a"), ("added", "new"))
        assert found.store.get("default", "a") == new


@pytest.mark.parametrize("there", [True, False])
async def test_an_unreadable_line_looks_that_object_up(there: bool) -> None:
    broken = event("MODIFIED", pod("a", 7)).replace(b'"resourceVersion":', b"\x00")

    async def look(request: web.Request, selector: str) -> web.StreamResponse:
        assert selector == "spec.nodeName=n,metadata.name=a"
        assert request.path == "/api/v1/namespaces/default/pods"
        return listing(8, *([pod("a", 7)] if there else []))

    late = event("ADDED", pod("a", 6))  # older than the look: no news
    server = Server(
        [(5, pod("a", 3)), look],
        [sends(broken, late, event("ADDED", pod("b", 9)), hold=True)],
    )
    async with mirror(server, field_selector="spec.nodeName=n") as found:
        second = ("changed" if there else "deleted", "uid-a")
        await found.until(("added", "uid-a"), second, ("added", "uid-b"))
    assert len(server.watched) == 1


async def test_what_came_before_a_look_at_a_recreated_object_is_no_news() -> None:
    broken = event("MODIFIED", pod("a", 4)).replace(b'"resourceVersion":', b"\x00")
    old = [event("MODIFIED", pod("a", 5)), event("DELETED", pod("a", 6))]
    new = [event("ADDED", pod("a", 7, uid="new")), event("MODIFIED", pod("a", 9, uid="new"))]

    async def look(request: web.Request, selector: str) -> web.StreamResponse:
        return listing(8, pod("a", 7, uid="new"))

    server = Server([(3, pod("a", 3)), look], [sends(broken, *old, *new, hold=True)])
    async with mirror(server) as found:
        await found.until(
            ("added", "uid-a"), ("deleted", "uid-a"), ("added", "new"), ("changed", "new")
        )


@pytest.mark.slow
async def test_an_unreadable_line_without_a_name_lists_again() -> None:
    server = Server([(5,), (6, pod("a", 6))], [sends(b"?\n", hold=True), silent])
    async with mirror(server) as found:
        await found.until(("added", "uid-a"))


async def test_objects_without_names_and_failing_receivers_hurt_nobody_else() -> None:
    def transform(raw: dict[str, Any]) -> dict[str, Any]:
        if raw["metadata"]["name"] == "a":
            raise ValueError
        return {**raw, "seen": True}

    odd = event("ADDED", {"metadata": None}) + event("ADDED", {})
    server = Server([(5, pod("a", 3))], [sends(odd, event("ADDED", pod("b", 6)), hold=True)])
    async with mirror(server, transform=transform) as found:
        await found.until(("added", "uid-a"), ("added", "uid-b"))
        assert found.store.get("default", "a") == pod("a", 3)
        assert found.store.get("default", "b") == {**pod("b", 6), "seen": True}
