"""What must hold when several things go wrong at once: nothing runs twice, nothing is lost.

Each test is a way in which a healthy pod once ended, a workload ran twice, or a loop never paused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from pod_world import STARTED, Api, Backend, Direct, World, raw, running

from vk.aio.tasks import supervise
from vk.errors import (
    ClusterError,
    ConflictError,
    InvalidObjectError,
    NotFoundError,
    ObjectNotFoundError,
    TemporaryError,
    UnavailableError,
)
from vk.models.keys import PodKey
from vk.models.pod import Pod
from vk.models.status import (
    ContainerState,
    ContainerStatus,
    Gone,
    PodStatus,
    Running,
    Terminated,
    Unplaced,
    Waiting,
)
from vk.models.time import parse_time
from vk.pods.resolve.references import References

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


@pytest.fixture
def api() -> Api:
    return Api()


def change(provider: Backend, uid: str = "u") -> None:
    """Give the status a change that must be written."""
    status = provider.workloads[uid]
    provider.workloads[uid] = attrs.evolve(status, pod_ips=("10.0.0.9",))


async def test_a_refused_write_does_not_end_a_pod_by_its_name(api: Api) -> None:
    """A pod is gone when a live read says so, never because of the words of an error."""
    provider = Backend()
    async with running(api, provider):
        api.add(raw("druid-0", "u"))
        await asyncio.sleep(1)
        api.failures = [ConflictError("patch pods druid-0: 409 Conflict: uid", status=409)]
        change(provider)
        await asyncio.sleep(30)
        assert provider.deletes == 0
        assert api.status("druid-0")["podIP"] == "10.0.0.9"


async def test_a_deleted_pod_is_there_until_its_sidecars_have_ended_too(api: Api) -> None:
    def says(sidecar: ContainerState) -> PodStatus:
        return PodStatus(
            PodKey("default", "p", "u"),
            init_containers=[ContainerStatus(name="sidecar", state=sidecar)],
            containers=[ContainerStatus(name="main", state=Terminated(0))],
        )

    provider = Backend()
    provider.slow_stop = True
    async with running(api, provider):
        sidecar = {"name": "sidecar", "image": "busybox", "restartPolicy": "Always"}
        api.add(raw(initContainers=[sidecar]))
        await asyncio.sleep(1)
        api.ask_delete("p")
        await asyncio.sleep(1)
        provider.workloads["u"] = says(Running())
        await asyncio.sleep(20)
        assert "p" in api.pods
        provider.workloads["u"] = says(Terminated(0))
        await asyncio.sleep(10)
        assert ("p" in api.pods, provider.deletes) == (False, 2)


@pytest.mark.parametrize("error", [ConflictError, ObjectNotFoundError])
async def test_a_refused_removal_does_not_end_a_pod_by_the_words_of_an_error(
    api: Api, error: type[ClusterError]
) -> None:
    provider = Backend()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1)
        provider.slow_stop = True
        api.ask_delete("p")
        await asyncio.sleep(1)
        provider.stop("u")
        api.fails_deletes = [error("delete pods p: refused by a webhook", status=409)]
        await asyncio.sleep(60)
        assert "p" not in api.pods
        assert not api.fails_deletes


async def test_a_status_that_cannot_be_written_does_not_hold_back_a_deletion(api: Api) -> None:
    provider = Backend()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1)
        refused = InvalidObjectError("patch pods p: 422 Invalid: status.podIPs", status=422)
        api.failures = [refused] * 100_000
        change(provider)
        await asyncio.sleep(30)
        api.ask_delete("p")
        await asyncio.sleep(30)
        assert provider.deletes == 2  # once more after it has ended


async def test_a_status_that_cannot_be_written_does_not_prolong_a_deadline(api: Api) -> None:
    provider = Backend()
    late = raw(activeDeadlineSeconds=60, status={"phase": "Running", "startTime": STARTED})
    provider.workloads["u"] = PodStatus.running(Pod(late))
    api.pods["p"] = late
    api.failures = [UnavailableError("patch pods p: 503", status=503)] * 100_000
    async with running(api, provider):
        await asyncio.sleep(30)
        assert provider.deletes == 1


async def test_a_shorter_grace_period_is_asked_for_once_and_then_with_backoff(api: Api) -> None:
    class Failing(Backend):
        fails = False

        async def delete_pod(self, key: PodKey, *, grace_period: float) -> PodStatus | None:
            self.deletes += 1
            if self.fails:
                raise TemporaryError("throttled", retry_after=5.0)
            return None

    provider = Failing()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1)
        api.ask_delete("p", grace=600)
        await asyncio.sleep(1)
        provider.fails = True
        api.ask_delete("p", grace=5)
        await asyncio.sleep(11)
        assert provider.deletes == 4  # accepted, shrunk, and two tries 5 s apart


async def test_a_provider_that_says_at_once_is_asked_a_second_later(api: Api) -> None:
    class Busy(Backend):
        async def create_pod(self, pod: Pod) -> PodStatus | None:
            self.creates += 1
            raise TemporaryError("busy", retry_after=0.0)

    provider = Busy()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(5)
        assert 3 <= provider.creates <= 6


async def test_a_running_pod_that_the_watch_shows_late_is_adopted(api: Api) -> None:
    """As after a takeover by a standby whose watch was in its backoff."""
    provider = Backend()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1)
    pod = api.pods.pop("p")
    async with running(api, provider):
        await asyncio.sleep(1)
        api.add(pod)
        await asyncio.sleep(60)
        assert api.phase() == "Running"
        assert (provider.creates, provider.deletes) == (1, 0)


async def test_a_create_that_was_cancelled_inside_the_provider_is_looked_up(api: Api) -> None:
    class Cancelling(Backend):
        poll_interval = 3600.0

        async def create_pod(self, pod: Pod) -> PodStatus | None:
            status = await super().create_pod(pod)
            if self.creates == 1:
                raise asyncio.CancelledError
            return status

    provider = Cancelling()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(120)
        assert (provider.creates, provider.doubles, api.phase()) == (1, 0, "Running")


async def test_absence_that_comes_in_a_group_of_one_is_absence(api: Api) -> None:
    """A provider's own TaskGroup raises groups."""

    class Grouping(Backend):
        async def delete_pod(self, key: PodKey, *, grace_period: float) -> PodStatus | None:
            self.deletes += 1
            raise ExceptionGroup("unhandled errors", [NotFoundError(key)])

    provider = Grouping()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1)
        api.ask_delete("p")
        await asyncio.sleep(10)
        assert "p" not in api.pods
        assert provider.deletes == 1


