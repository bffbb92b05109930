"""Shells on a terminal, and what the environment of a pod may reach, isolated or not."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from isolation_here import both_ways, needs_bubblewrap, needs_root
from process_world import LIMIT, Client, ended, node, pod, sh

import vk

pytestmark = pytest.mark.slow

OWNS = "read -r a b c d group session tty front rest < /proc/$$/stat"


async def _use_shell(io: Client) -> None:
    """Type into a shell what needs a terminal of its own, and leave it with 4."""
    io.keyboard.put_nowait(b"PS1=; echo u''p\n")
    await io.hears(b"up\r\n")
    io.keyboard.put_nowait(f"{OWNS}; echo own=$((session == $$ && front == $$))\n".encode())
    await io.hears(b"own=1\r\n")
    io.keyboard.put_nowait(b"sh -c \"echo wait''ing; exec sleep 1000\"\n")
    await io.hears(b"waiting\r\n")
    io.keyboard.put_nowait(b"\x03")
    io.keyboard.put_nowait(b"echo code=$?\n")
    await io.hears(b"code=130\r\n")
    io.keyboard.put_nowait(b"exit 4\n")


@both_ways
@pytest.mark.parametrize("user", [None, pytest.param(12345, marks=needs_root)])
async def test_a_shell_on_a_terminal_has_job_control_and_its_exit_code(
    state: Path, isolation: str, user: int | None
) -> None:
    async with node(state, isolation=isolation) as here:
        wanted = pod(sh("sleep 1000"), securityContext={"runAsUser": user})
        await here.create(wanted)
        await here.until(wanted)
        io = Client(tty=True)
        running = asyncio.ensure_future(
            here.provider.exec(vk.ContainerKey(wanted.key, "c"), ["sh"], io)
        )
        await _use_shell(io)
        async with asyncio.timeout(LIMIT):
            assert await running == 4
        assert b"tty" not in io.said.replace(b"b c d group session tty", b"")


@both_ways
async def test_a_container_on_a_terminal_has_job_control_and_its_exit_code(
    state: Path, isolation: str
) -> None:
    async with node(state, isolation=isolation) as here:
        wanted = pod({"name": "c", "command": ["sh"], "stdin": True, "tty": True})
        await here.create(wanted)
        await here.until(wanted)
        io = Client(tty=True)
        attached = asyncio.ensure_future(here.provider.attach(vk.ContainerKey(wanted.key, "c"), io))
        await _use_shell(io)
        status = await here.until(wanted, ended)
        async with asyncio.timeout(LIMIT):
            await attached
        assert ended(status).exit_code == 4


@needs_bubblewrap
async def test_a_pods_environment_reaches_nothing_outside_of_its_container(state: Path) -> None:
    """The loader of every program that starts with these variables writes such files."""
    traces = state / "trace"
    env = {"LD_DEBUG": "libs", "LD_DEBUG_OUTPUT": str(traces), "VK_TEST": "as wanted"}
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    async with node(state, isolation="bubblewrap") as here:
        wanted = pod(
            sh(
                "sleep 1000",
                env=[{"name": name, "value": value} for name, value in env.items()],
                readinessProbe=probe,
            )
        )
        await here.create(wanted)
        await here.until(wanted, lambda status: status.containers[0].ready)
        said = await here.output(wanted, "echo $VK_TEST; echo $LD_DEBUG")
        assert "as wanted\n" in said and "libs\n" in said  # and what the loader says
    assert [name for name in os.listdir(state) if name.startswith("trace")] == []


@both_ways
async def test_no_command_line_shows_a_pods_environment(state: Path, isolation: str) -> None:
    async with node(state, isolation=isolation) as here:
        env = [{"name": "TOKEN", "value": "do-not-show-this"}]
        wanted = pod(sh("sleep 1000", env=env))
        await here.create(wanted)
        await here.until(wanted)
        io = Client(tty=True)
        running = asyncio.ensure_future(
            here.provider.exec(
                vk.ContainerKey(wanted.key, "c"), ["sh", "-c", "echo $TOKEN; cat"], io
            )
        )
        await io.hears(b"do-not-show-this")
        assert b"do-not-show-this" not in b"".join(_command_lines())
        io.keyboard.put_nowait(b"\x04")
        async with asyncio.timeout(LIMIT):
            assert await running == 0


def _command_lines() -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:  # it has ended
            continue
    return found
