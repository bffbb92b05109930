"""The mock provider runs a pod at once or by its annotations, and keeps it in a state file."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mock_world import build, pod, simulated

import vk
from vk_providers.mock.config import MockConfig
from vk_providers.mock.provider import MockProvider


@asynccontextmanager
async def seen(provider: MockProvider) -> AsyncIterator[Callable[[], Awaitable[vk.PodChange]]]:
    """Give a function that returns the next change."""
    async with aclosing(provider.watch_pods()) as changes:
        yield lambda: asyncio.wait_for(anext(changes), 10_000)


def container(change: vk.PodChange) -> vk.ContainerStatus:
    assert isinstance(change, vk.PodStatus)
    return change.containers[0]


async def test_a_pod_runs_at_once_with_its_init_containers_done():
    async with build() as provider:
        sidecar = {"name": "s", "restartPolicy": "Always"}
        status = await provider.create_pod(pod(inits=[{"name": "i"}, sidecar]))
        assert isinstance(container(status).state, vk.Running)
        assert container(status).ready
        first, second = (init.state for init in status.init_containers)
        assert isinstance(first, vk.Terminated) and first.exit_code == 0
        assert isinstance(second, vk.Running)
        assert status.pod_ips == ("10.200.0.1",)
        assert status.host_ips == ()
        assert await provider.list_pods() == [status]


async def test_without_a_state_file_it_logs_that_pods_end_with_the_process(caplog, tmp_path):
    caplog.set_level("INFO")
    async with build(state=str(tmp_path / "state")):
        assert "pods end with this process" not in caplog.text
    async with build():
        assert "pods end with this process" in caplog.text


async def test_creating_twice_finds_the_first_workload():
    async with build() as provider:
        wanted = pod()
        assert await provider.create_pod(wanted) == await provider.create_pod(wanted)
        assert len(await provider.list_pods()) == 1


@pytest.mark.parametrize(("grace", "code"), [(30.0, 0), (0.0, 137)])
async def test_deletion_ends_the_containers_and_forgets_the_pod(grace: float, code: int):
    async with build() as provider:
        wanted = pod()
        await provider.create_pod(wanted)
        state = container(await provider.delete_pod(wanted.key, grace_period=grace)).state
        assert isinstance(state, vk.Terminated) and state.exit_code == code
        assert await provider.list_pods() == []
        assert await provider.get_pods([wanted.key]) == []
        with pytest.raises(vk.NotFoundError):
            await provider.delete_pod(wanted.key, grace_period=grace)


async def test_a_deleted_pod_that_never_started_did_not_succeed():
    async with build() as provider:
        wanted = pod(start_delay="1h")
        await provider.create_pod(wanted)
        state = container(await provider.delete_pod(wanted.key, grace_period=30)).state
        assert isinstance(state, vk.Terminated) and state.exit_code == 137


async def test_the_lowest_free_address_is_given_again():
    async with build(pod_cidr="10.1.0.0/29") as provider:
        pods = [pod() for _ in range(6)]
        given = [(await provider.create_pod(wanted)).pod_ips[0] for wanted in pods]
        assert given == [f"10.1.0.{number}" for number in range(1, 7)]
        with pytest.raises(vk.TemporaryError, match="no free pod address"):
            await provider.create_pod(pod())
        await provider.delete_pod(pods[4].key, grace_period=0)
        await provider.delete_pod(pods[1].key, grace_period=0)
        assert (await provider.create_pod(pod())).pod_ips == ("10.1.0.2",)


async def test_an_update_is_accepted_and_of_an_unknown_pod_is_not_found():
    async with build() as provider:
        wanted = pod()
        status = await provider.create_pod(wanted)
        assert await provider.update_pod(wanted, ["spec.containers"]) == status
        with pytest.raises(vk.NotFoundError):
            await provider.update_pod(pod(), ["spec.containers"])


@simulated
async def test_a_job_waits_runs_and_completes():
    async with build() as provider, seen(provider) as change:
        begin = asyncio.get_running_loop().time()
        job = pod(policy="Never", start_delay="2s", run_for="1m", ready_after="500ms")
        status = await provider.create_pod(job)
        assert isinstance(container(status).state, vk.Waiting)
        started = container(await change())
        assert isinstance(started.state, vk.Running) and not started.ready
        assert container(await change()).ready
        state = container(await change()).state
        assert isinstance(state, vk.Terminated) and state.reason == "Completed"
        assert asyncio.get_running_loop().time() - begin == pytest.approx(62, abs=0.01)


@simulated
async def test_a_failing_container_restarts_with_the_backoff_of_a_kubelet():
    async with build() as provider, seen(provider) as change:
        loop = asyncio.get_running_loop()
        await provider.create_pod(pod(policy="OnFailure", crash_loop="true", exit_code="3"))
        starts = []
        while len(starts) < 9:
            found = container(await change())
            if isinstance(found.state, vk.Running):
                starts.append(loop.time())
                assert found.restart_count == len(starts)
                assert found.last_state and found.last_state.exit_code == 3
            elif found.restart_count:
                assert isinstance(found.state, vk.Waiting)
                assert found.state.reason == "CrashLoopBackOff"
        gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
        expected = [pause + 1 for pause in (10, 20, 40, 80, 160, 300, 300, 300)]
        assert gaps == pytest.approx(expected, abs=0.01)


@simulated
async def test_a_clean_end_under_always_restarts_without_backoff():
    async with build() as provider, seen(provider) as change:
        await provider.create_pod(pod(run_for="5s"))
        for restarts in range(20):
            ended = container(await change())
            assert isinstance(ended.state, vk.Terminated) and ended.restart_count == restarts
            assert isinstance(container(await change()).state, vk.Running)
        assert asyncio.get_running_loop().time() == pytest.approx(120, abs=0.1)


@simulated
async def test_restart_every_kills_without_backoff():
    async with build() as provider:
        wanted = pod(restart_every="9")
        await provider.create_pod(wanted)
        await asyncio.sleep(1_005)
        [status] = await provider.get_pods([wanted.key])
        assert container(status).restart_count == 100
        last = container(status).last_state
        assert last is not None and last.exit_code == 137


@simulated
async def test_a_lost_workload_is_reported_gone_and_its_address_is_free():
    async with build() as provider, seen(provider) as change:
        wanted = pod(lost_after="1m")
        status = await provider.create_pod(wanted)
        assert await change() == vk.Gone(wanted.key, "Lost")
        assert await provider.list_pods() == []
        assert (await provider.create_pod(pod())).pod_ips == status.pod_ips


@simulated
async def test_nothing_is_reported_of_a_deleted_pod():
    async with build() as provider, seen(provider) as change:
        wanted = pod(start_delay="1s", run_for="5s")
        await provider.create_pod(wanted)
        await asyncio.sleep(2)  # a change is waiting, and a timer runs
        await provider.delete_pod(wanted.key, grace_period=0)
        with pytest.raises(TimeoutError):
            await change()


async def test_creating_fails_as_often_and_as_asked():
    async with build() as provider:
        wanted = pod(fail_create_times="2", fail_create="OutOfStock")
        for _ in range(2):
            with pytest.raises(vk.TemporaryError):
                await provider.create_pod(wanted)
        with pytest.raises(vk.PermanentError) as caught:
            await provider.create_pod(wanted)
        assert caught.value.reason == "OutOfStock"
        assert await provider.list_pods() == []


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("run-for", "soon", "a duration"),
        ("start-delay", "-1s", "a duration"),
        ("restart-every", "0", "above 0"),
        ("exit-code", "256", "0 to 255"),
        ("crash-loop", "yes", '"true" or "false"'),
        ("fail-create", "", "CamelCase"),
        ("fail-create-times", "two", "an integer"),
        ("log-line", "two\nlines", "printable line"),
        ("log-line", "x" * 201, "at most 200"),
        ("run_for", "1s", "one of start-delay, run-for"),
    ],
)
async def test_a_wrong_annotation_is_named_with_what_was_expected(name, text, expected):
    wanted = pod()
    wanted.raw["metadata"]["annotations"][f"mock.vk/{name}"] = text
    async with build() as provider:
        with pytest.raises(vk.InvalidInputError, match=f"mock.vk/{name}.*{expected}"):
            await provider.create_pod(wanted)


async def test_the_configuration_gives_defaults_that_annotations_override():
    async with build(start_delay="1h") as provider:
        assert isinstance(container(await provider.create_pod(pod())).state, vk.Waiting)
        status = await provider.create_pod(pod(start_delay="0"))
        assert isinstance(container(status).state, vk.Running)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"cpu": "many"}, "cpu"),
        ({"others": {"gpu": "x"}}, "others.gpu"),
        ({"pod_cidr": "10.0.0.0/99"}, "pod_cidr"),
        ({"run_for": "soon"}, "run_for"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], named: str):
    with pytest.raises(vk.ConfigError, match=f"{named}: expected"):
        MockConfig(**settings)


async def test_the_node_has_the_configured_capacity():
    settings = {"others": {"nvidia.com/gpu": 2}, "provider_id": "mock://1"}
    node = await build(**settings).describe_node()
    assert node.capacity == {
        "cpu": "20",
        "memory": "100Gi",
        "pods": "1000",
        "ephemeral-storage": "1Ti",
        "nvidia.com/gpu": "2",
    }
    assert node.allocatable == node.capacity
    assert node.provider_id == "mock://1"


def test_the_file_of_the_go_mock_is_read_for_this_node():
    data = {"a": {"cpu": "2", "memory": "32Gi", "providerID": "x"}, "b": {"pods": "128"}}
    found = MockConfig.from_file(data, "a")
    assert found == {"cpu": "2", "memory": "32Gi", "provider_id": "x", "pods": "20"}
    assert MockConfig.from_file(data, "b") == {"pods": "128"}
    with pytest.raises(vk.ConfigError, match=r"'c'.*a, b"):
        MockConfig.from_file(data, "c")
    with pytest.raises(vk.ConfigError, match=r"a\.disk"):
        MockConfig.from_file({"a": {"disk": "1"}}, "a")
    ours = {"cpu": "2", "others": {"gpu": "1"}}
    assert MockConfig.from_file(ours, "a") == ours


def test_only_a_provider_with_a_file_is_durable(tmp_path: Path):
    assert build().durable is False
    assert build(state=str(tmp_path / "pods")).durable is True


async def test_pods_in_a_file_outlive_the_process_and_their_clock_goes_on(tmp_path, monkeypatch):
    state = str(tmp_path / "pods")
    kept, ending, lost, deleted = (
        pod(),
        pod(policy="Never", run_for="1m"),
        pod(lost_after="1m"),
        pod(),
    )
    async with build(state=state) as provider:
        before = [await provider.create_pod(each) for each in (kept, ending, lost, deleted)]
        await provider.delete_pod(deleted.key, grace_period=0)
    later = time.time() + 3_600
    monkeypatch.setattr(time, "time", lambda: later)
    async with build(state=state) as provider:
        first, second = await provider.list_pods()
        assert first == before[0]
        assert isinstance(container(second).state, vk.Terminated)
        assert await provider.create_pod(kept) == first
        assert (await provider.create_pod(pod())).pod_ips == before[2].pod_ips


async def test_half_a_line_left_by_a_crash_is_as_if_it_was_never_written(tmp_path: Path):
    path = tmp_path / "pods"
    async with build(state=str(path)) as provider:
        status = await provider.create_pod(pod())
    with path.open("ab") as file:
        file.write(b'{"created": {"key"')
    async with build(state=str(path)) as provider:
        assert await provider.list_pods() == [status]
        await provider.create_pod(pod())
    async with build(state=str(path)) as provider:
        assert len(await provider.list_pods()) == 2


async def test_a_file_that_is_broken_or_another_nodes_is_refused(tmp_path: Path):
    path = tmp_path / "pods"
    async with build(state=str(path)):
        pass
    with pytest.raises(vk.ConfigError, match="expected the pods of"):
        await build(state=str(path), node="other").__aenter__()
    with path.open("ab") as file:
        file.write(b'{"created": {}}\n')
    with pytest.raises(vk.ConfigError, match="pods line 2: expected"):
        await build(state=str(path)).__aenter__()
    with pytest.raises(vk.ConfigError, match="state: expected a file"):
        await build(state=str(tmp_path / "none" / "pods")).__aenter__()


async def test_opening_the_file_drops_what_was_deleted(tmp_path: Path):
    path = tmp_path / "pods"
    async with build(state=str(path)) as provider:
        for _ in range(50):
            wanted = pod()
            await provider.create_pod(wanted)
            await provider.delete_pod(wanted.key, grace_period=0)
    assert len(path.read_bytes().splitlines()) == 101
    async with build(state=str(path)):
        assert len(path.read_bytes().splitlines()) == 1


@simulated
async def test_ending_the_provider_stops_its_timers():
    provider = build()
    async with provider:
        await provider.create_pod(pod(start_delay="1s"))
    async with seen(provider) as change:
        with pytest.raises(TimeoutError):
            await change()