class _Unplacing(Backend):
    """Says that a pod found no place, while the create that is about to accept it still runs."""

    hear: Callable[[Any], None]
    times = 1

    async def create_pod(self, pod: Pod) -> PodStatus | None:
        self.creates += 1
        await asyncio.sleep(0.2)
        if self.creates > self.times:
            return self.workloads.setdefault(pod.key.uid, PodStatus.running(pod))
        self.hear(Unplaced(pod.key, reason="OutOfStock", message="none left"))
        await asyncio.sleep(0.2)
        return PodStatus(pod.key)


async def test_what_was_said_during_a_create_is_newer_than_its_answer(api: Api) -> None:
    provider = _Unplacing()
    async with running(api, provider) as world:
        provider.hear = world.feed.receive
        api.add(raw())
        await asyncio.sleep(300)
        assert (provider.creates, api.phase()) == (2, "Running")


async def test_a_pod_that_is_never_placed_is_created_with_backoff(api: Api) -> None:
    provider = _Unplacing()
    provider.times = 1_000
    async with running(api, provider) as world:
        provider.hear = world.feed.receive
        api.add(raw())
        await asyncio.sleep(300)
        assert 5 <= provider.creates <= 12
        assert api.phase() == "Pending"


async def test_an_accepted_pod_that_is_gone_is_lost_even_if_its_start_was_never_written(
    api: Api,
) -> None:
    provider = Direct()
    async with running(api, provider) as world:
        api.failures = [UnavailableError("patch pods p: 503", status=503)] * 5
        api.add(raw(restartPolicy="Never"))
        await asyncio.sleep(0.2)
        provider.workloads.clear()
        world.feed.receive(Gone(PodKey("default", "p", "u"), "Finished"))
        await asyncio.sleep(120)
        assert (provider.creates, api.phase()) == (1, "Failed")


