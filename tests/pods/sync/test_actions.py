"""Creating, updating and deleting, with the real controller, act, feed and report."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest
from pod_world import Api, Backend, Direct, deleted, raw, running

from vk.errors import (
    NotFoundError,
    PermanentError,
    TemporaryError,
    UnavailableError,
    UnsupportedError,
)
from vk.models.keys import PodKey
from vk.models.pod import Pod
from vk.models.status import PodStatus, Terminated

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


@pytest.fixture
def api() -> Api:
    return Api()


async def test_a_pod_runs_and_its_status_stands_at_the_api_server(api: Api) -> None:
    provider = Backend()
    async with running(api, provider) as world:
        api.add(raw())
        await asyncio.sleep(1)
        status = api.status()
        assert status["phase"] == "Running"
        assert {one["type"]: one["status"] for one in status["conditions"]}["Ready"] == "True"
        assert status["containerStatuses"][0]["ready"] is True
        assert (provider.creates, world.reconciler.writer.written) == (1, 1)


async def test_nothing_is_written_while_nothing_changes(api: Api) -> None:
    async with running(api, Backend()) as world:
        api.add(raw())
        await asyncio.sleep(600)
        assert world.reconciler.writer.written == 1


async def test_one_change_is_one_write_also_where_the_watch_is_faster_than_the_answer(
    api: Api,
) -> None:
    api.answers_after = 0.5
    async with running(api, Backend()) as world:
        api.add(raw())
        await asyncio.sleep(600)
        assert world.reconciler.writer.written == 1


async def test_deletion_ends_when_the_provider_says_so_and_not_before(api: Api) -> None:
    """B2: not when the grace period is over, and not later than the end either."""
    provider = Backend()
    provider.slow_stop = True
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1)
        api.ask_delete("p", grace=30)
        await asyncio.sleep(300)
        assert api.phase() == "Running"
        provider.stop("u")
        await asyncio.sleep(6)
        assert "p" not in api.pods
        assert api.phases["u"] == ["Pending", "Running", "Succeeded"]


async def test_deletion_does_not_wait_for_the_grace_period(api: Api) -> None:
    """B2: a pod that stops at once is gone at once."""
    async with running(api, Backend()):
        api.add(raw())
        await asyncio.sleep(1)
        api.ask_delete("p", grace=3600)
        await asyncio.sleep(1)
        assert "p" not in api.pods


async def test_a_shorter_grace_period_is_passed_on_at_once(api: Api) -> None:
    provider = Backend()
    provider.slow_stop = True
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1)
        api.ask_delete("p", grace=600)
        await asyncio.sleep(1)
        api.ask_delete("p", grace=5)
        await asyncio.sleep(1)
        assert provider.graces == [600.0, 5.0]


class FailingDelete(Backend):
    failures = 30
    error: Exception = RuntimeError("backend is broken")

    async def delete_pod(self, key: PodKey, *, grace_period: float) -> PodStatus | None:
        if self.deletes < self.failures:
            self.deletes += 1
            raise self.error
        return await super().delete_pod(key, grace_period=grace_period)


@pytest.mark.slow
@pytest.mark.parametrize(
    "error", [RuntimeError("x"), TemporaryError("x"), PermanentError("x"), UnsupportedError("x")]
)
async def test_a_failing_delete_is_retried_indefinitely(api: Api, error: Exception) -> None:
    """B3: 30 failures are more than the 20 after which it was dropped."""
    provider = FailingDelete()
    provider.error = error
    async with running(api, provider) as world:
        api.add(raw())
        await asyncio.sleep(1)
        api.ask_delete("p")
        await asyncio.sleep(4 * 3600)
        assert "p" not in api.pods
        assert provider.deletes == 32  # and once more after it has ended
        assert "ProviderDeleteFailed" in world.reasons()


class FailingCreate(Backend):
    failures = 30

    async def create_pod(self, pod: Pod) -> PodStatus | None:
        if self.creates < self.failures:
            self.creates += 1
            raise TemporaryError("no capacity in this zone")
        return await super().create_pod(pod)


@pytest.mark.slow
async def test_a_failing_create_is_retried_indefinitely_and_says_why(api: Api) -> None:
    """B4: the pod stays Pending with the reason and the time of the next try."""
    provider = FailingCreate()
    async with running(api, provider) as world:
        api.add(raw())
        await asyncio.sleep(600)
        waiting = api.status()["containerStatuses"][0]["state"]["waiting"]
        assert api.phase() == "Pending"
        assert waiting["reason"] == "ProviderFailed"
        assert "no capacity in this zone; next try at" in waiting["message"]
        ready = {one["type"]: one for one in api.status()["conditions"]}["Ready"]
        assert (ready["status"], ready["reason"]) == ("False", "ProviderFailed")
        assert "ProviderCreateFailed" in world.reasons()
        await asyncio.sleep(4 * 3600)
        assert api.phase() == "Running"
        assert provider.creates == 31


async def test_a_pod_beyond_the_cap_on_creates_waits_and_says_so(api: Api) -> None:
    provider = Backend()
    async with running(api, provider) as world:
        world.change_settings(max_creates_per_minute=1.0)
        api.add(raw("first", "u1"))
        await asyncio.sleep(1)
        api.add(raw("second", "u2"))
        await asyncio.sleep(50)
        waiting = api.status("second")["containerStatuses"][0]["state"]["waiting"]
        assert (api.phase("second"), provider.creates) == ("Pending", 1)
        assert waiting["reason"] == "CreateRateLimited"
        assert "next try" not in waiting["message"]  # it moves with each create of another pod
        assert "limit of creates a minute is reached" in waiting["message"]
        await asyncio.sleep(15)
        assert (api.phase("second"), provider.creates) == ("Running", 2)


async def test_the_hint_of_a_temporary_error_is_kept(api: Api) -> None:
    class Hinting(Backend):
        async def create_pod(self, pod: Pod) -> PodStatus | None:
            if not self.creates:
                self.creates += 1
                raise TemporaryError("later", retry_after=100.0)
            return await super().create_pod(pod)

    provider = Hinting()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(99)
        assert provider.creates == 1
        await asyncio.sleep(2)
        assert provider.creates == 2


class LossyListed(Backend):
    """Its first create takes effect, but the answer never comes."""

    create_timeout = 10.0

    async def create_pod(self, pod: Pod) -> PodStatus | None:
        status = await super().create_pod(pod)
        if self.creates == 1:
            await asyncio.sleep(1000)
        return status


class LossyDirect(LossyListed, Direct):
    """The same, with a direct look-up."""


@pytest.mark.parametrize("kind", [LossyListed, LossyDirect])
async def test_a_create_that_took_too_long_is_looked_up_and_not_repeated(
    api: Api, kind: type[Any]
) -> None:
    """B7: a time-out says nothing about whether the pod runs."""
    provider = kind()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(120)
        assert api.phase() == "Running"
        assert (provider.creates, provider.doubles) == (1, 0)


@pytest.mark.parametrize("kind", [Backend, Direct])
async def test_a_create_that_proves_to_have_failed_is_repeated(api: Api, kind: type[Any]) -> None:
    """B7, the other way: the look-up says that nothing is there."""

    class Broken(kind):  # type: ignore[misc] # a class chosen by the test's parameter
        tries = 0

        async def create_pod(self, pod: Pod) -> PodStatus | None:
            self.tries += 1
            if self.tries == 1:
                raise ConnectionResetError
            return await kind.create_pod(self, pod)  # type: ignore[no-any-return] # as above

    provider = Broken()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(60)
        assert api.phase() == "Running"
        assert (provider.tries, provider.doubles) == (2, 0)


async def test_a_failed_lookup_never_means_absent(api: Api) -> None:
    """B7: an error of the look-up is not an answer."""

    class Blind(LossyDirect):
        blind = True

        async def get_pods(self, keys: Any) -> Any:
            if self.blind:
                raise TemporaryError("cannot look")
            return await super().get_pods(keys)

        async def list_pods(self) -> Any:
            if self.creates and self.blind:
                raise TemporaryError("cannot look")
            return await super().list_pods()

    provider = Blind()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1800)
        assert (provider.creates, api.phase()) == (1, "Pending")
        provider.blind = False
        await asyncio.sleep(400)
        assert (provider.creates, api.phase()) == (1, "Running")


async def test_a_lookup_comes_again_when_the_provider_says_that_it_will_know(api: Api) -> None:
    class Lagging(LossyDirect):
        asked: list[float]

        async def get_pods(self, keys: Any) -> Any:
            self.asked.append(asyncio.get_running_loop().time())
            if len(self.asked) == 1:
                raise TemporaryError("not listed yet", retry_after=30.0)
            return await super().get_pods(keys)

        async def list_pods(self) -> Any:
            if self.creates:
                raise TemporaryError("no list finds it")
            return await super().list_pods()

    provider = Lagging()
    provider.asked = []
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(60)
        assert api.phase() == "Running"
    assert provider.asked[1] - provider.asked[0] == pytest.approx(30.0, abs=1.0)


async def test_a_pod_deleted_while_its_create_is_uncertain_is_deleted_at_the_provider(
    api: Api,
) -> None:
    provider = LossyListed()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1)
        api.ask_delete("p")
        await asyncio.sleep(120)
        assert "p" not in api.pods
        assert (provider.creates, provider.deletes) == (1, 2)


async def test_a_recreated_pod_of_the_same_name_is_another_pod(api: Api) -> None:
    """B10: the old workload is deleted, the new one created; their states never mix."""
    provider = Backend()
    async with running(api, provider):
        api.add(raw(uid="old"))
        await asyncio.sleep(1)
        provider.stop("old", exit_code=3)
        api.remove("p")
        api.add(raw(uid="new"))
        await asyncio.sleep(60)
        assert api.phases["new"] == ["Pending", "Running"]
        assert api.status()["containerStatuses"][0]["restartCount"] == 0
        assert provider.creates == 2


async def test_a_pod_that_was_replaced_unseen_gets_nothing_of_the_old_ones_status(
    api: Api,
) -> None:
    """B10: the write carries the UID, and the other pod's status stays as it is."""
    provider = Backend()
    async with running(api, provider):
        api.add(raw(uid="old"))
        await asyncio.sleep(1)
        api.observe, seen = (lambda old, new: None), api.observe
        replaced = raw(uid="new")
        api.remove("p")
        api.add(replaced)
        provider.stop("old", exit_code=3)
        await asyncio.sleep(30)
        assert api.status() == {"phase": "Pending"}
        api.observe = seen
        api.add(replaced)
        await asyncio.sleep(30)
        assert api.phase() == "Running"


