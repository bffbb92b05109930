"""The lease: taking it, keeping it, losing it; in simulated time."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest

from vk.errors import TemporaryError
from vk.models.time import parse_time
from vk.node.lease import REPLICA, Lease, LeaseLostError, replica_of

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


def lease(api: Any, identity: str) -> Lease:
    return Lease(api, node_name="n", identity=identity, duration=30.0)


def spec(api: Any) -> dict[str, Any]:
    return api.objects["Lease", "n"]["spec"]


def replica(api: Any) -> str | None:
    return replica_of(api.objects["Lease", "n"])


def write_as(api: Any, replica: str) -> None:
    """Write the lease as another replica does that found it silent."""
    transitions = spec(api)["leaseTransitions"] + 1
    annotations = {REPLICA: replica}
    patch = {"metadata": {"annotations": annotations}, "spec": {"leaseTransitions": transitions}}
    api.edit("Lease", "n", patch)


def write_as_kubelet(api: Any, holder: str = "n") -> None:
    """Write the lease as a kubelet does, or an older version: it names no replica."""
    renewed = {"holderIdentity": holder, "leaseDurationSeconds": 40}
    api.edit("Lease", "n", {"metadata": {"annotations": {REPLICA: None}}, "spec": renewed})


async def elapsed(wait: Any) -> float:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await wait
    return loop.time() - started


async def test_a_missing_lease_is_created_and_held(api: Any) -> None:
    mine = lease(api, "a")
    with pytest.raises(TemporaryError):
        mine.check()
    assert await elapsed(mine.acquire()) < 1
    mine.check()
    assert (spec(api)["holderIdentity"], replica(api)) == ("n", "a")
    assert spec(api)["leaseDurationSeconds"] == 30


async def test_a_restart_of_the_same_replica_takes_it_at_once(api: Any) -> None:
    await lease(api, "a").acquire()
    assert await elapsed(lease(api, "a").acquire()) < 1
    assert spec(api)["leaseTransitions"] == 0


async def test_a_released_lease_is_free_and_keeps_its_renew_time(api: Any) -> None:
    mine = lease(api, "a")
    await mine.acquire()
    renewed = spec(api)["renewTime"]
    await mine.release()
    assert (spec(api)["holderIdentity"], replica(api)) == ("n", "")
    assert spec(api)["renewTime"] == renewed
    with pytest.raises(TemporaryError):
        mine.check()
    assert await elapsed(lease(api, "b").acquire()) < 1
    assert spec(api)["leaseTransitions"] == 1


async def test_a_standby_takes_a_lease_that_is_given_back_within_two_seconds(api: Any) -> None:
    mine, other = lease(api, "a"), lease(api, "b")
    await mine.acquire()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(other.acquire())
        await asyncio.sleep(10.3)
        await mine.release()
        assert await elapsed(waiting) <= 2.0


async def test_after_a_suspension_nothing_is_done_until_the_lease_is_renewed(
    api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine slept for a minute: its monotonic clock did not move, another may have acted."""
    mine = lease(api, "a")
    await mine.acquire()
    mine.check()
    read = time.clock_gettime
    slept = {time.CLOCK_BOOTTIME: 60.0}
    monkeypatch.setattr(time, "clock_gettime", lambda clock: read(clock) + slept.get(clock, 0.0))
    with pytest.raises(TemporaryError):
        mine.check()
    running = asyncio.create_task(mine.run())
    await asyncio.sleep(11)
    mine.check()
    running.cancel()


async def test_release_leaves_a_lease_that_another_replica_took(api: Any) -> None:
    mine = lease(api, "a")
    await mine.acquire()
    write_as(api, "b")
    await mine.release()
    assert replica(api) == "b"


async def test_a_standby_waits_for_a_full_duration_without_a_renewal(api: Any) -> None:
    await lease(api, "a").acquire()
    api.edit("Lease", "n", {"spec": {"renewTime": "2001-01-01T00:00:00.000000Z"}})
    assert 30 <= await elapsed(lease(api, "b").acquire()) < 34
    assert replica(api) == "b"


async def test_a_standby_never_takes_a_lease_that_is_renewed(api: Any) -> None:
    mine = lease(api, "a")
    await mine.acquire()
    with suppress(TimeoutError):
        async with asyncio.timeout(300), asyncio.TaskGroup() as tasks:
            tasks.create_task(mine.run())
            tasks.create_task(lease(api, "b").acquire())
    assert replica(api) == "a"
    mine.check()


async def test_an_outage_fences_the_holder_and_all_goes_on_when_it_is_over(api: Any) -> None:
    """Two thirds of the duration after the last renewal no mutation begins; nothing else ends."""
    mine = lease(api, "a")
    await mine.acquire()
    async with asyncio.TaskGroup() as tasks:
        renewing = tasks.create_task(mine.run())
        api.down = True
        await asyncio.sleep(19)
        mine.check()
        await asyncio.sleep(2)
        with pytest.raises(TemporaryError):
            mine.check()
        await asyncio.sleep(300)
        api.down = False
        await asyncio.sleep(3)
        mine.check()
        renewing.cancel()
    assert spec(api)["leaseTransitions"] == 0


