"""The life of a pod on this machine, and what survives a restart of vk and a killed supervisor."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest
from isolation_here import both_ways
from process_world import CLUSTER, NODE, children_of, container, ended, is_up, node, pod, sh
from supervised import exists, gone

import vk
from vk_providers.process.config import ProcessConfig
from vk_providers.process.runtime import PodRuntime

pytestmark = pytest.mark.slow

_TRAP = "trap 'echo told; exit 5' TERM; echo up; while :; do sleep 0.02; done"


@both_ways
async def test_a_pod_runs_is_read_and_ends_within_its_grace_period(
    state: Path, isolation: str
) -> None:
    async with node(state, isolation=isolation) as here:
        wanted = pod(sh(_TRAP))
        status = await here.create(wanted)
        assert status.key == wanted.key
        status = await here.until(wanted)
        assert status.pod_ips == status.host_ips != ()
        assert await here.first_line(wanted) == "up"
        await here.provider.delete_pod(wanted.key, grace_period=30)
        last = await here.until(wanted, ended)
        assert ended(last).exit_code == 5
        assert await here.log(wanted, stream="stdout") == "up\ntold\n"


@both_ways
async def test_a_shrinking_grace_period_kills_what_does_not_listen(
    state: Path, isolation: str
) -> None:
    async with node(state, isolation=isolation) as here:
        wanted = pod(sh("trap '' TERM; echo up; while :; do sleep 0.02; done"))
        await here.create(wanted)
        await here.first_line(wanted)
        await here.provider.delete_pod(wanted.key, grace_period=600)
        await here.provider.delete_pod(wanted.key, grace_period=0)
        assert ended(await here.until(wanted, ended)).exit_code == 137


async def test_creating_twice_starts_one_workload(state: Path) -> None:
    async with node(state) as here:
        wanted = pod(sh("echo $$; sleep 1000"))
        await here.create(wanted)
        line = await here.first_line(wanted)
        again = await here.create(wanted)
        assert is_up(again)
        assert await here.log(wanted) == f"{line}\n"
        assert [each.key.uid for each in await here.provider.list_pods()] == [wanted.key.uid]


async def test_a_deleted_pod_keeps_its_log_until_the_api_server_has_forgotten_it(
    state: Path,
) -> None:
    async with node(state) as here:
        wanted = pod(sh("echo up; sleep 1000"))
        await here.create(wanted)
        await here.first_line(wanted)
        await here.provider.delete_pod(wanted.key, grace_period=0)
        await here.until(wanted, ended)
        assert len(await here.provider.list_pods()) == 1
        assert await here.log(wanted) == "up\n"
        del here.pods[wanted.key.uid]
        while await here.provider.list_pods():  # its supervisor may still be ending
            await asyncio.to_thread(os.sched_yield)
        assert not here.folder(wanted).exists()
        with pytest.raises(vk.NotFoundError):
            await here.log(wanted)


async def test_a_pod_that_ended_is_removed_by_its_delete(state: Path) -> None:
    async with node(state) as here:
        wanted = pod(sh("exit 3"))
        await here.create(wanted)
        assert ended(await here.until(wanted, ended)).exit_code == 3
        assert [ended(each).exit_code for each in await here.provider.list_pods()] == [3]
        await here.end(wanted)
        assert not here.folder(wanted).exists()
        with pytest.raises(vk.NotFoundError):
            await here.provider.delete_pod(wanted.key, grace_period=30)
        assert await here.provider.get_pods([wanted.key]) == []


@both_ways
async def test_a_restarted_vk_takes_its_pods_up_and_nothing_runs_twice(
    state: Path, isolation: str
) -> None:
    wanted = pod(sh("echo $$; sleep 1000"))
    done = pod(sh("echo done"))
    async with node(state, isolation=isolation, keep=True) as first:
        await first.create(wanted)
        await first.create(done)
        line = await first.first_line(wanted)
        await first.until(done, ended)
        before = await first.provider.get_pods([wanted.key])
    async with node(state, isolation=isolation, objects=first.pods) as second:
        listed = {each.key.uid: each for each in await second.provider.list_pods()}
        assert listed[wanted.key.uid] == before[0]
        assert ended(listed[done.key.uid]).exit_code == 0
        await second.create(wanted)
        assert await second.log(wanted) == f"{line}\n"
        assert await second.log(done) == "done\n"
        assert await second.output(wanted, "echo entered") == "entered\n"
        await second.provider.delete_pod(wanted.key, grace_period=0)
        await second.until(wanted, ended)


@both_ways
async def test_a_killed_supervisor_is_a_lost_pod_and_takes_its_processes_along(
    state: Path, isolation: str
) -> None:
    async with node(state, isolation=isolation) as here:
        wanted = pod(sh("sleep 1000 & sleep 1000"), restartPolicy="Always")
        await here.create(wanted)
        await here.until(wanted)
        supervisor = here.supervisor(wanted)
        main = children_of(supervisor)
        os.kill(supervisor, signal.SIGKILL)
        status = await here.until(wanted, ended)
        assert (status.phase, status.reason) == ("Failed", "SupervisorLost")
        assert (ended(status).exit_code, ended(status).reason) == (137, "ContainerStatusUnknown")
        assert main
        assert not any(exists(pid) for pid in main)
        assert await here.provider.get_pods([wanted.key]) == [status]
        assert await here.create(wanted) == status  # it is never started again


async def test_a_supervisor_that_died_while_vk_was_away_is_a_lost_pod(state: Path) -> None:
    wanted = pod(sh("sleep 1000"), restartPolicy="Always")
    async with node(state, keep=True) as first:
        await first.create(wanted)
        await first.until(wanted)
        supervisor = first.supervisor(wanted)
    os.kill(supervisor, signal.SIGKILL)
    await gone(supervisor)
    async with node(state, objects=first.pods) as second:
        status = await second.until(wanted, ended)
        assert (status.phase, status.reason) == ("Failed", "SupervisorLost")


async def test_a_pod_that_a_shutdown_ended_is_failed_whatever_its_restart_policy(
    state: Path,
) -> None:
    async with node(state) as here:
        wanted = pod(sh("sleep 1000"), restartPolicy="Always")
        await here.create(wanted)
        await here.until(wanted)
        os.kill(here.supervisor(wanted), signal.SIGTERM)
        status = await here.until(wanted, lambda each: each.phase)
        assert (status.phase, status.reason) == ("Failed", "Terminated")
        assert ended(status).exit_code == 143


async def test_events_carry_an_id_that_a_restart_of_vk_repeats(state: Path) -> None:
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    wanted = pod(sh("sleep 1000", startupProbe=probe))
    async with node(state, keep=True) as first:
        await first.create(wanted)
        await first.until(wanted, lambda each: bool(first.events))
    async with node(state, objects=first.pods) as second:
        await second.until(wanted)
        await second.provider.delete_pod(wanted.key, grace_period=0)
        await second.until(wanted, ended)
    failed = ("Warning", "Unhealthy", "Startup probe failed: ", f"{wanted.key.uid}/1")
    assert failed in first.events
    assert failed in second.events


async def test_starts_and_waits_of_containers_are_left_to_the_core_to_tell(state: Path) -> None:
    """It tells them by the status, of every provider's pods: each would stand there twice."""
    async with node(state) as here:
        wanted = pod(sh("exit 4"), restartPolicy="Always")
        await here.create(wanted)
        await here.until(wanted, lambda each: isinstance(container(each).state, vk.Waiting))
        assert here.events == []