async def test_a_deleted_event_alone_ends_the_workload_at_once(api: Api) -> None:
    """B1, B27: the object is gone without ever having had a deletionTimestamp."""
    provider = Backend()
    provider.slow_stop = True
    async with running(api, provider) as world:
        api.add(raw())
        await asyncio.sleep(1)
        api.remove("p")
        await asyncio.sleep(1)
        assert provider.graces[0] == 0.0
        provider.workloads.clear()
        await asyncio.sleep(60)
        assert len(world.records) == 0


async def test_no_create_for_a_pod_that_is_being_deleted(api: Api) -> None:
    provider = Backend()
    async with running(api, provider):
        api.add(deleted(raw()))
        await asyncio.sleep(10)
        assert "p" not in api.pods
        assert provider.creates == 0


class FailingUpdate(Backend):
    error: Exception = UnsupportedError("x")

    async def update_pod(self, pod: Pod, changed: Collection[str]) -> PodStatus | None:
        self.updates += 1
        raise self.error


@pytest.mark.parametrize(
    ("error", "tries"), [(UnsupportedError("x"), 1), (PermanentError("x"), 1), (OSError("x"), 3)]
)
@pytest.mark.parametrize("policy", ["Always", "Never"])
async def test_a_failed_update_keeps_the_status(
    api: Api, error: Exception, tries: int, policy: str
) -> None:
    """B28: a running pod stays Running, whatever the update came to."""
    provider = FailingUpdate()
    provider.error = error
    async with running(api, provider) as world:
        api.add(raw(restartPolicy=policy))
        await asyncio.sleep(1)
        pod = api.pods["p"]
        api.add({**pod, "spec": {**pod["spec"], "activeDeadlineSeconds": 10**9}})
        await asyncio.sleep(3600)
        assert api.phases["u"] == ["Pending", "Running"]
        assert provider.updates == tries if tries == 1 else provider.updates >= tries
        assert "ProviderUpdateFailed" in world.reasons()