async def test_a_completed_pod_gives_its_room_back(api: Api) -> None:
    """Also where the answer to our own write comes before the watch."""
    provider = Backend()
    async with running(api, provider) as world:
        loop, observe = asyncio.get_running_loop(), api.observe
        api.observe = lambda old, new: loop.call_later(0.05, observe, old, new)
        limit = {"limits": {"cpu": "60"}, "requests": {"cpu": "60"}}
        job = [{"name": "main", "image": "busybox", "resources": limit}]
        api.add(raw(restartPolicy="Never", containers=job))
        await asyncio.sleep(1)
        provider.stop("u")
        await asyncio.sleep(10)
        api.add(raw("q", "v", restartPolicy="Never", containers=job))
        await asyncio.sleep(1)
        assert (api.phase("p"), api.phase("q")) == ("Succeeded", "Running")
        assert "OutOfcpu" not in world.reasons()


async def test_a_doubted_list_ends_no_deletion(api: Api) -> None:
    provider = Backend()
    provider.slow_stop = True
    async with running(api, provider) as world:
        for number in range(10):
            api.add(raw(f"p{number}", f"u{number}"))
        await asyncio.sleep(1)
        api.ask_delete("p0", grace=600)
        await asyncio.sleep(10)
        kept, provider.workloads = provider.workloads, {}
        await asyncio.sleep(6)
        provider.workloads = kept
        assert world.suspect == [True]
        assert "p0" in api.pods


async def test_a_doubted_list_names_no_orphans(api: Api) -> None:
    provider = Backend()
    async with running(api, provider) as world:
        for number in range(10):
            api.add(raw(f"p{number}", f"u{number}"))
        await asyncio.sleep(1)
        (status, *_) = provider.workloads.values()
        keys = [PodKey("default", f"x{number}", f"x{number}") for number in range(10)]
        provider.workloads = {key.uid: attrs.evolve(status, key=key) for key in keys}
        collecting = asyncio.create_task(world.feed.orphans.run())
        await asyncio.sleep(300)
        collecting.cancel()
        assert world.suspect == [True]
        assert provider.deletes == 0


async def test_pods_of_a_cluster_that_was_restored_are_seen_although_versions_went_back(
    api: Api,
) -> None:
    provider = Backend()
    async with running(api, provider):
        api.add(raw())
        backup = api.pods["p"]
        await asyncio.sleep(1)
        assert api.phase() == "Running"
        for _ in range(10):
            api.add(api.pods["p"])
        await asyncio.sleep(1)
        restored = api.restore(backup)
        await asyncio.sleep(1)
        assert (api.phase(), provider.creates) == ("Running", 1)
        assert int(api.pods["p"]["metadata"]["resourceVersion"]) < restored
        api.ask_delete("p")
        await asyncio.sleep(1)
        assert "p" not in api.pods


async def test_a_watch_that_is_behind_brings_no_forgotten_pod_back(api: Api) -> None:
    class Slow(Backend):
        async def create_pod(self, pod: Pod) -> PodStatus | None:
            await asyncio.sleep(0.5)
            return await super().create_pod(pod)

        async def delete_pod(self, key: PodKey, *, grace_period: float) -> PodStatus | None:
            self.deletes += 1
            if self.workloads.pop(key.uid, None) is None:
                raise NotFoundError(key)
            return None

    provider = Slow()
    async with running(api, provider):
        loop, observe = asyncio.get_running_loop(), api.observe
        api.observe = lambda old, new: loop.call_later(1.0, observe, old, new)
        api.add(raw())
        await asyncio.sleep(1.2)
        pod = api.pods["p"]
        api.add({**pod, "metadata": {**pod["metadata"], "labels": {"a": "b"}}})
        await asyncio.sleep(0.1)
        api.remove("p")
        await asyncio.sleep(30)
        assert (provider.creates, provider.workloads) == (1, {})