async def test_a_container_that_crashes_is_started_again_and_its_previous_log_is_kept(
    state: Path,
) -> None:
    async with node(state) as here:
        script = 'test -e "$VK_VOLUMES/v/been" && { echo two; sleep 1000; }; '
        script += 'touch "$VK_VOLUMES/v/been"; echo one; exit 4'
        wanted = pod(sh(script), restartPolicy="Always", volumes=[{"name": "v", "emptyDir": {}}])
        await here.create(wanted)
        status = await here.until(
            wanted, lambda each: container(each).restart_count and is_up(each)
        )
        assert container(status).last_state.exit_code == 4
        assert await here.first_line(wanted) == "two"
        assert await here.log(wanted, previous=True) == "one\n"


async def test_while_a_crashed_container_waits_its_previous_log_is_that_of_the_crash(
    state: Path,
) -> None:
    """As with a kubelet: it has no other run now."""
    async with node(state) as here:
        wanted = pod(sh("echo process $$; exit 4"), restartPolicy="Always")
        await here.create(wanted)
        await here.until(
            wanted, lambda each: getattr(container(each).state, "reason", "") == "CrashLoopBackOff"
        )
        said = await here.log(wanted)
        assert said.startswith("process ")
        assert await here.log(wanted, previous=True) == said


