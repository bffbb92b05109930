"""The Node is made, kept, put back; in simulated time against an API in memory."""

import asyncio
import copy
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from vk.errors import TemporaryError
from vk.models.node import NodeInfo, Taint
from vk.models.status import Condition
from vk.node.controller import NodeController
from vk.settings import Settings

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


@attrs.define
class World:
    """One node's surroundings: provider, API server and what was told to whom."""

    api: Any
    settings: Settings
    info: NodeInfo
    broken: bool = False
    in_doubt: asyncio.Event = attrs.field(factory=asyncio.Event)
    events: list[str] = attrs.field(factory=list)
    uids: list[str] = attrs.field(factory=list)

    async def describe_node(self) -> NodeInfo:
        if self.broken:
            raise TemporaryError("not now")
        return self.info

    async def ping(self) -> None:
        if self.broken:
            raise TemporaryError("not now")

    def emit(self, reference: Any, type: str, reason: str, message: str) -> None:
        self.events.append(reason)

    def controller(self) -> NodeController:
        return NodeController(
            client=self.api,
            settings=self.settings,
            emit=self.emit,
            on_uid=self.uids.append,
        )

    @property
    def node(self) -> dict[str, Any]:
        return self.api.objects["Node", "n"]

    def conditions(self) -> dict[str, str]:
        return {entry["type"]: entry["status"] for entry in self.node["status"]["conditions"]}

    def taints(self) -> list[str]:
        return [taint["key"] for taint in self.node["spec"]["taints"]]


@pytest.fixture
def world(api: Any) -> World:
    settings = Settings(provider="p", node_name="n", taints=(Taint("ours", "p"),))
    return World(api, settings, NodeInfo(capacity={"cpu": "4"}))


@asynccontextmanager
async def running(world: World) -> AsyncIterator[NodeController]:
    controller = world.controller()
    await controller.register(world)
    task = asyncio.create_task(controller.run(world))
    await controller.written.wait()
    await asyncio.sleep(1)
    try:
        yield controller
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_register_makes_the_node_and_run_its_status(world: World) -> None:
    async with running(world) as controller:
        assert world.conditions()["Ready"] == "True"
        assert world.node["status"]["addresses"][0]["address"] == "192.0.2.7"
        assert world.taints() == ["ours"]
        assert world.uids == [world.node["metadata"]["uid"]]
        assert controller.described() is world.info
        assert controller.node == world.node


async def test_a_restart_adopts_the_node_and_writes_nothing_where_all_is_right(
    world: World,
) -> None:
    async with running(world):
        pass
    world.api.edit("Node", "n", {"metadata": {"labels": {"theirs": "x"}}})
    uid = world.node["metadata"]["uid"]
    controller = world.controller()
    before = world.api.writes
    await controller.register(world)
    assert world.api.writes == before
    assert controller.node is not None
    assert controller.node["metadata"]["uid"] == uid


async def test_a_restart_with_another_configuration_removes_what_it_dropped(world: World) -> None:
    async with running(world):
        pass
    world.settings = attrs.evolve(world.settings, taints=())
    async with running(world):
        assert world.taints() == []


async def test_an_idle_node_is_written_every_five_minutes_and_no_more(world: World) -> None:
    async with running(world):
        before = world.api.writes
        await asyncio.sleep(290)
        assert world.api.writes == before
        await asyncio.sleep(20)
        assert world.api.writes == before + 1


async def test_a_deleted_node_is_back_within_ten_seconds(world: World) -> None:
    async with running(world) as controller:
        old = world.api.objects.pop(("Node", "n"))
        controller.observe(old, None)
        await asyncio.sleep(3)
        assert world.conditions()["Ready"] == "True"
        assert world.uids == [old["metadata"]["uid"], world.node["metadata"]["uid"]]


async def test_late_news_of_the_old_node_does_not_hide_the_new_one(world: World) -> None:
    async with running(world) as controller:
        old = world.api.objects.pop(("Node", "n"))
        controller.observe(old, None)
        await asyncio.sleep(3)
        controller.observe(None, old)
        controller.observe(old, None)
        await asyncio.sleep(3)
        controller.changed()
        world.info = NodeInfo(capacity={"cpu": "9"})
        controller.changed()
        await asyncio.sleep(3)
        assert world.node["status"]["capacity"] == {"cpu": "9"}


