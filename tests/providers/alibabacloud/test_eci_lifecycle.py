"""Pods on the emulator: created once, found again, watched, deleted; and what goes wrong there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from eci_world import World, is_running, until

import vk
from vk_providers.alibabacloud.attempts import ANNOTATION
from vk_providers.alibabacloud.create_parameters.annotations import PREFIX
from vk_providers.alibabacloud.emulator import EmulatorSettings, billed_twice, serve
from vk_providers.alibabacloud.errors import RequestOutcomeUnknownError

pytestmark = pytest.mark.slow
CREATE, GROUPS = "CreateContainerGroup", "DescribeContainerGroups"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An emulator that is fast, with a provider's surroundings."""
    async with serve(EmulatorSettings(speed=40.0, seed=1)) as emulator:
        yield World(emulator)


def gone(change: Any) -> bool:
    return isinstance(change, vk.Gone)


def unplaced(change: Any) -> bool:
    return isinstance(change, vk.Unplaced)


async def test_a_pod_comes_up_with_address_size_price_and_image_id(world: World) -> None:
    async with world.provider() as provider:
        await provider.create_pod(world.add())
        status = await until(provider, lambda c: is_running(c) and c.containers[0].image_id)
        assert status.pod_ips
        assert status.annotations[f"{PREFIX}eci-instance-price"] == "0.441 CNY"
        assert status.annotations[f"{PREFIX}eci-instance-spec"] == "2-4Gi"
        assert status.annotations[f"{PREFIX}eci-instance-id"] == status.backend_id


async def test_a_change_that_a_failed_call_did_not_show_is_shown_by_the_next(world: World) -> None:
    pod = world.add()
    refusal = {"kind": "error", "status": 403, "code": "Forbidden.RAM", "actions": [GROUPS]}
    async with world.provider() as provider:
        await provider.create_pod(pod)
        while not is_running((await provider.get_pods([pod.key]))[0]):
            pass
        await world.emulator.set_faults({**refusal, "count": 1})
        with pytest.raises(vk.ProviderError):
            await until(provider, is_running)
        assert (await until(provider, is_running)).key == pod.key


async def test_a_second_create_of_a_pod_finds_the_first_ones_group(world: World) -> None:
    pod = world.add()
    async with world.provider() as provider:
        first = await provider.create_pod(pod)
        second = await provider.create_pod(pod)
    async with world.provider() as after_restart:
        third = await after_restart.create_pod(pod)
    assert first.backend_id == second.backend_id == third.backend_id
    assert len(await world.billed()) == 1


async def test_a_create_whose_answer_was_lost_makes_one_group(world: World) -> None:
    pod = world.add()
    async with world.provider(list_lag="0.01") as provider:
        await world.emulator.set_faults({"kind": "lost_reply", "actions": [CREATE], "count": 1})
        with pytest.raises(RequestOutcomeUnknownError):
            await provider.create_pod(pod)
        await asyncio.sleep(0.02)  # the lag is real time
        (found,) = await provider.get_pods([pod.key])
        assert (await provider.create_pod(pod)).backend_id == found.backend_id
    assert len(await world.billed()) == 1


async def test_while_lists_may_lag_an_absence_proves_nothing() -> None:
    async with serve(EmulatorSettings(speed=1.0, list_lag=1.0)) as emulator:
        world = World(emulator)
        pod = world.add()
        async with world.provider(list_lag="1.5") as provider:
            await emulator.set_faults({"kind": "lost_reply", "actions": [CREATE], "count": 1})
            with pytest.raises(RequestOutcomeUnknownError):
                await provider.create_pod(pod)
            with pytest.raises(vk.TemporaryError, match="may not be listed yet"):
                await provider.get_pods([pod.key])
            await asyncio.sleep(1.5)  # the lag is real time
            (found,) = await provider.get_pods([pod.key])
            assert (await provider.create_pod(pod)).backend_id == found.backend_id