async def test_a_fence_that_lasts_is_seen(api: Any) -> None:
    """From two thirds of the duration on, for the whole duration."""
    mine = lease(api, "a")
    await mine.acquire()
    async with asyncio.TaskGroup() as tasks:
        renewing = tasks.create_task(mine.run())
        await asyncio.sleep(100)
        api.down = True
        assert 40 <= await elapsed(mine.fenced_for(30.0)) <= 50
        renewing.cancel()


async def lost(mine: Lease) -> None:
    with pytest.raises(LeaseLostError):
        await mine.run()


async def test_run_ends_at_the_next_renewal_when_another_replica_holds_it(api: Any) -> None:
    mine = lease(api, "a")
    await mine.acquire()
    write_as(api, "b")
    assert await elapsed(lost(mine)) < 11
    with pytest.raises(TemporaryError):
        mine.check()
    assert replica(api) == "b"


async def test_a_lease_that_another_replica_held_and_gave_back_is_lost(api: Any) -> None:
    mine = lease(api, "a")
    await mine.acquire()
    write_as(api, "b")
    write_as(api, "")
    await lost(mine)
    assert replica(api) == ""


async def test_a_lease_without_a_replica_is_waited_out_in_full(api: Any) -> None:
    """Its holder is a kubelet, or an older version of this program."""
    await lease(api, "a").acquire()
    write_as_kubelet(api)
    assert 40 <= await elapsed(lease(api, "a").acquire()) < 44
    assert (replica(api), spec(api)["leaseTransitions"]) == ("a", 1)


@pytest.mark.parametrize("holder", ["n", "older-replica"])
async def test_a_holder_that_sees_a_lease_without_a_replica_is_fenced(
    api: Any, holder: str
) -> None:
    mine = lease(api, "a")
    await mine.acquire()
    async with asyncio.TaskGroup() as tasks:
        renewing = tasks.create_task(mine.run())
        await asyncio.sleep(9)
        for _ in range(10):
            write_as_kubelet(api, holder)
            await asyncio.sleep(3)
        with pytest.raises(TemporaryError):
            mine.check()
        await asyncio.sleep(37)
        with pytest.raises(TemporaryError):
            mine.check()
        await asyncio.sleep(6)  # its whole duration without a renewal has passed
        mine.check()
        renewing.cancel()
    assert (replica(api), spec(api)["leaseTransitions"]) == ("a", 1)


async def test_an_older_version_sees_a_foreign_holder_and_waits_its_full_duration(
    api: Any,
) -> None:
    """What it reads is ``holderIdentity``, which is never its own name and never empty."""
    mine = lease(api, "a")
    await mine.acquire()
    assert spec(api)["holderIdentity"] == "n"
    await mine.release()
    assert spec(api)["holderIdentity"] == "n"


async def test_a_lease_that_an_older_version_released_is_free(api: Any) -> None:
    await lease(api, "a").acquire()
    write_as_kubelet(api, "")
    assert await elapsed(lease(api, "b").acquire()) < 1


async def test_renewals_whose_answers_are_lost_do_not_count(api: Any) -> None:
    mine = lease(api, "a")
    await mine.acquire()
    api.lose_answers = True
    renewing = asyncio.create_task(mine.run())
    await asyncio.sleep(21)
    with pytest.raises(TemporaryError):
        mine.check()
    renewing.cancel()


async def test_a_short_outage_and_another_writer_do_no_harm(api: Any) -> None:
    mine = lease(api, "a")
    await mine.acquire()
    task = asyncio.create_task(mine.run())
    api.down = True
    await asyncio.sleep(15)
    api.down = False
    api.edit("Lease", "n", {"metadata": {"labels": {"x": "y"}}})
    await asyncio.sleep(60)
    mine.check()
    assert api.objects["Lease", "n"]["metadata"]["labels"] == {"x": "y"}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_stop_between_two_tries_is_obeyed_at_once(api: Any) -> None:
    """B18: no wait goes on after the cancellation; and tries come every fifteenth of the lease."""
    mine = lease(api, "a")
    await mine.acquire()
    renewing = asyncio.create_task(mine.run())
    api.down = True
    await asyncio.sleep(15)
    api.down = False
    await asyncio.sleep(2.5)
    mine.check()
    api.down = True
    await asyncio.sleep(11)
    renewing.cancel()
    assert await elapsed(asyncio.gather(renewing, return_exceptions=True)) == 0


async def test_a_deleted_lease_is_created_again_with_the_node_as_owner(api: Any) -> None:
    mine = lease(api, "a")
    await mine.acquire()
    mine.owner("node-uid")
    del api.objects["Lease", "n"]
    task = asyncio.create_task(mine.run())
    await asyncio.sleep(11)
    assert api.objects["Lease", "n"]["metadata"]["ownerReferences"][0]["uid"] == "node-uid"
    mine.check()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_renew_time_moves_forward_even_behind_a_wrong_clock(api: Any) -> None:
    await lease(api, "a").acquire()
    ahead = "2999-01-01T00:00:00.000000Z"
    api.edit("Lease", "n", {"spec": {"renewTime": ahead}})
    await lease(api, "a").acquire()
    assert spec(api)["renewTime"] == "2999-01-01T00:00:00.000001Z"
    assert parse_time(ahead) is not None
