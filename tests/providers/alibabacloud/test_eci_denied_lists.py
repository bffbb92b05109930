"""An identity without permission gets empty lists: no pod is given up or deleted for that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from eci_world import World, is_running, until

import vk
from vk_providers.alibabacloud.emulator import EmulatorSettings, serve

pytestmark = pytest.mark.slow
LISTS = ["DescribeContainerGroups", "DescribeContainerGroupStatus"]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serve(EmulatorSettings(speed=40.0, rates=0)) as emulator:
        yield World(emulator)


@pytest.mark.parametrize("count", [1, 3, 30])
@pytest.mark.parametrize("actions", [LISTS, []], ids=["lists", "everything"])
async def test_no_pod_counts_as_gone(world: World, count: int, actions: list[str]) -> None:
    pods = [world.add(f"p{number}") for number in range(count)]
    async with world.provider() as provider:
        for pod in pods:
            await provider.create_pod(pod)
        await until(provider, is_running)
        await world.emulator.set_faults({"kind": "denied", "actions": actions})
        with pytest.raises(vk.TemporaryError):
            await provider.list_pods()
        with pytest.raises(vk.TemporaryError):
            await provider.get_pods([pod.key for pod in pods])
        await world.emulator.set_faults()
        assert len(await provider.list_pods()) == count
        assert len(await provider.get_pods([pod.key for pod in pods])) == count


async def test_a_restart_while_lists_are_denied_gives_no_pod_up(world: World) -> None:
    pod = world.add()
    async with world.provider() as provider:
        status = await provider.create_pod(pod)
    world.change(pod, annotations=dict(status.annotations))
    await world.emulator.set_faults({"kind": "denied"})
    async with world.provider() as provider:
        with pytest.raises(vk.TemporaryError):
            await provider.get_pods([pod.key])
        with pytest.raises(vk.TemporaryError):
            await provider.list_pods()


async def test_a_pod_whose_group_is_really_gone_is_known_to_be(world: World) -> None:
    pod = world.add()
    async with world.provider() as provider:
        status = await provider.create_pod(pod)
        await until(provider, is_running)
        await world.emulator.delete(status.backend_id)
        assert await provider.list_pods() == []
        assert await provider.get_pods([pod.key]) == []


async def test_a_list_that_was_cut_is_no_list(world: World) -> None:
    async with world.provider() as provider:
        keys = [world.add(f"p{number}").key for number in range(25)]
        for key in keys:
            await provider.create_pod(world.pods[key.uid])
        await world.emulator.set_faults({"kind": "cut_list", "rows": 5})
        with pytest.raises(vk.TemporaryError):
            await provider.list_pods()
        with pytest.raises(vk.TemporaryError):
            await provider.get_pods(keys)
        await world.emulator.set_faults({"kind": "short_page", "rows": 5})
        assert len(await provider.list_pods()) == 25
        assert len(await provider.get_pods(keys)) == 25


async def test_no_pod_is_deleted_from_the_cluster_while_its_group_may_live(world: World) -> None:
    """A deleted pod whose create was lost: without proof it is not gone."""
    pod = world.add()
    async with world.provider(list_lag="0.01") as provider:
        await world.emulator.set_faults({"kind": "lost_reply", "count": 1})
        with pytest.raises(Exception, match="no answer"):
            await provider.create_pod(pod)
        await asyncio.sleep(0.02)  # the lag is real time
        deleted = world.change(pod, deletionTimestamp="2026-01-01T00:00:00Z")
        await world.emulator.set_faults({"kind": "denied", "actions": LISTS})
        for _ in range(3):
            with pytest.raises(vk.TemporaryError):
                await provider.delete_pod(deleted.key, grace_period=0)
        await world.emulator.set_faults()
        await provider.delete_pod(deleted.key, grace_period=0)
    assert await world.billed() == []


async def test_a_surplus_group_that_somebody_else_deleted_hides_no_permission(
    world: World,
) -> None:
    """Such a group is not described again, so it stays known as alive."""
    surplus, other = world.add("surplus"), world.add("other")
    async with world.provider(list_lag="0.01") as provider:
        status = await provider.create_pod(surplus)
        await provider.create_pod(other)
        await until(provider, is_running)
        del world.pods[surplus.key.uid]
        await world.emulator.delete(status.backend_id)
        assert [one.key for one in await provider.list_pods()] == [other.key]
        ended = world.add("ended", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
        assert await provider.get_pods([ended.key]) == []


async def test_a_row_that_cannot_be_read_is_no_absence(world: World) -> None:
    """Its id stands there, so the group lives and is billed."""
    pods = [world.add(name) for name in ("first", "second")]
    async with world.provider(list_lag="0.01") as provider:
        for pod in pods:
            await provider.create_pod(pod)
        await until(provider, is_running)
        await world.emulator.set_faults({"kind": "broken_row"})
        with pytest.raises(vk.TemporaryError):
            await provider.get_pods([pod.key for pod in pods])
        await provider.delete_pod(pods[1].key, grace_period=0)
        change = await until(provider, lambda change: isinstance(change, vk.Gone))
        assert change.key == pods[1].key
    async with world.provider(list_lag="0.01") as provider:
        with pytest.raises(vk.TemporaryError):
            await provider.delete_pod(pods[0].key, grace_period=0)
    assert len(await world.billed()) == 1


async def test_a_new_group_that_no_answer_had_yet_is_not_gone_while_answers_may_lag(
    world: World,
) -> None:
    """To call it gone would fail a pod whose group is about to be seen."""
    other, pod = world.add("other"), world.add("new")
    async with world.provider(list_lag="1.5") as provider:
        await provider.create_pod(other)
        await until(provider, is_running)
        status = await provider.create_pod(pod)
        await world.emulator.delete(status.backend_id)  # so that no answer has it
        with pytest.raises(vk.TemporaryError):
            await provider.get_pods([pod.key])
        await asyncio.sleep(1.5)  # the lag is real time
        assert await provider.get_pods([pod.key]) == []