async def test_a_token_that_has_a_group_leads_to_no_second_one_however_long_lists_lag() -> None:
    """The service refuses the token with other parameters, so there is a group."""
    async with serve(EmulatorSettings(speed=1.0, list_lag=1.0)) as emulator:
        world = World(emulator)
        pod = world.add()
        async with world.provider(list_lag="0.05") as provider:
            await emulator.set_faults({"kind": "lost_reply", "actions": [CREATE], "count": 1})
            with pytest.raises(RequestOutcomeUnknownError):
                await provider.create_pod(pod)
            newer = world.change(pod, labels={"team": "a"})
            for _ in range(3):
                await asyncio.sleep(0.1)  # the lag is real time
                with pytest.raises(RequestOutcomeUnknownError, match="not listed yet"):
                    await provider.create_pod(newer)
            await asyncio.sleep(1.0)  # the lag is real time
            adopted = await provider.create_pod(newer)
        assert [group["id"] for group in await world.billed()] == [adopted.backend_id]
        assert billed_twice(await emulator.ledger()) == []


async def test_many_lost_creates_are_settled_by_one_list(world: World) -> None:
    pods = [world.add(f"p{number}") for number in range(50)]
    await world.emulator.set_faults({"kind": "lost_reply", "actions": [CREATE]})
    async with world.provider(list_lag="0.2") as provider:
        tries = [provider.create_pod(pod) for pod in pods]
        assert len(await asyncio.gather(*tries, return_exceptions=True)) == 50
        await asyncio.sleep(0.3)  # the lag is real time
        with pytest.raises(vk.TemporaryError, match="unknown until the next list"):
            await provider.get_pods([pods[0].key])
        await until(provider, is_running)
        before = len(await world.calls(GROUPS))
        found = await provider.get_pods([pod.key for pod in pods])
        assert len(found) == 50
        assert len(await world.calls(GROUPS)) - before <= 3
    assert len(await world.billed()) == 50


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "server_error"},
        {"kind": "html"},
        {"kind": "truncated"},
        {"kind": "reset"},
        {"kind": "error", "status": 503, "code": "NeverHeardOf"},
    ],
    ids=lambda fault: fault["kind"],
)
async def test_an_unusable_answer_is_an_unknown_outcome(
    world: World, fault: dict[str, Any]
) -> None:
    pod = world.add()
    async with world.provider() as provider:
        await world.emulator.set_faults({**fault, "actions": [CREATE], "count": 1})
        with pytest.raises(RequestOutcomeUnknownError):
            await provider.create_pod(pod)
        await provider.create_pod(pod)
    assert len(await world.billed()) == 1


async def test_a_changed_request_under_a_used_token_adopts_the_group(world: World) -> None:
    """The pod's token is new in every process, so the parameters of a repeated create differ."""
    pod = world.add()
    async with world.provider() as provider:
        first = await provider.create_pod(pod)
    changed = world.add(containers=[{"name": "c", "image": "nginx:other"}])
    async with world.provider() as provider:
        assert (await provider.create_pod(changed)).backend_id == first.backend_id
    assert len(await world.billed()) == 1


async def test_no_stock_is_reported_and_the_next_attempt_is_stored_before_it_is_sent(
    world: World,
) -> None:
    pod = world.add()
    async with world.provider() as provider:
        await world.emulator.set_faults({"kind": "no_stock", "actions": [CREATE], "count": 1})
        with pytest.raises(vk.TemporaryError, match=r"OperationDenied\.NoStock") as caught:
            await provider.create_pod(pod)
        assert caught.value.retry_after == 30
        assert world.annotations == {}
        await provider.create_pod(world.pods[pod.key.uid])
        assert world.annotations == {pod.key.uid: {ANNOTATION: "1"}}
    tokens = [call["token"] for call in await world.calls(CREATE)]
    assert len(set(tokens)) == 2


async def test_an_unscheduled_group_leads_to_the_next_attempt(world: World) -> None:
    pod = world.add()
    async with world.provider() as provider:
        await world.emulator.set_faults({"kind": "schedule_failed", "count": 1})
        await provider.create_pod(pod)
        change = await until(provider, unplaced)
        assert change.reason == "NoStock"
        assert change.retry_after == 30
        status = await provider.create_pod(world.pods[pod.key.uid])
        assert world.annotations[pod.key.uid] == {ANNOTATION: "1"}
        assert (await until(provider, is_running)).backend_id == status.backend_id
        (listed,) = await provider.list_pods()
        assert listed.backend_id == status.backend_id


