"""A supervisor runs a pod by the kubelet's rules, outlives vk, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from supervised import (
    ENV,
    LIMIT,
    container,
    exists,
    first_line,
    gone,
    is_up,
    log_text,
    parent_of,
    read_until,
    sh,
    state,
    supervised,
)

import vk
from vk_providers.process import supervisor
from vk_providers.process.plan import ContainerPlan, PodPlan
from vk_providers.process.protocol import is_running, last_report
from vk_providers.process.supervisor_client import SupervisorDisconnected, connect, start_supervisor


async def test_init_containers_run_one_by_one_before_the_others(tmp_path: Path) -> None:
    order = tmp_path / "order"
    inits = [sh(f"echo {name} >> {order}", name=name, kind="init") for name in ("one", "two")]
    main = sh(f"echo main >> {order}")
    async with supervised(tmp_path / "pod", [*inits, main], restart_policy="Never") as pod:
        report = await pod.end()
    assert order.read_text().split() == ["one", "two", "main"]
    assert [container(report, name).ready for name in ("one", "two", "c")] == [True, True, False]
    assert state(report).reason == "Completed"


async def test_a_failed_init_container_keeps_the_others_from_starting(tmp_path: Path) -> None:
    containers = [sh("exit 4", name="i", kind="init"), sh("echo never")]
    async with supervised(tmp_path / "pod", containers, restart_policy="Never") as pod:
        report = await pod.end()
    assert state(report, "i").exit_code == 4
    assert state(report) == vk.Waiting("PodInitializing")
    assert not (tmp_path / "pod/logs/c").exists()


@pytest.mark.parametrize(
    ("script", "exit_code", "number"),
    [("exit 0", 0, 0), ("exit 3", 3, 0), ("kill -KILL $$", 137, 9), ("kill -TERM $$", 143, 15)],
)
async def test_the_end_of_a_process_is_its_exit_code_and_signal(
    tmp_path: Path, script: str, exit_code: int, number: int
) -> None:
    async with supervised(tmp_path / "pod", [sh(script)], restart_policy="Never") as pod:
        report = await pod.end()
    ended = report.raw["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["signal"]) == (exit_code, number)
    assert ended["reason"] == ("Error" if exit_code else "Completed")
    assert ended["startedAt"] <= ended["finishedAt"]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"argv": ("no-such-command",)}, "No such file or directory"),
        ({"argv": ("/etc/passwd",)}, "Permission denied"),
        ({"argv": ("true",), "cwd": "/nowhere"}, "working directory '/nowhere'"),
    ],
)
async def test_a_command_that_cannot_start_reports_the_reason(
    tmp_path: Path, plan: dict[str, object], message: str
) -> None:
    broken = ContainerPlan(name="c", env=ENV, **plan)
    async with supervised(tmp_path / "pod", [broken], restart_policy="Never") as pod:
        report = await pod.end()
    assert (state(report).exit_code, state(report).reason) == (128, "StartError")
    assert message in state(report).message
    assert message in log_text(tmp_path / "pod")


async def test_a_container_gets_its_own_environment_folder_and_nothing_else(tmp_path: Path) -> None:
    script = "env | sort; pwd; umask; ls /proc/self/fd | wc -l; ps -o sid= -p $$"
    where = {"cwd": str(tmp_path), "env": {**ENV, "GREETING": "hé"}}
    async with supervised(tmp_path / "pod", [sh(script, **where)], restart_policy="Never") as pod:
        await pod.end()
        lines = log_text(tmp_path / "pod").splitlines()
    variables = [line for line in lines if "=" in line and not line.startswith(("_", "PWD"))]
    assert variables == ["GREETING=hé", f"PATH={ENV['PATH']}"]
    assert str(tmp_path) in lines
    assert "0022" in lines
    assert lines[-2] == "4"  # the three streams, and the folder that ls reads


async def test_only_a_failed_container_restarts_under_on_failure(tmp_path: Path) -> None:
    again = tmp_path / "again"
    script = f"test -e {again} && exit 0; touch {again}; exit 1"
    containers = [sh(script), sh("true", name="ok")]
    async with supervised(tmp_path / "pod", containers, restart_policy="OnFailure") as pod:
        report = await pod.end()
    assert container(report).restart_count == 1
    assert container(report).last_state.exit_code == 1
    assert state(report).exit_code == 0
    assert container(report, "ok").restart_count == 0


async def test_a_container_that_fails_again_waits_in_crash_loop_back_off(tmp_path: Path) -> None:
    """The first restart comes at once, as with the kubelet; the second waits 10 s."""
    async with supervised(tmp_path / "pod", [sh("echo run; exit 5")]) as pod:
        report = await pod.until(
            lambda report: (
                isinstance(state(report), vk.Waiting) and state(report).reason == "CrashLoopBackOff"
            )
        )
        assert state(report).message.startswith("back-off 10s restarting failed container=c pod=p_")
        assert container(report).restart_count == 1
        assert container(report).last_state.exit_code == 5
        await pod.link.stop(30)
        report = await pod.end()
    assert state(report).exit_code == 5
    assert sorted(os.listdir(tmp_path / "pod/logs/c")) == ["0.end", "0.log", "1.end", "1.log"]


async def test_stop_lets_a_container_end_by_itself(tmp_path: Path) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done"
    async with supervised(tmp_path / "pod", [sh(script)]) as pod:
        await first_line(pod)
        await pod.link.stop(60)
        report = await pod.end()
    assert state(report).exit_code == 0
    assert log_text(tmp_path / "pod").endswith("bye\n")
    assert report.stopping


async def test_stop_kills_the_whole_group_after_the_grace_period(tmp_path: Path) -> None:
    """Neither the shell nor its child obeys; both are gone when the pod has ended."""
    script = "trap '' TERM; sleep 1000 & echo $!; wait; wait; sleep 1000"
    async with supervised(tmp_path / "pod", [sh(script)]) as pod:
        child = await first_line(pod)
        await pod.link.stop(1000)
        await pod.event("Killing")
        await pod.link.stop(0.1)
        report = await pod.end()
    assert state(report).exit_code == 137
    await gone(int(child))


async def test_grace_0_kills_at_once(tmp_path: Path) -> None:
    hook = {"exec": ["sh", "-c", f"touch {tmp_path}/hooked"]}
    containers = [sh("trap '' TERM; sleep 1000", pre_stop=hook)]
    async with supervised(tmp_path / "pod", containers, grace_period=1000.0) as pod:
        await pod.until(is_up)
        await pod.link.stop(0)
        report = await pod.end()
    assert state(report).exit_code == 137
    assert not (tmp_path / "hooked").exists()


async def test_a_pod_stopped_before_a_container_started_has_no_outcome_for_it(
    tmp_path: Path,
) -> None:
    containers = [sh("sleep 1000", name="i", kind="init"), sh("true")]
    async with supervised(tmp_path / "pod", containers) as pod:
        await pod.until(lambda report: is_up(report, "i"))
        await pod.link.stop(30)
        report = await pod.end()
    assert state(report, "i").exit_code == 143
    assert (state(report).exit_code, state(report).reason) == (137, "ContainerStatusUnknown")


async def test_sidecars_start_in_their_place_and_end_last_in_reverse_order(tmp_path: Path) -> None:
    order = tmp_path / "order"

    def sidecar(name: str) -> ContainerPlan:
        script = f"echo {name} up >> {order}; trap 'echo {name} down >> {order}; exit 0' TERM;"
        return sh(script + " while :; do sleep 0.01; done", name=name, kind="sidecar")

    init = sh(
        f"until grep -q one {order}; do sleep 0.01; done; echo init >> {order}",
        name="i",
        kind="init",
    )
    main = sh(f"until grep -q two {order}; do sleep 0.01; done; echo main >> {order}")
    containers = [sidecar("one"), init, sidecar("two"), main]
    async with supervised(tmp_path / "pod", containers, restart_policy="Never") as pod:
        report = await pod.end()
    lines = order.read_text().splitlines()
    assert lines == ["one up", "init", "two up", "main", "two down", "one down"]
    assert [state(report, name).exit_code for name in ("one", "i", "two", "c")] == [0, 0, 0, 0]


async def test_a_sidecar_restarts_whatever_the_policy(tmp_path: Path) -> None:
    again = tmp_path / "again"
    side = sh(f"test -e {again} && sleep 1000; touch {again}", name="s", kind="sidecar")
    containers = [side, sh(f"until test -e {again}; do sleep 0.01; done; sleep 1000")]
    async with supervised(tmp_path / "pod", containers, restart_policy="Never") as pod:
        report = await pod.until(lambda r: container(r, "s").restart_count == 1 and is_up(r, "s"))
        assert container(report, "s").last_state.exit_code == 0


async def test_nothing_is_left_of_a_container_that_ended(tmp_path: Path) -> None:
    """A daemon with a session of its own included, once the pod has ended."""
    script = "sleep 1000 & echo $!; setsid sleep 1000 & echo $!"
    async with supervised(tmp_path / "pod", [sh(script)], restart_policy="Never") as pod:
        await pod.end()
        pids = [int(line) for line in log_text(tmp_path / "pod").split()]
    assert len(pids) == 2
    for pid in pids:
        await gone(pid)


async def test_an_orphan_is_adopted_and_reaped(tmp_path: Path) -> None:
    script = "(sh -c 'echo $$; read x < /dev/zero' &) ; sleep 1000"
    async with supervised(tmp_path / "pod", [sh(script)]) as pod:
        orphan = int(await first_line(pod))
        # Its parent, the subshell, may still be ending: then the supervisor is the next parent.
        while parent_of(orphan) != pod.supervisor():
            await gone(parent_of(orphan))
        assert orphan in (await pod.link.processes())["c"]
        os.kill(orphan, signal.SIGKILL)
        await gone(orphan)
        assert orphan not in (await pod.link.processes())["c"]
        async with asyncio.timeout(LIMIT):
            while exists(orphan):  # a zombie exists until it is reaped
                await pod.link.status()


async def test_a_killed_supervisor_takes_every_process_along(tmp_path: Path) -> None:
    script = "sleep 1000 & echo $!; setsid sh -c 'echo $$; sleep 1000' & echo $$; wait"
    folder = tmp_path / "pod"
    async with supervised(folder, [sh(script)]) as pod:
        await first_line(pod)
        async with asyncio.timeout(LIMIT):
            while len(pids := log_text(folder).split()) < 3:
                await pod.link.status()
        os.kill(pod.supervisor(), signal.SIGKILL)
        with pytest.raises(SupervisorDisconnected):
            await pod.end()
        await pod.gone()
        assert [pid for pid in pids if exists(int(pid))] == []
    report, _ = last_report(folder)
    assert is_up(report)
    assert not report.ended
    lost = report.lost()
    assert (state(lost).exit_code, state(lost).reason) == (137, "ContainerStatusUnknown")
    assert lost.ended


async def test_a_killed_guardian_ends_the_pod(tmp_path: Path) -> None:
    folder = tmp_path / "pod"
    async with supervised(folder, [sh("sleep 1000 & echo $!; wait")]) as pod:
        child = int(await first_line(pod))
        supervisor = pod.supervisor()
        os.kill(pod.reaper(), signal.SIGKILL)
        await gone(child)
        await gone(supervisor)
    assert not last_report(folder)[0].ended


async def test_a_lost_pod_is_never_started_again(tmp_path: Path) -> None:
    folder = tmp_path / "pod"
    async with supervised(folder, [sh("sleep 1000")]) as pod:
        await pod.until(is_up)
        os.kill(pod.supervisor(), signal.SIGKILL)
        await pod.gone()
    with pytest.raises(vk.PermanentError, match="ran before"):
        await start_supervisor(
            folder, PodPlan(key=vk.PodKey("d", "p", "u"), containers=[sh("true")])
        )
    with pytest.raises(vk.NotFoundError):
        await connect(folder)


async def test_a_second_start_finds_the_pod_that_runs(tmp_path: Path) -> None:
    folder = tmp_path / "pod"
    async with supervised(folder, [sh("sleep 1000")]) as pod:
        before = (await pod.until(is_up)).pids
        other = PodPlan(key=vk.PodKey("d", "p", "u"), containers=[sh("echo other")])
        link = await start_supervisor(folder, other)
        assert (await link.status()).pids == before
        link.close()


async def test_two_starts_at_once_make_one_supervisor(tmp_path: Path) -> None:
    folder = tmp_path / "pod"
    plan = PodPlan(key=vk.PodKey("d", "p", "u"), containers=[sh("echo run; sleep 1000")])
    async with supervised(folder, plan.containers) as pod:
        links = await asyncio.gather(*(start_supervisor(folder, plan) for _ in range(4)))
        pids = [(await link.status()).pids for link in (pod.link, *links)]
        assert pids == [pids[0]] * 5
        for link in links:
            link.close()


async def test_a_pod_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    folder = tmp_path / "pod"
    code = (
        "import asyncio, os, signal, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "import supervised as s, vk\n"
        "from vk_providers.process.supervisor_client import start_supervisor\n"
        "from vk_providers.process.plan import PodPlan\n"
        "async def main():\n"
        "    script = 'while :; do echo tick; sleep 0.01; done'\n"
        "    plan = PodPlan(key=vk.PodKey('d', 'p', 'u'), containers=[s.sh(script)])\n"
        f"    link = await start_supervisor(Path({str(folder)!r}), plan)\n"
        "    await s.Supervised(link.folder, link).until(s.is_up)\n"
        "    os.killpg(0, signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, start_new_session=True
    )
    assert await process.wait() == -signal.SIGKILL
    async with supervised(folder, [sh("echo other")]) as pod:
        report = await pod.link.status()
        assert is_up(report)
        assert report.key.uid == "u"
        size = len(log_text(folder))
        async with await pod.link.attach("c") as session:  # it still writes
            await read_until(session.stdout, b"tick")
        assert len(log_text(folder)) > size


async def test_a_pod_that_ended_without_a_client_is_read_from_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "pod"
    broken = ContainerPlan(name="b", env=ENV, argv=("no-such-command",))
    containers = [sh("read x; exit 6", stdin=True), broken]
    async with supervised(folder, containers, restart_policy="Never") as pod:
        async with await pod.link.attach("c", stdin=True) as session:
            await session.write(b"go\n")
            assert (await session.wait()).code == 6
        pod.link.close()
        await pod.gone()
        assert not is_running(folder)
        report, events = last_report(folder)
        assert report.ended
        assert state(report).exit_code == 6
        assert [(event.sequence, event.reason) for event in events] == [(1, "Failed")]
        assert report == report.lost()


async def test_a_signal_to_the_supervisor_stops_the_pod_with_its_grace(tmp_path: Path) -> None:
    """As when the machine is shut down."""
    script = "trap 'exit 9' TERM; while :; do sleep 0.01; done"
    async with supervised(tmp_path / "pod", [sh(script)], grace_period=60.0) as pod:
        await pod.output("true")
        os.kill(pod.supervisor(), signal.SIGTERM)
        report = await pod.end()
    assert state(report).exit_code in (9, 143)
    assert report.stopping


async def test_a_supervisor_stays_small(tmp_path: Path) -> None:
    """Own memory of supervisor and reaper of a running pod after use."""
    async with supervised(tmp_path / "pod", [sh("sleep 1000")]) as pod:
        await pod.output("echo warm")
        own = sum(_own_memory(pid) for pid in (pod.supervisor(), pod.reaper()))
    assert 0 < own < 16 * 1024


def _own_memory(pid: int) -> int:
    """Memory that no other process shares, in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


