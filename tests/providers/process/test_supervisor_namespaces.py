"""A container in namespaces is stopped, reaped and ended like any other container."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from isolation_here import needs_bubblewrap
from supervised import (
    LIMIT,
    first_line,
    gone,
    is_up,
    log_text,
    read_until,
    sh,
    state,
    supervised,
)

import vk
from vk_providers.process.isolation import Bubblewrap
from vk_providers.process.plan import ContainerPlan
from vk_providers.process.supervisor.linux import descendants, process_table

pytestmark = pytest.mark.slow

CELL = Bubblewrap(program="bwrap").namespaces(root=Path("/"), mounts=(), hostname="namespaces")


def isolated(script: str, **fields: Any) -> ContainerPlan:
    """A container in namespaces."""
    return sh(script, namespaces=CELL, **fields)


@needs_bubblewrap
async def test_a_container_in_a_cell_gets_the_stop_signal_and_ends_with_its_own_code(
    tmp_path: Path,
) -> None:
    script = "trap 'echo stopped; exit 3' TERM; echo up; while :; do sleep 0.01; done"
    async with supervised(tmp_path / "pod", [isolated(script)], restart_policy="Never") as pod:
        await first_line(pod)
        namespace = await pod.output("readlink /proc/self/ns/mnt")
        assert namespace.strip() != os.readlink("/proc/self/ns/mnt")
        await pod.link.stop(60)
        report = await pod.end()
    assert state(report).exit_code == 3
    assert log_text(pod.folder).endswith("stopped\n")


@needs_bubblewrap
async def test_what_the_main_process_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    script = "setsid sh -c 'trap \"\" TERM; sleep 1000' & echo up; trap 'exit 0' TERM; wait"
    async with supervised(tmp_path / "pod", [isolated(script)], restart_policy="Never") as pod:
        await first_line(pod)
        below = _processes_of_the_cell(pod.supervisor())
        assert len(below) >= 3
        await pod.link.stop(1000)
        report = await pod.end()
        for pid in below:
            await gone(pid)
    assert state(report).exit_code == 0


@needs_bubblewrap
async def test_orphans_in_a_cell_are_reaped(tmp_path: Path) -> None:
    async with supervised(tmp_path / "pod", [isolated("sleep 1000")]) as pod:
        await pod.until(is_up)
        await pod.output("for i in 1 2 3; do (sleep 0 &); done")
        look = "until ! grep -l 'State:.Z' /proc/[0-9]*/status; do :; done 2>/dev/null; echo done"
        assert (await pod.output(look)).endswith("done\n")


@needs_bubblewrap
async def test_what_is_in_a_cell_ends_with_the_supervisor(tmp_path: Path) -> None:
    script = "setsid sleep 1000 & echo up; exec sleep 1000"
    async with supervised(tmp_path / "pod", [isolated(script)]) as pod:
        await first_line(pod)
        await pod.output("until test $(grep -l ^sleep$ /proc/[0-9]*/comm | wc -l) = 2; do :; done")
        reaper, supervisor = pod.reaper(), pod.supervisor()
        below = _processes_of_the_cell(supervisor)
        sleeping = [pid for pid in below if _command(pid) == "sleep"]
        assert len(sleeping) == 2
        os.kill(reaper, signal.SIGSTOP)  # so that it is the kernel that ends them
        try:
            os.kill(supervisor, signal.SIGKILL)
            for pid in sleeping:
                await gone(pid)
        finally:
            os.kill(reaper, signal.SIGCONT)


async def test_a_failure_to_create_namespaces_is_reported(tmp_path: Path) -> None:
    broken = sh("true", namespaces=("sh", "-c", "echo no room here >&2; exec sleep 1000"))
    async with supervised(tmp_path / "pod", [broken], restart_policy="Never") as pod:
        report = await pod.end()
    assert (state(report).reason, state(report).message) == ("StartError", "no room here")


@pytest.mark.parametrize("policy", ["Never", "Always"])
async def test_a_pod_whose_cell_is_being_built_can_be_ended(tmp_path: Path, policy: str) -> None:
    stuck = sh("true", namespaces=("sh", "-c", "exec sleep 1000"))
    async with supervised(tmp_path / "pod", [stuck], restart_policy=policy) as pod:
        await pod.link.stop(1000)
        report = await pod.end()
        await pod.gone()
    assert state(report).exit_code == 137
    assert "before it started" in state(report).message


@needs_bubblewrap
async def test_a_restart_whose_cell_is_being_built_can_be_ended_and_shows_the_last_end(
    tmp_path: Path,
) -> None:
    once = f'test -e {tmp_path}/built && exec sleep 1000; : > {tmp_path}/built; exec "$@"'
    failing = sh("exit 3", namespaces=("sh", "-c", once, "sh", *CELL))
    async with supervised(tmp_path / "pod", [failing], restart_policy="Always") as pod:
        await pod.until(lambda report: isinstance(state(report), vk.Terminated))
        await pod.link.stop(1000)
        report = await pod.end()
    assert (state(report).exit_code, state(report).reason) == (3, "Error")


@needs_bubblewrap
@pytest.mark.parametrize(
    ("command", "code", "text"),
    [("no-such-command", 127, b"No such file"), ("/etc/passwd", 126, b"Permission denied")],
)
async def test_a_command_that_cannot_be_executed_in_namespaces_is_reported(
    tmp_path: Path, command: str, code: int, text: bytes
) -> None:
    async with supervised(tmp_path / "pod", [isolated("sleep 1000")]) as pod:
        await pod.until(is_up)
        async with await pod.link.exec("c", [command]) as session, asyncio.timeout(LIMIT):
            assert text in await read_until(session.stderr, b"\n")
            assert (await session.wait()).code == code


def _processes_of_the_cell(supervisor: int) -> list[int]:
    """All processes below the supervisor."""
    return sorted(descendants(process_table(), supervisor))


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
