"""Where pods go: the rules, held to what the real scheduler does."""

from __future__ import annotations

import asyncio
import copy
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scheduling_cases import CASES, Case, named, node, pod, required, taint

from vk.cluster.client import Client
from vk.cluster.config import load_access
from vk.cluster.resources import NODES, PODS
from vk.devcluster.controllers.scheduling import NodeView, ScheduleResult, choose, is_ours
from vk.pods.admission import ReservedResources
from vk.testing.control_plane import ASSETS, ControlPlane

Json = dict[str, Any]


def decide(case: Case) -> ScheduleResult:
    used: dict[str, ReservedResources] = {}
    for number, raw in enumerate(case.bound):
        counted = {**raw, "metadata": {**raw["metadata"], "uid": str(number)}}
        used.setdefault(raw["spec"]["nodeName"], ReservedResources()).add(counted)
    return choose(case.pod, [NodeView.of(one) for one in case.nodes], used)


@pytest.mark.parametrize("name", CASES)
def test_a_pod_goes_where_the_real_scheduler_sends_it(name: str) -> None:
    case = CASES[name]
    if not (case.node or case.message):
        assert not is_ours(case.pod)
        return
    assert is_ours(case.pod)
    assert decide(case) == ScheduleResult(case.node, case.message)


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"nodeName": "n1"}},
        {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
    ],
)
def test_a_pod_that_is_placed_or_being_deleted_is_left_alone(change: Json) -> None:
    raw = pod()
    for field, more in change.items():
        raw[field].update(more)
    assert not is_ours(raw)


def test_what_init_containers_need_at_their_largest_counts() -> None:
    raw = pod("p", {"cpu": "1"})
    raw["spec"]["initContainers"] = [{"name": "i", "resources": {"requests": {"cpu": "5"}}}]
    assert "Insufficient cpu" in decide(Case([node("n1")], raw)).message


def test_equal_nodes_are_taken_in_the_order_of_their_names() -> None:
    assert decide(Case([node("b"), node("a"), node("c")], pod())) == ScheduleResult("a")


_NODES = st.lists(
    st.builds(
        node,
        st.uuids().map(str),
        allocatable=st.fixed_dictionaries(
            {"cpu": st.integers(0, 8).map(str), "pods": st.integers(0, 4).map(str)}
        ),
        labels=st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy")),
        taints=st.lists(st.builds(taint, st.sampled_from("ab")), max_size=1),
        unschedulable=st.booleans(),
    ),
    min_size=1,
    max_size=5,
)
_PODS = st.builds(
    lambda cpu, selector, tolerations: pod(
        "p", {"cpu": str(cpu)}, nodeSelector=selector, tolerations=tolerations
    ),
    st.integers(0, 9),
    st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), max_size=1),
    st.lists(st.sampled_from([{"key": "a", "operator": "Exists"}]), max_size=1),
)


@given(_NODES, _PODS)
def test_a_pod_is_refused_exactly_when_every_single_node_refuses_it(
    nodes: list[Json], raw: Json
) -> None:
    """Nodes do not disturb one another, and the counts in the text add up."""
    alone = {one["metadata"]["name"]: decide(Case([one], raw)) for one in nodes}
    together = decide(Case(nodes, raw))
    fitting = {name for name, decision in alone.items() if decision.node}
    assert together.node in fitting if fitting else together.node == ""
    if not fitting:
        assert together.message.startswith(f"0/{len(nodes)} nodes are available: ")


@pytest.fixture(scope="module")
def bare_plane() -> Iterator[ControlPlane]:
    """A scheduler, and nothing that would taint nodes that have no kubelet."""
    if not os.environ.get(ASSETS):
        pytest.skip(f"{ASSETS} does not name a folder with etcd, kube-apiserver, kubectl")
    with ControlPlane(scheduler=True) as plane:
        yield plane


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
async def test_the_real_scheduler_decides_the_same(name: str, bare_plane: ControlPlane) -> None:
    case = CASES[name]
    access = await load_access(str(bare_plane.admin_kubeconfig))
    async with Client(access, user_agent="vk-test") as client:
        try:
            await _set_up(client, case)
            if case.node or case.message:
                assert await _outcome(client, case) == ScheduleResult(case.node, case.message)
            else:
                assert await _ignored(client)
        finally:
            await _clear(client, case)


async def _set_up(client: Client, case: Case) -> None:
    for one in case.nodes:
        made = copy.deepcopy(one)
        status = made.pop("status")
        await client.create(NODES, made)
        name = made["metadata"]["name"]
        status["capacity"] = status["allocatable"]
        await client.patch(NODES, name, {"status": status}, subresource="status")
        # The API server itself taints every new node; a controller would take that away.
        await client.patch(NODES, name, {"spec": {"taints": one["spec"]["taints"]}}, form="merge")
    if case.node:  # it must not choose before it has seen the last node as it is now
        last = case.nodes[-1]["metadata"]["name"]
        tolerations = [{"operator": "Exists"}]
        await _place(client, pod("first", affinity=required(named(last)), tolerations=tolerations))
        await client.delete(PODS, "first", namespace="default", grace_period=0)
    for raw in (*case.bound, case.pod):
        await client.create(PODS, raw, namespace="default")


async def _place(client: Client, raw: Json) -> None:
    """Create a pod and return once it has a node."""
    await client.create(PODS, raw, namespace="default")
    async with aclosing(_states(client, raw["metadata"]["name"])) as states:
        async for found in states:
            if found["spec"].get("nodeName"):
                return


async def _outcome(client: Client, case: Case) -> ScheduleResult:
    """Return what the scheduler came to; it looks again as long as nodes come in."""
    decision, wanted = ScheduleResult(""), ScheduleResult(case.node, case.message)
    with suppress(TimeoutError):
        async with asyncio.timeout(20), aclosing(_states(client, "p")) as states:
            async for found in states:
                conditions = found.get("status", {}).get("conditions") or [{}]
                node_name, message = found["spec"].get("nodeName"), conditions[0].get("message")
                decision = ScheduleResult(node_name or "", message or "")
                if decision == wanted or decision.node:
                    break
    return decision


async def _states(client: Client, name: str) -> AsyncGenerator[Json, None]:
    """Yield the pod as it is, and after each change."""
    selector = f"metadata.name={name}"
    listing = await client.list(PODS, namespace="default", field_selector=selector)
    for found in listing.items:
        yield found
    watch = client.watch(
        PODS,
        namespace="default",
        resource_version=listing.resource_version,
        field_selector=selector,
    )
    async with aclosing(watch) as events:
        async for kind, found in events:
            if kind in ("ADDED", "MODIFIED"):
                yield found


async def _ignored(client: Client) -> bool:
    """Return whether a pod made later is placed, and this one is not."""
    await _place(client, pod("later"))
    return "nodeName" not in (await client.get(PODS, "p", namespace="default"))["spec"]


async def _clear(client: Client, case: Case) -> None:
    for raw in (await client.list(PODS, namespace="default")).items:
        name = raw["metadata"]["name"]
        await client.delete(PODS, name, namespace="default", grace_period=0)
    for one in case.nodes:
        await client.delete(NODES, one["metadata"]["name"])