@pytest.mark.parametrize(("policy", "code"), [("Never", 1), ("OnFailure", 0)])
async def test_a_container_that_may_not_restart_stays_ended(
    api: Api, policy: str, code: int
) -> None:
    """Whatever a backend counts: the API server would refuse the status again and again."""
    provider = Backend()
    other = ContainerStatus(name="other", state=Running())
    async with running(api, provider):
        containers = [{"name": name, "image": "a"} for name in ("main", "other")]
        api.add(raw(restartPolicy=policy, containers=containers))
        await asyncio.sleep(1)
        key = PodKey("default", "p", "u")
        main = ContainerStatus(name="main", state=Terminated(code), restart_count=0)
        provider.workloads["u"] = PodStatus(key, containers=[main, other])
        await asyncio.sleep(10)
        main = ContainerStatus(name="main", state=Running(), restart_count=1)
        provider.workloads["u"] = PodStatus(key, containers=[main, other])
        await asyncio.sleep(10)
        (first, _) = api.status()["containerStatuses"]
        assert first["state"]["terminated"]["exitCode"] == code


async def test_a_part_that_is_cancelled_from_within_is_started_again() -> None:
    runs = 0

    async def part() -> None:
        nonlocal runs
        runs += 1
        inner = asyncio.ensure_future(asyncio.sleep(10))
        inner.cancel()
        await inner

    supervised = asyncio.ensure_future(supervise("part", part))
    await asyncio.sleep(100)
    assert runs > 3
    supervised.cancel()
    with pytest.raises(asyncio.CancelledError):
        await supervised


async def test_a_lost_lease_is_not_the_providers_fault(api: Api) -> None:
    provider = Backend()
    async with running(api, provider) as world:

        def lost() -> None:
            raise TemporaryError("the lease is not held", retry_after=2.0)

        world.check_lease = lost
        api.add(raw())
        await asyncio.sleep(1)
        assert provider.creates == 0
        waits = api.status()["containerStatuses"][0]["state"]["waiting"]
        assert waits["reason"] == "LeaseNotHeld"
        assert "ProviderCreateFailed" not in world.reasons()


@pytest.mark.field
async def test_no_workload_is_given_up_while_the_lease_may_have_expired(api: Api) -> None:
    """A holder that was stopped and goes on may see a pod whose workload a successor created."""
    async with running(api, Backend()) as world:
        held = world.check_lease

        def expired() -> None:
            raise TemporaryError("the lease may have expired")

        world.check_lease = expired
        api.add(raw())
        await asyncio.sleep(1)
        api.add({**raw(), "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"}})
        await asyncio.sleep(60)
        assert api.phase() == "Running"
        world.check_lease = held
        await asyncio.sleep(5)
        assert (api.phase(), api.status()["reason"]) == ("Failed", "WorkloadLost")


async def test_an_object_that_was_slow_to_read_harms_no_other() -> None:
    class Slow:
        seconds = 11.0

        async def get(self, resource: Any, name: str, **_: Any) -> dict[str, Any]:
            await asyncio.sleep(self.seconds)
            return {"metadata": {"name": name}}

    client = Slow()
    references = References(client)  # type: ignore[arg-type] # all that it uses

    async def several(*names: str) -> None:
        for name in names:
            await references.config_map("ns", name)

    first = asyncio.ensure_future(several("k", "m"))
    await asyncio.sleep(0.1)
    await asyncio.gather(first, several("k"))
    await asyncio.sleep(60)
    client.seconds = 0.01
    await several("other")


async def test_a_status_that_comes_before_the_create_returns_is_not_lost(api: Api) -> None:
    class Early(Direct):
        hear: Callable[[Any], None]

        async def create_pod(self, pod: Pod) -> PodStatus | None:
            self.creates += 1
            self.workloads[pod.key.uid] = PodStatus.running(pod, pod_ips=("10.0.0.7",))
            self.hear(self.workloads[pod.key.uid])
            await asyncio.sleep(5)
            return None

    provider = Early()
    async with running(api, provider) as world:
        provider.hear = world.feed.receive
        api.add(raw())
        await asyncio.sleep(6)
        assert (api.phase(), api.status()["podIP"]) == ("Running", "10.0.0.7")


