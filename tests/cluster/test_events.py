"""Events: what the API server holds in the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from aiohttp import web
from scripted import answer, client_of, status

from vk.cluster.events import EventRecorder
from vk.cluster.resources import PODS

POD = {"kind": "Pod", "namespace": "ns", "name": "web", "uid": "u1", "apiVersion": "v1"}
NODE = {"kind": "Node", "name": "n", "uid": "n"}


@attrs.define
class Events:
    """Keeps events by namespace and name as the API server does; ``answers`` come first."""

    answers: list[web.Response] = attrs.field(factory=list)
    held: dict[tuple[str, str], dict[str, Any]] = attrs.field(factory=dict)
    requests: int = 0
    called: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return self.answers.pop(0) if self.answers else await self._keep(request)
        finally:
            self.requests += 1
            self.called.set()

    async def _keep(self, request: web.Request) -> web.StreamResponse:
        namespace = request.path.split("/")[4]
        body = await request.json()
        if request.method == "PATCH":
            key = (namespace, request.path.split("/")[6])
            if key not in self.held:
                return answer(status(404, "NotFound"), 404)
            self.held[key] |= body
            return answer(self.held[key])
        key = (namespace, body["metadata"]["name"])
        if key in self.held:
            return answer(status(409, "AlreadyExists"), 409)
        self.held[key] = body
        return answer(body, 201)

    async def until(self, requests: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(10):
            while self.requests < requests:
                self.called.clear()
                await self.called.wait()
        return list(self.held.values())


@asynccontextmanager
async def recorder(server: Events, *, running: bool = True) -> AsyncIterator[EventRecorder]:
    async with client_of(server.handle) as client:
        made = EventRecorder(client, "vk", "node-1")
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(made.run()) if running else None
            yield made
            if task is not None:
                task.cancel()


async def test_an_event_is_written_whole() -> None:
    server = Events()
    async with recorder(server) as made:
        made.emit(POD, "Warning", "Failed", "no stock")
        [found] = await server.until(1)
    assert found["involvedObject"] == POD
    assert found["metadata"]["namespace"] == "ns"
    assert (found["type"], found["reason"], found["message"]) == ("Warning", "Failed", "no stock")
    assert found["count"] == 1
    assert found["source"] == {"component": "vk", "host": "node-1"}
    assert found["firstTimestamp"].endswith("Z")


async def test_equal_events_fold_in_the_queue_then_by_patch() -> None:
    server = Events()
    async with recorder(server) as made:
        for _ in range(3):
            made.emit(POD, "Normal", "Pulled", "x")
        [found] = await server.until(1)
        assert found["count"] == 3
        made.emit(POD, "Normal", "Pulled", "x")
        [found] = await server.until(2)
        assert found["count"] == 4


async def test_an_event_that_the_server_forgot_is_written_anew() -> None:
    server = Events()
    async with recorder(server) as made:
        made.emit(POD, "Normal", "Pulled", "x")
        await server.until(1)
        server.held.clear()
        made.emit(POD, "Normal", "Pulled", "x")
        [found] = await server.until(3)
        assert found["count"] == 2


async def test_an_id_is_written_once_also_by_another_process() -> None:
    server = Events()
    for _ in range(2):
        async with recorder(server) as made:
            made.emit(POD, "Normal", "Scheduled", "x", id="backend-1")
            made.emit(POD, "Normal", "Scheduled", "y", id="backend-1")
            requests = server.requests
            await server.until(requests + 1)
            made.emit(POD, "Normal", "Scheduled", "z", id="backend-1")
            made.emit(NODE, "Normal", "Marker", "after", id="m")
            await server.until(requests + 2)
    assert sorted(event["message"] for event in server.held.values()) == ["after", "x"]
    assert all(event["count"] == 1 for event in server.held.values())


async def test_events_of_the_node_go_to_default() -> None:
    server = Events()
    async with recorder(server) as made:
        made.emit(NODE, "Normal", "Starting", "x")
        [found] = await server.until(1)
    assert found["metadata"]["namespace"] == "default"


async def test_a_full_queue_drops_normal_events_first_and_counts() -> None:
    server = Events()
    async with recorder(server, running=False) as made:
        for number in range(1000):
            made.emit(POD, "Normal", "R", str(number))
        made.emit(POD, "Normal", "R", "too many")
        made.emit(POD, "Warning", "R", "matters")
        assert made.dropped == 2
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(made.run())
            found = await server.until(3)
            task.cancel()
    assert [event["message"] for event in found][:3] == ["matters", "1", "2"]


async def test_no_event_is_written_while_a_status_write_is_under_way() -> None:
    server, order, began = Events(), list[str](), asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        if "/pods/" in request.path:
            began.set()
            await asyncio.sleep(0.1)  # an event that does not wait is here before that
            order.append("status")
            return answer({"kind": "Pod"})
        order.append("event")
        return await server.handle(request)

    async with client_of(handle) as client, asyncio.TaskGroup() as tasks:
        made = EventRecorder(client, "vk", "node-1")
        task = tasks.create_task(made.run())
        tasks.create_task(client.patch(PODS, "web", {}, namespace="ns", subresource="status"))
        await began.wait()
        made.emit(POD, "Warning", "Failed", "no stock")
        await server.until(1)
        task.cancel()
    assert order == ["status", "event"]


@pytest.mark.slow  # the pace is of real time
async def test_a_hundred_events_go_at_once_and_then_fifty_a_second() -> None:
    server = Events()
    clock = asyncio.get_running_loop().time
    async with recorder(server) as made:
        began = clock()
        for number in range(115):
            made.emit(POD, "Normal", "R", str(number))
        await server.until(115)
        assert clock() - began >= 15 / 50 - 0.01


@pytest.mark.slow
async def test_an_outage_delays_events() -> None:
    server = Events([answer(status(503), 503)])
    async with recorder(server) as made:
        made.emit(POD, "Normal", "R", "x")
        [found] = await server.until(2)
        assert found["message"] == "x"
        assert made.dropped == 0


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (answer(status(404, "NotFound"), 404), False),
        (
            answer(status(403, "Forbidden", causes=[{"reason": "NamespaceTerminating"}]), 403),
            False,
        ),
        (answer(status(403, "Forbidden"), 403), True),
    ],
)
async def test_refusals_drop_the_event_and_only_surprises_are_told(
    refusal: web.Response, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server = Events([refusal])
    async with recorder(server) as made:
        made.emit(POD, "Normal", "R", "lost")
        made.emit(POD, "Normal", "R", "kept")
        [found] = await server.until(2)
        assert found["message"] == "kept"
        assert made.dropped == 1
    assert any(record.message == "events not written" for record in caplog.records) is told


async def test_nonsense_is_not_raised() -> None:
    async with recorder(Events(), running=False) as made:
        made.emit({}, "Normal", "R", "x")
        made.emit(None, "Normal", "R", "x")  # type: ignore[arg-type] # what the test is about