async def test_a_log_of_a_waiting_container_names_the_reason(state: Path) -> None:
    async with node(state) as here:
        wanted = pod(sh("echo never"), initContainers=[sh("sleep 1000", name="i")])
        await here.create(wanted)
        await here.until(wanted, lambda status: is_up(status, "i"))
        with pytest.raises(vk.InvalidInputError, match=r"waiting to start: PodInitializing"):
            await here.log(wanted)
        with pytest.raises(vk.InvalidInputError, match="previous terminated container"):
            await here.log(wanted, "i", previous=True)


async def test_stdout_and_stderr_can_be_read_alone(state: Path) -> None:
    async with node(state) as here:
        wanted = pod(sh("echo out; echo err >&2"))
        await here.create(wanted)
        await here.until(wanted, ended)
        assert await here.log(wanted, stream="stdout") == "out\n"
        assert await here.log(wanted, stream="stderr") == "err\n"


async def test_labels_may_change_and_images_may_not(state: Path) -> None:
    async with node(state) as here:
        wanted = pod(sh("sleep 1000"))
        await here.create(wanted)
        status = await here.until(wanted)
        assert await here.provider.update_pod(wanted, {"metadata.labels"}) == status
        with pytest.raises(vk.UnsupportedError, match=r"spec\.containers"):
            await here.provider.update_pod(wanted, {"spec.containers", "metadata.labels"})


async def test_a_pod_without_a_command_fails_and_leaves_nothing(state: Path) -> None:
    async with node(state) as here:
        wanted = pod({"name": "c", "image": "nginx"})
        with pytest.raises(vk.PermanentError, match="image 'nginx' is not mapped") as raised:
            await here.create(wanted)
        assert raised.value.reason == "ImageNotMapped"
        assert here.remains() == []
        with pytest.raises(vk.NotFoundError):
            await here.provider.delete_pod(wanted.key, grace_period=0)


async def test_a_uid_that_is_no_name_is_refused(state: Path) -> None:
    async with node(state) as here:
        for uid in ("../x", "..", "a/b"):
            with pytest.raises(vk.InvalidInputError):
                await here.create(pod(sh("true"), uid=uid))
        assert here.remains() == []


async def test_remains_of_a_start_that_vk_did_not_survive_are_removed(state: Path) -> None:
    half = state / CLUSTER / NODE / "pods" / "uid-x"
    half.mkdir(parents=True)
    (half / "plan.json").write_text("{}")
    async with node(state) as here:
        assert await here.provider.list_pods() == []
        assert not half.exists()


async def test_the_node_has_the_capacity_of_the_machine_or_the_configuration(
    state: Path,
) -> None:
    async with node(state, cpu="3", pods="7", others={"example.com/licence": 2}) as here:
        info = await here.provider.describe_node()
        assert info.capacity["example.com/licence"] == "2"
        disk = int(info.capacity["ephemeral-storage"].removesuffix("Ki")) * 1024
        assert disk == pytest.approx(shutil.disk_usage(state).total, 0.01)
        assert (info.capacity["cpu"], info.capacity["pods"]) == ("3", "7")
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert int(info.capacity["memory"].removesuffix("Ki")) * 1024 == pytest.approx(total, 0.01)


async def test_no_work_goes_on_in_a_pods_folders_after_a_cancelled_removal(
    state: Path,
) -> None:
    runtime = await PodRuntime.open(
        ProcessConfig(state=str(state)), cluster_uid=CLUSTER, node_name=NODE
    )
    many = state / CLUSTER / NODE / "files" / "uid-1" / "many"
    many.mkdir(parents=True)
    for number in range(3000):
        (many / str(number)).touch()
    removal = asyncio.create_task(runtime.remove("uid-1"))
    await asyncio.sleep(0)  # it has begun
    removal.cancel()
    with pytest.raises(asyncio.CancelledError):
        await removal
    assert not many.exists()