async def test_conditions_of_others_survive(api: Api) -> None:
    """B11: and those of the kubelet's own types are put back."""
    foreign = {"type": "example.com/gate", "status": "True", "lastTransitionTime": "x"}
    provider = Backend()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1)
        pod = api.pods["p"]
        ready = {"type": "Ready", "status": "False", "reason": "NodeLost"}
        changed = merge_conditions(pod, foreign, ready)
        api.add(changed)
        await asyncio.sleep(1)
        provider.stop("u")
        await asyncio.sleep(10)
        conditions = {one["type"]: one for one in api.status()["conditions"]}
        assert conditions["example.com/gate"] == foreign
        assert conditions["Ready"].get("reason") != "NodeLost"


def merge_conditions(pod: dict[str, Any], *conditions: dict[str, Any]) -> dict[str, Any]:
    have = {one["type"]: one for one in pod["status"]["conditions"]}
    have.update({one["type"]: one for one in conditions})
    return {**pod, "status": {**pod["status"], "conditions": list(have.values())}}


@pytest.mark.slow
async def test_a_failed_write_of_the_status_is_repeated(api: Api) -> None:
    """B12: 30 failures in a row lose nothing."""
    async with running(api, Backend()):
        api.failures = [UnavailableError("x") for _ in range(30)]
        api.add(raw())
        await asyncio.sleep(4 * 3600)
        assert api.phase() == "Running"


