"""The scheduler at work, as a client of the embedded cluster over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from scheduling_cases import node, pod, taint

from vk.cluster.client import Client
from vk.cluster.kubeconfig import read_access
from vk.cluster.resources import EVENTS, NODES, PODS
from vk.devcluster.cluster import DevCluster
from vk.devcluster.controllers.scheduler import Scheduler

Json = dict[str, Any]
Wanted = Callable[[Json], bool]


@asynccontextmanager
async def scheduled(client: Client) -> AsyncIterator[None]:
    """Run a scheduler for as long as the block lasts."""
    task = asyncio.create_task(Scheduler(client).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """The administrator of a new cluster without nodes."""
    async with DevCluster(tmp_path) as cluster:
        access = read_access(cluster.kubeconfig)
        async with Client(access, user_agent="vk-test") as client:
            yield client


async def add_node(client: Client, raw: Json) -> None:
    await client.create(NODES, raw)
    status = {"status": raw["status"]}
    await client.patch(NODES, raw["metadata"]["name"], status, subresource="status")


async def add_pod(client: Client, raw: Json) -> Json:
    return await client.create(PODS, raw, namespace="default")


async def states(client: Client, resource: Any, selector: str) -> AsyncGenerator[Json, None]:
    """Yield the object as it is, and after each change."""
    listing = await client.list(resource, namespace="default", field_selector=selector)
    for found in listing.items:
        yield found
    watch = client.watch(
        resource,
        namespace="default",
        resource_version=listing.resource_version,
        field_selector=selector,
    )
    async with aclosing(watch) as events:
        async for kind, found in events:
            if kind in ("ADDED", "MODIFIED"):
                yield found


async def until(client: Client, name: str, wanted: Wanted, resource: Any = PODS) -> Json:
    """Return the object of the pod (or an event about it) once it is as wanted."""
    selector = f"{'involvedObject' if resource is EVENTS else 'metadata'}.name={name}"
    async with asyncio.timeout(10), aclosing(states(client, resource, selector)) as found:
        async for raw in found:
            if wanted(raw):
                return raw
    raise AssertionError("the watch ended")


def is_placed(raw: Json) -> bool:
    return bool(raw["spec"].get("nodeName"))


def condition(raw: Json) -> Json:
    for one in raw.get("status", {}).get("conditions", ()):
        if one["type"] == "PodScheduled":
            found: Json = one
            return found
    return {}


def is_refused(raw: Json) -> bool:
    return condition(raw).get("status") == "False"


async def placed(client: Client) -> dict[str, str]:
    """Return the node of each pod that has one."""
    pods = (await client.list(PODS, namespace="default")).items
    return {raw["metadata"]["name"]: raw["spec"]["nodeName"] for raw in pods if is_placed(raw)}


async def test_a_pod_is_bound_with_condition_and_event(client: Client) -> None:
    async with scheduled(client):
        await add_node(client, node("n1"))
        await add_pod(client, pod())
        raw = await until(client, "p", is_placed)
        assert raw["spec"]["nodeName"] == "n1"
        assert condition(raw)["status"] == "True"
        event = await until(client, "p", lambda one: one["reason"] == "Scheduled", EVENTS)
        assert event["message"] == "Successfully assigned default/p to n1"
        assert event["involvedObject"]["uid"] == raw["metadata"]["uid"]
        assert event["source"] == {"component": "default-scheduler"}


async def test_a_pod_without_a_node_shows_why_and_is_bound_when_one_comes(client: Client) -> None:
    async with scheduled(client):
        await add_pod(client, pod(nodeSelector={"disk": "ssd"}))
        raw = await until(client, "p", is_refused)
        assert condition(raw)["reason"] == "Unschedulable"
        assert condition(raw)["message"] == "no nodes available to schedule pods"
        event = await until(client, "p", lambda one: one["type"] == "Warning", EVENTS)
        assert (event["reason"], event["message"]) == (
            "FailedScheduling",
            "no nodes available to schedule pods",
        )
        await add_node(client, node("n1"))
        await until(client, "p", lambda one: "didn't match" in condition(one).get("message", ""))
        await client.patch(NODES, "n1", {"metadata": {"labels": {"disk": "ssd"}}}, form="merge")
        await until(client, "p", is_placed)


async def uncordon(client: Client) -> None:
    await client.patch(NODES, "n1", {"spec": {"unschedulable": None}}, form="merge")


async def become_ready(client: Client) -> None:
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    await client.patch(NODES, "n1", {"status": status}, subresource="status")


async def finish(client: Client) -> None:
    await client.patch(
        PODS, "b", {"status": {"phase": "Succeeded"}}, namespace="default", subresource="status"
    )


async def remove(client: Client) -> None:
    await client.delete(PODS, "b", namespace="default", grace_period=0)


async def test_a_node_is_tainted_by_its_conditions_and_others_taints_stay(client: Client) -> None:
    raw = node("n1", taints=[taint("mine")], unschedulable=True)
    raw["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    async with scheduled(client):
        await add_node(client, raw)
        await until(client, "n1", lambda one: keys(one) == {"mine", UNREACHABLE, CORDONED}, NODES)
        await become_ready(client)
        await uncordon(client)
        await until(client, "n1", lambda one: keys(one) == {"mine"}, NODES)


def keys(raw: Json) -> set[str]:
    return {taint["key"] for taint in raw["spec"].get("taints", ())}


UNREACHABLE, CORDONED = (f"node.kubernetes.io/{name}" for name in ("unreachable", "unschedulable"))
UNREADY = node("n1")
UNREADY["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
FULL = node("n1", allocatable={"pods": "1"})


@pytest.mark.parametrize(
    ("start", "change"),
    [
        (node("n1", unschedulable=True), uncordon),
        (UNREADY, become_ready),
        (FULL, finish),
        (FULL, remove),
    ],
    ids=["uncordoned", "ready", "another pod ends", "another pod is deleted"],
)
async def test_a_waiting_pod_is_placed_as_soon_as_that_is_possible(
    client: Client, start: Json, change: Callable[[Client], Awaitable[None]]
) -> None:
    await add_node(client, start)
    await add_pod(client, pod("b", nodeName="n1"))
    async with scheduled(client):
        await add_pod(client, pod())
        await until(client, "p", is_refused)
        await change(client)
        await until(client, "p", is_placed)


async def test_of_pods_that_come_together_no_more_than_fit_are_placed(client: Client) -> None:
    await add_node(client, node("n1", allocatable={"pods": "7"}))
    async with scheduled(client):
        names = [f"p{number}" for number in range(20)]
        await asyncio.gather(*(add_pod(client, pod(name)) for name in names))
        await asyncio.gather(
            *(until(client, name, lambda raw: is_placed(raw) or is_refused(raw)) for name in names)
        )
        assert len(await placed(client)) == 7


async def test_a_new_scheduler_counts_what_is_there(client: Client) -> None:
    await add_node(client, node("n1", allocatable={"cpu": "2"}))
    async with scheduled(client):
        await add_pod(client, pod("first", {"cpu": "1500m"}))
        await until(client, "first", is_placed)
    async with scheduled(client):
        await add_pod(client, pod("p", {"cpu": "1"}))
        raw = await until(client, "p", is_refused)
    assert "Insufficient cpu" in condition(raw)["message"]


async def test_pods_of_others_are_left_alone(client: Client) -> None:
    await add_node(client, node("n1"))
    await add_pod(client, pod("mine", schedulerName="mine"))
    async with scheduled(client):
        await add_pod(client, pod())
        await until(client, "p", is_placed)
        assert await placed(client) == {"p": "n1"}
    assert condition(await client.get(PODS, "mine", namespace="default")) == {}