async def test_the_next_process_goes_on_after_a_group_without_a_place(world: World) -> None:
    pod = world.add()
    async with world.provider() as provider:
        await world.emulator.set_faults({"kind": "schedule_failed", "count": 1})
        await provider.create_pod(pod)
        await until(provider, unplaced)
    async with world.provider() as provider:
        (listed,) = await provider.list_pods()
        assert listed.phase is None  # it stays Pending
        await until(provider, unplaced)
        await provider.create_pod(pod)
        await until(provider, is_running)
    ledger = await world.emulator.ledger()
    assert billed_twice(ledger) == []


async def test_fail_fast_fails_the_pod(world: World) -> None:
    annotations = {f"{PREFIX}eci-fail-strategy": "fail-fast"}
    pod = world.add(metadata={"annotations": annotations})
    async with world.provider() as provider:
        await world.emulator.set_faults({"kind": "schedule_failed", "count": 1})
        await provider.create_pod(pod)
        status = await until(provider, lambda c: getattr(c, "phase", None) == "Failed")
        assert status.reason == "ContainerInstanceScheduleFailed"
        await world.emulator.set_faults({"kind": "no_stock", "count": 1})
        other = world.add("other", metadata={"annotations": annotations})
        with pytest.raises(vk.PermanentError):
            await provider.create_pod(other)


async def test_a_deleted_pod_is_gone_with_proof_and_nothing_is_billed(world: World) -> None:
    pod = world.add()
    async with world.provider() as provider:
        await provider.create_pod(pod)
        await until(provider, is_running)
        await provider.delete_pod(pod.key, grace_period=1.0)
        assert (await until(provider, gone)).key == pod.key
        world.change(pod, deletionTimestamp="2026-01-01T00:00:00Z")
    assert await world.billed() == []


async def test_a_refused_delete_of_one_group_leaves_no_other_one_of_the_pod_billed(
    world: World,
) -> None:
    pod = world.add()
    async with world.provider() as provider:
        await world.emulator.set_faults({"kind": "schedule_failed", "count": 1})
        await provider.create_pod(pod)
        await until(provider, unplaced)
        await provider.create_pod(world.pods[pod.key.uid])
        refusal = {"kind": "error", "status": 400, "code": "IncorrectStatus", "count": 1}
        await world.emulator.set_faults({**refusal, "actions": ["DeleteContainerGroup"]})
        with pytest.raises(vk.TemporaryError, match="IncorrectStatus"):
            await provider.delete_pod(pod.key, grace_period=0)
    assert len(await world.calls("DeleteContainerGroup")) == 2


async def test_a_group_whose_end_an_earlier_process_asked_for_is_awaited(world: World) -> None:
    """The service refuses a second delete while the first one's hooks run."""
    hook = {"preStop": {"exec": {"command": ["sleep", "25"]}}}
    pod = world.add(containers=[{"name": "c", "image": "nginx", "lifecycle": hook}])
    async with world.provider() as provider:
        await provider.create_pod(pod)
        await until(provider, is_running)
        await provider.delete_pod(pod.key, grace_period=30.0)
    async with world.provider() as provider:
        assert len(await provider.list_pods()) == 1
        await provider.delete_pod(pod.key, grace_period=30.0)
        assert (await until(provider, gone)).key == pod.key
    assert await world.billed() == []


async def test_a_pod_that_ended_stays_ended(world: World) -> None:
    pod = world.add(
        restartPolicy="Never", containers=[{"name": "c", "image": "b", "command": ["false"]}]
    )
    async with world.provider() as provider:
        await provider.create_pod(pod)
        status = await until(provider, lambda c: getattr(c, "phase", None) == "Failed")
        assert isinstance(status.containers[0].state, vk.Terminated)
        assert status.containers[0].state.exit_code == 1