async def test_the_plan_is_not_left_on_the_disk(tmp_path: Path) -> None:
    """It holds the containers' environment, and secrets in it."""
    async with supervised(tmp_path / "pod", [sh("true")], restart_policy="Never") as pod:
        await pod.end()
    assert not (tmp_path / "pod/plan.json").exists()
    assert (tmp_path / "pod").stat().st_mode & 0o077 == 0
    assert (tmp_path / "pod/supervisor.log").read_text() == ""


async def test_only_root_runs_a_command_as_another_user(tmp_path: Path) -> None:
    other = sh("id -u; id -g; id -G", uid=65_534, gid=65_533, groups=(65_532,))
    async with supervised(tmp_path / "pod", [other], restart_policy="Never") as pod:
        report = await pod.end()
    if os.geteuid() == 0:
        assert log_text(pod.folder).split() == ["65534", "65533", "65533", "65532"]
    else:
        assert "user 65534, group 65533" in state(report).message


async def test_another_users_command_ends_with_the_supervisor_too(tmp_path: Path) -> None:
    """A change of user resets the signal that Linux sends when the parent ends."""
    uid = 65_534 if os.geteuid() == 0 else os.geteuid()
    async with supervised(tmp_path / "pod", [sh("echo $$; exec sleep 1000", uid=uid)]) as pod:
        pid = int(await first_line(pod))
        os.kill(pod.reaper(), signal.SIGSTOP)  # so that it is the kernel that ends it
        reaper, supervisor = pod.reaper(), pod.supervisor()
        os.kill(supervisor, signal.SIGKILL)
        await gone(pid)
        os.kill(reaper, signal.SIGCONT)


def test_the_supervisor_loads_nothing_that_it_does_not_need() -> None:
    """Each of these would cost a megabyte or more in every pod."""
    folder = Path(supervisor.__file__).parent
    names = [f"supervisor.{path.stem}" for path in folder.glob("*.py") if path.stem[0] != "_"]
    code = f"import sys; sys.path.insert(0, {str(folder.parent)!r})\n"
    code += "".join(f"import {name}\n" for name in names) + "print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert set(names) <= set(loaded)
    costly = ("asyncio", "attrs", "dataclasses", "logging", "ssl", "subprocess", "typing", "vk")
    assert [name for name in costly if name in loaded] == []