async def test_ready_unknown_is_put_back_within_two_seconds(world: World) -> None:
    async with running(world) as controller:
        old = world.node
        unknown = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}
        controller.observe(old, world.api.edit("Node", "n", {"status": {"conditions": [unknown]}}))
        await asyncio.sleep(2)
        assert world.conditions()["Ready"] == "True"


async def test_the_node_of_a_restored_cluster_is_put_right_although_versions_went_back(
    world: World,
) -> None:
    async with running(world) as controller:
        old = world.node
        unknown = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}
        backup = world.api.edit("Node", "n", {"status": {"conditions": [unknown]}})
        backup["metadata"]["resourceVersion"] = "0"
        world.api.objects["Node", "n"] = copy.deepcopy(backup)
        controller.observe(old, backup)
        await asyncio.sleep(2)
        assert world.conditions()["Ready"] == "True"


async def test_another_writer_between_read_and_write_keeps_what_it_wrote(world: World) -> None:
    async with running(world) as controller:
        taints = [*world.node["spec"]["taints"], {"key": "theirs", "effect": "NoSchedule"}]
        world.api.edit("Node", "n", {"spec": {"taints": taints}})  # not observed
        world.info = attrs.evolve(world.info, taints=(Taint("new"),))
        controller.changed()
        await asyncio.sleep(3)
        assert set(world.taints()) == {"ours", "theirs", "new"}


async def test_a_changed_description_is_written_within_the_minute(world: World) -> None:
    async with running(world):
        world.info = NodeInfo(capacity={"cpu": "8"})
        await asyncio.sleep(61)
        assert world.node["status"]["capacity"] == {"cpu": "8"}


async def test_a_provider_that_cannot_describe_itself_leaves_the_node_as_it_was(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """A TemporaryError is an honest answer: a condition and a later try, and no traceback."""
    async with running(world) as controller:
        world.broken = True
        controller.changed()
        await asyncio.sleep(5)
        assert world.node["status"]["capacity"] == {"cpu": "4"}
        assert world.conditions()["ProviderDescriptionOutdated"] == "True"
        assert not [one for one in caplog.records if one.levelno >= logging.ERROR]
        world.broken, world.info = False, NodeInfo(capacity={"cpu": "8"})
        await asyncio.sleep(20)
        assert world.node["status"]["capacity"] == {"cpu": "8"}
        assert world.conditions().get("ProviderDescriptionOutdated", "False") == "False"


async def test_an_unreachable_provider_taints_the_node_and_only_later_makes_it_unready(
    world: World,
) -> None:
    async with running(world):
        world.broken = True
        await asyncio.sleep(45)
        assert world.conditions() | {"Ready": "True", "ProviderUnreachable": "True"} == (
            world.conditions()
        )
        assert "virtual-kubelet.io/provider-unreachable" in world.taints()
        await asyncio.sleep(300)
        assert world.conditions()["Ready"] == "False"
        world.broken = False
        await asyncio.sleep(15)
        assert world.conditions()["Ready"] == "True"
        assert "ProviderUnreachable" not in world.conditions()
        assert world.taints() == ["ours"]
    assert world.events == [
        "RegisteredNode",
        "ProviderUnreachable",
        "NodeNotReady",
        "ProviderReachable",
    ]


async def test_an_outage_of_the_api_server_is_made_good(world: World) -> None:
    async with running(world) as controller:
        world.api.down = True
        controller.set_condition(Condition(type="ProviderSuspect", status="True"))
        await asyncio.sleep(120)
        world.api.down = False
        await asyncio.sleep(6)
        assert world.conditions()["ProviderSuspect"] == "True"
        controller.clear_condition("ProviderSuspect")
        await asyncio.sleep(2)
        assert "ProviderSuspect" not in world.conditions()


@pytest.mark.parametrize(("asked", "ready"), [(True, "False"), (False, "True")])
async def test_stop_makes_the_node_unready_only_where_that_is_asked_for(
    world: World, asked: bool, ready: str
) -> None:
    world.settings = attrs.evolve(world.settings, not_ready_on_exit=asked)
    async with running(world) as controller:
        pass
    await controller.stop()
    assert world.conditions()["Ready"] == ready
