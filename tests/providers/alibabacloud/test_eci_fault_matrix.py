"""Each documented error of the actions that change a group, and of the lists, injected once.

Nothing took effect where the service refused: the pod gets an error that names the code and the
request, and the next call goes on from there.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import pytest
from eci_world import World, is_running, until

import vk
from vk_providers.alibabacloud.api_description import describe
from vk_providers.alibabacloud.emulator import EmulatorSettings, billed_twice, serve
from vk_providers.alibabacloud.provider import AlibabaCloudProvider

pytestmark = pytest.mark.slow
CREATE, UPDATE, DELETE = "CreateContainerGroup", "UpdateContainerGroup", "DeleteContainerGroup"
LISTS = ("DescribeContainerGroups", "DescribeContainerGroupStatus", "DescribeContainerGroupEvents")
UNDOCUMENTED = [
    ("Throttling.User", 400),
    ("Forbidden.RAM", 403),
    ("InternalError", 500),
    ("ServiceUnavailable", 503),
]
"""What any list may answer; the vendor documents no errors for them."""
REQUEST_ID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")


def documented(action: str) -> Iterator[tuple[str, int]]:
    for code, statuses in describe(action).errors.items():
        for status in statuses:
            yield code, status


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An emulator that is fast, with a provider's surroundings."""
    async with serve(EmulatorSettings(speed=200.0, rates=0, seed=1)) as emulator:
        yield World(emulator)


@pytest.fixture
async def provider(world: World) -> AsyncIterator[AlibabaCloudProvider]:
    """A provider whose lists do not lag."""
    async with world.provider(list_lag="0.01") as provider:
        yield provider


async def refuse(world: World, action: str, code: str, status: int) -> None:
    """Let the service refuse the action once."""
    fault = {"kind": "error", "code": code, "status": status, "actions": [action], "count": 1}
    await world.emulator.set_faults(fault)


async def one_at_most(world: World) -> None:
    """Check that no pod was billed twice, and that what is alive is one group."""
    assert billed_twice(await world.emulator.ledger()) == []
    assert len(await world.billed()) <= 1


@pytest.mark.parametrize(("code", "status"), list(documented(CREATE)))
async def test_a_refused_create_names_the_code_and_creates_nothing(
    world: World, provider: AlibabaCloudProvider, code: str, status: int
) -> None:
    pod = world.add()
    await refuse(world, CREATE, code, status)
    with pytest.raises(vk.ProviderError) as refusal:
        await provider.create_pod(pod)
    assert code in str(refusal.value)
    assert REQUEST_ID.search(str(refusal.value))
    assert await world.billed() == []
    await provider.create_pod(world.pods[pod.key.uid])
    assert len(await world.billed()) == 1


@pytest.mark.parametrize(("code", "status"), list(documented(UPDATE)))
async def test_a_refused_update_leaves_the_group_as_it_was(
    world: World, provider: AlibabaCloudProvider, code: str, status: int
) -> None:
    pod = world.add()
    await provider.create_pod(pod)
    await until(provider, is_running)
    newer = vk.Pod({**pod.raw, "spec": {"containers": [{"name": "c", "image": "nginx:2"}]}})
    await refuse(world, UPDATE, code, status)
    if code == "NoNeedUpdate":  # an earlier call succeeded and its answer was lost
        await provider.update_pod(newer, {"spec.containers"})
    else:
        with pytest.raises(vk.ProviderError) as refusal:
            await provider.update_pod(newer, {"spec.containers"})
        assert code in str(refusal.value)
    await one_at_most(world)
    await provider.update_pod(newer, {"spec.containers"})
    assert len(await world.billed()) == 1


@pytest.mark.parametrize(("code", "status"), list(documented(DELETE)))
async def test_a_refused_delete_is_repeated_until_nothing_is_billed(
    world: World, provider: AlibabaCloudProvider, code: str, status: int
) -> None:
    pod = world.add()
    await provider.create_pod(pod)
    await until(provider, is_running)
    await refuse(world, DELETE, code, status)
    with pytest.raises(vk.TemporaryError) as refusal:
        await provider.delete_pod(pod.key, grace_period=0)
    assert code in str(refusal.value)
    await provider.delete_pod(pod.key, grace_period=0)
    await until(provider, lambda change: isinstance(change, vk.Gone))
    assert await world.billed() == []


def news(change: object) -> bool:
    """Return whether the pod runs, or is given up."""
    return is_running(change) or isinstance(change, vk.Gone | vk.Unplaced)


@pytest.mark.parametrize(("code", "status"), UNDOCUMENTED)
@pytest.mark.parametrize("action", LISTS)
async def test_a_refused_list_costs_one_round_and_no_pod(
    world: World, provider: AlibabaCloudProvider, action: str, code: str, status: int
) -> None:
    pod = world.add()
    await provider.create_pod(pod)
    await refuse(world, action, code, status)
    try:
        change = await until(provider, news, within=60.0)
    except vk.ProviderError:  # the core opens the stream again
        change = await until(provider, news, within=60.0)
    assert is_running(change)
    assert len(await world.billed()) == 1