async def test_a_new_address_replaces_the_old_one(api: Api) -> None:
    provider = Backend()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1)
        for address in ("10.0.0.1", "10.0.0.2"):
            status = provider.workloads["u"]
            provider.workloads["u"] = PodStatus(
                status.key, containers=status.containers, pod_ips=[address]
            )
            await asyncio.sleep(10)
            assert api.status()["podIPs"] == [{"ip": address}]


class Refusing(Backend):
    async def create_pod(self, pod: Pod) -> PodStatus | None:
        raise PermanentError("host paths are not possible here", reason="HostPathRefused")


async def test_refused_pods_of_a_replica_set_make_no_storm(api: Api) -> None:
    """A replica set of ten replaces each Failed pod at once: under 30 of them in 5 minutes."""
    numbers = iter(range(10**6))

    def fill() -> None:
        active = sum(pod["status"]["phase"] != "Failed" for pod in api.pods.values())
        for _ in range(10 - active):
            number = next(numbers)
            pod = raw(f"p{number}", f"u{number}")
            pod["metadata"]["ownerReferences"] = [{"uid": "rs", "controller": True}]
            api.add(pod)

    async with running(api, Refusing()):
        for _ in range(300):
            fill()
            await asyncio.sleep(1)
        phases = [pod["status"]["phase"] for pod in api.pods.values()]
        assert 1 <= phases.count("Failed") < 30
        failed = next(pod for pod in api.pods.values() if pod["status"]["phase"] == "Failed")
        assert failed["status"]["reason"] == "HostPathRefused"


async def test_a_refused_pod_without_an_owner_is_failed_at_once(api: Api) -> None:
    async with running(api, Refusing()):
        api.add(raw())
        await asyncio.sleep(1)
        assert (api.phase(), api.status()["reason"]) == ("Failed", "HostPathRefused")


async def test_a_full_create_queue_holds_back_no_delete(api: Api) -> None:
    class Slow(Backend):
        async def create_pod(self, pod: Pod) -> PodStatus | None:
            if pod.key.name != "p":
                await asyncio.sleep(100)
            return await super().create_pod(pod)

    async with running(api, Slow()):
        api.add(raw())
        await asyncio.sleep(1)
        for number in range(200):
            api.add(raw(f"p{number}", f"u{number}"))
        await asyncio.sleep(1)
        api.ask_delete("p")
        await asyncio.sleep(1)
        assert "p" not in api.pods