async def test_what_waits_too_long_is_ended_with_the_reason(world: World) -> None:
    pod = world.add(containers=[{"name": "c", "image": "b"}], initContainers=[
        {"name": "i", "image": "b", "command": ["sleep", "3600"]}
    ])  # fmt: skip
    async with world.provider(max_pending="0.5") as provider:
        await provider.create_pod(pod)
        status = await until(provider, lambda c: getattr(c, "phase", None) == "Failed")
        assert status.reason == "MaxPendingExceeded"
    assert await world.billed() == []


async def test_a_pod_that_ran_is_not_ended_because_its_group_is_pending_again(world: World) -> None:
    waits = [{"name": "i", "image": "b", "command": ["sleep", "3600"]}]
    ran, new = world.add("ran", initContainers=waits), world.add("new", initContainers=waits)
    async with world.provider(max_pending="0.5") as provider:
        older = await provider.create_pod(ran)
        world.pods[ran.key.uid] = vk.Pod({**ran.raw, "status": {"phase": "Running"}})
        await provider.create_pod(new)
        await until(provider, lambda c: getattr(c, "reason", None) == "MaxPendingExceeded")
        assert [group["id"] for group in await world.billed()] == [older.backend_id]


async def test_no_mutation_leaves_without_the_lease(world: World) -> None:
    pod = world.add()
    async with world.provider() as provider:
        world.lease_held = False
        with pytest.raises(vk.TemporaryError, match="lease"):
            await provider.create_pod(pod)
    assert await world.calls(CREATE) == []


async def test_a_throttled_create_was_not_made_and_slows_us_down(world: World) -> None:
    pod = world.add()
    async with world.provider() as provider:
        await world.emulator.set_faults({"kind": "throttle", "actions": [CREATE], "count": 1})
        with pytest.raises(vk.TemporaryError, match="vk reduces its rate"):
            await provider.create_pod(pod)
        await provider.create_pod(pod)
    tokens = {call["token"] for call in await world.calls(CREATE)}
    assert len(tokens) == 1  # nothing was made, so it is still the first attempt


async def test_the_image_is_changed_in_place(world: World) -> None:
    pod = world.add()
    async with world.provider() as provider:
        await provider.create_pod(pod)
        before = await until(provider, is_running)
        newer = world.add(containers=[{"name": "c", "image": "nginx:2"}])
        await provider.update_pod(newer, {"spec.containers", "spec.containers[].image"})
        after = await until(
            provider, lambda c: is_running(c) and c.containers[0].image == "nginx:2"
        )
        assert (after.backend_id, after.pod_ips) == (before.backend_id, before.pod_ips)
        with pytest.raises(vk.UnsupportedError, match=r"spec\.containers\[\]\.resources"):
            await provider.update_pod(newer, {"spec.containers[].resources"})


async def test_an_image_whose_change_was_done_though_its_answer_was_lost_is_no_refusal(
    world: World,
) -> None:
    """A second call finds nothing to do, which the service reports as an error."""
    pod = world.add()
    async with world.provider() as provider:
        await provider.create_pod(pod)
        await until(provider, is_running)
        newer = world.add(containers=[{"name": "c", "image": "nginx:2"}])
        changed = {"spec.containers", "spec.containers[].image"}
        lost = {"kind": "lost_reply", "actions": ["UpdateContainerGroup"], "count": 1}
        await world.emulator.set_faults(lost)
        with pytest.raises(RequestOutcomeUnknownError):
            await provider.update_pod(newer, changed)
        await until(provider, lambda c: is_running(c) and c.containers[0].image == "nginx:2")
        await provider.update_pod(newer, changed)