async def test_events_tell_a_pods_life_in_the_kubelets_words(api: Api) -> None:
    provider = Backend()
    async with running(api, provider) as world:
        api.add(raw())
        await asyncio.sleep(1)
        waits = ContainerStatus(
            name="main", state=Waiting("CrashLoopBackOff"), last_state=Terminated(1)
        )
        provider.workloads["u"] = PodStatus(PodKey("default", "p", "u"), containers=[waits])
        await asyncio.sleep(10)
        api.ask_delete("p")
        await asyncio.sleep(10)
        assert world.reasons() == ["Created", "Started", "BackOff", "Killing"]
    assert ("Normal", "Started", "Started container main") in world.events


async def test_a_start_is_told_of_each_container_and_run_however_short(api: Api) -> None:
    """A run may have ended, and the next wait begun, when its status is written."""

    def says(state: ContainerState, **more: Any) -> PodStatus:
        return PodStatus(
            PodKey("default", "p", "u"),
            init_containers=[ContainerStatus(name="init", state=done)],
            containers=[ContainerStatus(name="main", state=state, **more)],
        )

    def told(world: World) -> list[str]:
        found = [text for _, _, text in world.events]
        world.events.clear()
        return found

    times = (parse_time(f"2026-01-01T00:00:0{digit}Z") for digit in "1234")
    first, second, third, fourth = times
    done = Terminated(0, started_at=first)
    provider = Backend()
    async with running(api, provider) as world:
        provider.workloads["u"] = says(Terminated(1, started_at=second))
        api.add(raw(initContainers=[{"name": "init", "image": "busybox"}]))
        await asyncio.sleep(10)
        assert told(world) == [
            "Created container init",
            "Started container init",
            "Created container main",
            "Started container main",
        ]
        waits, backs_off = Waiting("CrashLoopBackOff"), "Back-off restarting failed container main"
        provider.workloads["u"] = says(waits, last_state=Terminated(1, started_at=second))
        await asyncio.sleep(10)
        assert told(world) == [backs_off]
        again = Terminated(1, started_at=third)
        provider.workloads["u"] = says(waits, last_state=again, restart_count=1)
        await asyncio.sleep(10)
        assert told(world) == ["Created container main", "Started container main", backs_off]
        provider.workloads["u"] = says(Running(fourth), last_state=again, restart_count=2)
        await asyncio.sleep(10)
        assert told(world) == ["Created container main", "Started container main"]
        ends = Terminated(1)  # when it began is not said again
        provider.workloads["u"] = says(ends, last_state=again, restart_count=2)
        await asyncio.sleep(10)
        assert told(world) == []


async def test_a_start_whose_time_is_only_learned_later_is_told_once(api: Api) -> None:
    def says(began: str, restarts: int = 0) -> PodStatus:
        main = ContainerStatus(
            name="main", state=Running(parse_time(began)), restart_count=restarts
        )
        return PodStatus(PodKey("default", "p", "u"), containers=[main])

    provider = Backend()
    async with running(api, provider) as world:
        for status, times in (
            (says(""), 1),
            (says("2026-01-01T00:00:01Z"), 1),
            (says(""), 1),
            (says("2026-01-01T00:01:00Z", restarts=1), 2),
        ):
            provider.workloads["u"] = status
            if not api.pods:
                api.add(raw())
            await asyncio.sleep(10)
            assert world.reasons() == ["Created", "Started"] * times


async def test_a_change_of_a_pod_that_was_never_seen_is_taken_as_it_is(api: Api) -> None:
    """Watches may begin anywhere."""
    provider = Backend()
    async with running(api, provider) as world:
        pod = raw()
        world.reconciler.observe(pod, pod)
        api.pods["p"] = pod
        await asyncio.sleep(1)
        assert provider.creates == 1


async def test_a_pod_that_is_not_resolved_is_not_changed_by_a_failure(api: Api) -> None:
    """The provider gets the cache's own object; what goes wrong must not be written into it."""

    class Raw(Backend):
        resolves = frozenset()

        async def create_pod(self, pod: Pod) -> PodStatus | None:
            raise TemporaryError("not now")

    async with running(api, Raw()) as world:
        api.add(raw())
        await asyncio.sleep(0.5)
        record = world.records.get("u")
        assert record is not None and record.pod is not None
        assert record.pod["metadata"]["resourceVersion"]
        assert record.pod["status"]["phase"] == "Pending"