async def test_a_restart_adopts_what_runs_and_creates_nothing(api: Api) -> None:
    provider = Backend()
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1)
    before = api.status()
    async with running(api, provider):
        await asyncio.sleep(120)
        assert (provider.creates, provider.deletes) == (1, 0)
        assert api.status() == before


async def test_pods_of_a_provider_that_keeps_nothing_are_failed_after_a_restart(api: Api) -> None:
    class Fleeting(Backend):
        durable = False

    async with running(api, Fleeting()):
        api.add(raw())
        await asyncio.sleep(1)
    async with running(api, Fleeting()):
        await asyncio.sleep(1)
        assert (api.phase(), api.status()["reason"]) == ("Failed", "ProviderRestarted")
        ended = api.status()["containerStatuses"][0]["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (137, "ContainerStatusUnknown")


async def test_a_passed_deadline_fails_the_pod_and_ends_its_workload(api: Api) -> None:
    provider = Backend()
    async with running(api, provider):
        started = {"phase": "Pending", "startTime": "2020-01-01T00:00:00Z"}
        api.add(raw(uid="u", activeDeadlineSeconds=60, status=started))
        await asyncio.sleep(10)
        assert (api.phase(), api.status()["reason"]) == ("Failed", "DeadlineExceeded")


@pytest.mark.field
async def test_a_pod_is_failed_for_its_deadline_only_when_its_containers_have_ended(
    api: Api,
) -> None:
    provider = Backend()
    provider.slow_stop = True
    async with running(api, provider):
        pod = raw(uid="u", activeDeadlineSeconds=1, restartPolicy="Never")
        api.add(pod)
        await asyncio.sleep(1)
        late = api.status() | {"startTime": "2020-01-01T00:00:00Z"}
        api.add(pod | {"status": late})
        await asyncio.sleep(20)
        assert provider.deletes == 1
        assert api.phase() == "Running"
        provider.stop("u", 7)
        await asyncio.sleep(10)
        assert (api.phase(), api.status()["reason"]) == ("Failed", "DeadlineExceeded")
        [row] = api.status()["containerStatuses"]
        assert row["state"]["terminated"]["exitCode"] == 7


async def test_a_static_pods_mirror_is_never_run(api: Api) -> None:
    """Design 5.10: the object only shows what some kubelet runs from a file."""
    provider = Backend()
    async with running(api, provider):
        pod = raw()
        pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
        api.add(pod)
        await asyncio.sleep(120)
        assert (provider.creates, api.status()) == (0, {"phase": "Pending"})


class Keeping(Backend):
    """A backend that keeps what has ended until it is deleted once more, as a cloud's does."""

    failures = 0

    async def delete_pod(self, key: PodKey, *, grace_period: float) -> PodStatus | None:
        over = all(isinstance(one.state, Terminated) for one in self.workloads[key.uid].containers)
        if over and self.failures:
            self.failures -= 1
            raise TemporaryError("not now")
        if over:
            del self.workloads[key.uid]
            raise NotFoundError(key)
        return await super().delete_pod(key, grace_period=grace_period)


@pytest.mark.field
@pytest.mark.parametrize("failures", [0, 3])
async def test_a_workload_that_has_ended_is_deleted_once_more_before_its_pod_is_removed(
    api: Api, failures: int
) -> None:
    """Else what is left of it would be an orphan, or a leak where orphans are kept."""
    provider = Keeping()
    provider.failures = failures
    async with running(api, provider):
        api.add(raw())
        await asyncio.sleep(1)
        api.ask_delete("p")
        await asyncio.sleep(0.1)
        assert ("p" in api.pods) is bool(failures)
        await asyncio.sleep(60)
        assert ("p" in api.pods, provider.workloads) == (False, {})
        assert api.phases["u"][-1] == "Succeeded"