async def test_changed_labels_are_changed_tags_and_nothing_starts_again(world: World) -> None:
    """Also where one goes; tags of others stay."""
    pod = world.add(metadata={"labels": {"app": "web", "team": "a"}})
    async with world.provider() as provider:
        await provider.create_pod(pod)
        before = await until(provider, is_running)
        resource = {"ResourceType": "ContainerGroup", "ResourceId": [before.backend_id]}
        foreign = [{"Key": "cost-centre", "Value": "7"}]
        await provider._service.client.call("TagResources", {**resource, "Tag": foreign})
        newer = world.change(pod, labels={"team": "b", "tier": "1"})
        await provider.update_pod(newer, {"metadata.labels"})
        (group,) = await provider._inventory.list_all()
        tags = {key: value for key, value in group.tags.items() if not key.startswith("vk-")}
        assert tags == {"cost-centre": "7", "label/team": "b", "label/tier": "1"}
        assert group.key == pod.key
        (after,) = await provider.get_pods([pod.key])
        assert (after.containers, after.phase) == (before.containers, before.phase)


async def test_labels_that_find_no_tag_are_named_once(world: World) -> None:
    pod = world.add(metadata={"labels": {"app": "web", "b" * 60: "x"}})
    async with world.provider() as provider:
        await provider.create_pod(pod)
        ((_, _, reason, text, _),) = [one for one in world.events if "the label" in one[3]]
    assert reason == "FieldsIgnored"
    assert "b" * 60 in text
    assert "app" not in text


async def test_events_of_the_service_have_one_id_each_in_every_process(world: World) -> None:
    for _ in range(2):  # the core writes an id once, also after a restart
        world.events.clear()
        async with world.provider() as provider:
            await provider.create_pod(world.add())
            await driven(provider, lambda: "Pulled" in {event[2] for event in world.events})
            pulled = {event[-1] for event in world.events if event[2] == "Pulled"}
            assert len(pulled) == 1


async def test_statuses_come_in_although_the_services_events_cannot_be_had(world: World) -> None:
    pod = world.add()
    refusal = {"kind": "error", "status": 403, "code": "Forbidden.RAM"}
    async with world.provider() as provider:
        await world.emulator.set_faults({**refusal, "actions": ["DescribeContainerGroupEvents"]})
        await provider.create_pod(pod)
        assert (await until(provider, is_running)).key == pod.key


async def test_a_price_that_does_not_come_keeps_no_status_waiting(world: World) -> None:
    slow = {"kind": "delay", "seconds": 30, "actions": ["DescribeContainerGroupPrice"]}
    async with world.provider() as provider:
        await world.emulator.set_faults(slow)
        await provider.create_pod(world.add())
        await until(provider, is_running, within=10.0)
        assert len(await provider.list_pods()) == 1


async def driven(provider: vk.Provider, wanted: Callable[[], bool]) -> None:
    """Let the provider watch until ``wanted`` holds."""

    async def run() -> None:
        async for _ in provider.watch_pods():
            pass

    task = asyncio.create_task(run())
    try:
        async with asyncio.timeout(20):
            while not wanted():  # noqa: ASYNC110 # what it looks at is filled by callbacks
                await asyncio.sleep(0.05)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_two_clusters_with_one_node_name_do_not_touch_each_other(world: World) -> None:
    pod = world.add()
    async with world.provider(cluster="one") as one, world.provider(cluster="two") as two:
        await one.create_pod(pod)
        assert await two.list_pods() == []
        with pytest.raises(vk.ProviderError):
            await two.delete_pod(pod.key, grace_period=0)
        assert len(await one.list_pods()) == 1
    assert len(await world.billed()) == 1


async def test_a_group_that_was_given_up_is_in_no_list(world: World) -> None:
    """Else the pod would have a group in the next list, and it would wait indefinitely."""
    pod = world.add()
    async with world.provider(list_lag="0.01") as provider:
        await world.emulator.set_faults({"kind": "schedule_failed", "count": 1})
        await provider.create_pod(pod)
        assert len(await provider.list_pods()) == 1
        await until(provider, unplaced)
        assert await provider.list_pods() == []
        assert await provider.get_pods([pod.key]) == []
        await world.emulator.set_faults({"kind": "lost_reply", "actions": [CREATE], "count": 1})
        with pytest.raises(RequestOutcomeUnknownError):
            await provider.create_pod(world.pods[pod.key.uid])
        await asyncio.sleep(0.02)  # the lag is real time
        (found,) = await provider.get_pods([pod.key])
        assert (await until(provider, is_running)).backend_id == found.backend_id
    assert len(await world.billed()) == 1
