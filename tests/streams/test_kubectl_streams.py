"""kubectl exec, attach, run, cp and port-forward, on each way, through both API servers."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import Process
from pathlib import Path

import orjson
import pytest
from kubectl_process import line_of
from pseudo_terminal import Terminal, on_terminal
from streams_world import NODE, World, everywhere

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

MEBI = 1 << 20
REVERSING = """
import asyncio

async def answer(reader, writer):
    writer.write((await reader.read())[::-1])
    await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@everywhere
@pytest.mark.parametrize("code", [0, 1, 137])
async def test_an_exit_code_arrives_with_both_outputs(
    way: World, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vk.server")
    script = f"echo out; echo err >&2; exit {code}"
    done = await way.kubectl.run("exec", "web", "--", "sh", "-c", script)
    assert (done.code, done.out) == (code, b"out\n")
    assert done.errors.startswith(b"err\n")
    over = "websocket" if way.way == "websocket" else "SPDY/3.1"
    assert _spoken(caplog) == [f"{over} v5.channel.k8s.io"]


def _spoken(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the node says it has spoken with the API server."""
    begun = [record for record in caplog.records if record.getMessage() == "session started"]
    return [record.__dict__["over"] for record in begun]


@everywhere
async def test_a_command_ends_with_its_client(way: World) -> None:
    mark = f"{os.getpid()}{way.way}"
    async with way.kubectl.running(
        "exec", "web", "--", "sh", "-c", f": {mark}; echo up; sleep 1000"
    ) as child:
        assert await line_of(child) == "up"
        assert _running(mark)
    async with asyncio.timeout(20):
        while _running(mark):
            await way.kubectl("get", "--raw", "/healthz")


def _running(mark: str) -> bool:
    commands = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    return any(command.startswith(f"sh\0-c\0: {mark};".encode()) for command in commands)


@pytest.mark.parametrize("way", ["websocket", "spdy"], indirect=True)
async def test_a_client_that_is_stopped_holds_up_its_command_and_no_other(way: World) -> None:
    """All that waits on the way to it is bounded; when it dies the command ends."""
    script = ("sh", "-c", "echo $$; exec yes")
    async with way.kubectl.running("exec", "web", "--", *script) as child:
        command = Path("/proc", await line_of(child))
        child.send_signal(signal.SIGSTOP)
        before, written = -1, 0
        while written != before:
            await way.kubectl("exec", "web", "--", "true")
            before, written = written, _written(command)
        assert 65536 < written < 64 * MEBI  # more than a pipe holds
        child.kill()
        async with asyncio.timeout(20):
            while _lives(command):
                await way.kubectl("get", "--raw", "/healthz")


def _lives(process: Path) -> bool:
    return process.exists()


def _written(process: Path) -> int:
    lines = dict(line.split(": ") for line in (process / "io").read_text().splitlines())
    return int(lines["wchar"])


@everywhere
async def test_a_command_that_is_not_there_is_an_error(way: World) -> None:
    done = await way.kubectl.run("exec", "web", "--", "no-such-command")
    assert done.code not in (0, None)
    assert b"no-such-command" in done.errors


async def test_64_mib_come_back_byte_for_byte(way: World) -> None:
    data = os.urandom(64 * MEBI)
    done = await way.kubectl.run("exec", "-i", "web", "--", "cat", input=data)
    assert done.code == 0, done.errors
    assert done.out == data


@everywhere
async def test_attach_reaches_the_main_process(way: World) -> None:
    name = f"attached-{way.way}"
    await way.run_pod(
        name, "exec cat", restartPolicy="Never", container={"stdin": True, "stdinOnce": True}
    )
    done = await way.kubectl.run("attach", "-i", name, input=b"hello\n")
    assert (done.code, done.out) == (0, b"hello\n"), done.errors


@everywhere
async def test_run_starts_attaches_and_removes(way: World) -> None:
    overrides = '{"spec":{"nodeName":"' + NODE + '"}}'
    command = ("run", "once", "--image=none", "-i", "--rm", "--restart=Never", "--quiet")
    done = await way.kubectl.run(
        *command, f"--overrides={overrides}", "--command", "--", "cat", input=b"hello\n"
    )
    assert (done.code, done.out) == (0, b"hello\n"), done.errors
    assert "not found" in await way.kubectl("get", "pod", "once", code=1)


@everywhere
async def test_a_terminal_has_the_clients_size_and_follows_it(way: World) -> None:
    # As with a container runtime, the command may start before the first size has come.
    script = (
        "for rows in 33 44; do until [ $(stty size | cut -c1-2) = $rows ]; do sleep 0.05; done; "
        "stty size; done; exit 3"
    )
    command = ("exec", "-it", "web", "--", "sh", "-c", script)
    async with on_terminal(way.kubectl, *command, rows=33, columns=101) as terminal:
        await terminal.sees("33 101")
        terminal.resize(44, 120)
        await terminal.sees("44 120")
        assert await terminal.exit_code() == 3


@everywhere
async def test_exec_gives_a_shell_on_a_terminal(way: World) -> None:
    async with on_terminal(way.kubectl, "exec", "-it", "web", "--", "sh") as terminal:
        await _use_shell(terminal)
        assert await terminal.exit_code() == 4


@everywhere
async def test_attach_gives_the_containers_own_shell_on_its_terminal(way: World) -> None:
    name = f"shell-{way.way}"
    container = {"command": ["sh"], "stdin": True, "tty": True}
    await way.run_pod(name, "", restartPolicy="Never", container=container)
    async with on_terminal(way.kubectl, "attach", "-it", name) as terminal:
        await _use_shell(terminal)
        await terminal.exit_code()  # attach knows of none
    code = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}=4"
    await way.kubectl("wait", f"pod/{name}", f"--for={code}", "--timeout=20s")


@everywhere
async def test_run_gives_a_shell_on_a_terminal_and_removes_it(way: World) -> None:
    overrides = '{"spec":{"nodeName":"' + NODE + '"}}'
    command = ("run", "shell", "--image=none", "-it", "--rm", "--restart=Never")
    async with on_terminal(
        way.kubectl, *command, f"--overrides={overrides}", "--command", "--", "sh"
    ) as terminal:
        await _use_shell(terminal)
        assert await terminal.exit_code() == 4
    assert "not found" in await way.kubectl("get", "pod", "shell", code=1)


async def _use_shell(terminal: Terminal) -> None:
    """Do what only the owner of a terminal can, and leave with 4."""
    terminal.type("PS1=; echo u''p\n")
    await terminal.sees("up\r\n")
    terminal.type("sh -c \"echo wait''ing; exec sleep 1000\"\n")
    await terminal.sees("waiting\r\n")
    terminal.type("\x03")
    terminal.type("echo code=$?\n")
    await terminal.sees("code=130\r\n")
    terminal.type("exit 4\n")


@everywhere
async def test_a_folder_is_copied_there_and_back(way: World, tmp_path: Path) -> None:
    source, back, there = tmp_path / "source", tmp_path / "back", f"there-{way.way}"
    source.mkdir()
    (source / "large").write_bytes(os.urandom(5 * MEBI))
    await way.kubectl("cp", str(source), f"web:{there}")
    await way.kubectl("cp", f"web:{there}", str(back))
    assert (back / "large").read_bytes() == (source / "large").read_bytes()


async def test_twenty_connections_are_forwarded_at_a_time_and_half_closed(
    way: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "vk.server")
    port = await _run_server(way, "server")
    async with way.kubectl.running("port-forward", "server", f":{port}") as child:
        local = await _local_port(child)
        sent = [os.urandom(200_000) for _ in range(20)]
        got = await asyncio.gather(*(_ask(local, data) for data in sent))
    assert [data[::-1] for data in got] == sent
    over = "websocket SPDY/3.1+" if way.way == "websocket" else "SPDY/3.1 "
    assert _spoken(caplog)[-1] == f"{over}portforward.k8s.io"


@pytest.mark.parametrize("way", ["websocket"], indirect=True)
async def test_a_forged_address_in_a_status_moves_no_connection(way: World) -> None:
    """A user that may write statuses cannot point the node elsewhere: its provider knows it."""
    port = await _run_server(way, "forged")
    forged = {"podIP": "192.0.2.1", "podIPs": [{"ip": "192.0.2.1"}], "hostIP": "192.0.2.2"}
    patch = orjson.dumps({"status": forged}).decode()
    await way.kubectl("patch", "pod", "forged", "--subresource=status", "--type=merge", "-p", patch)
    async with way.kubectl.running("port-forward", "forged", f":{port}") as child:
        assert await _ask(await _local_port(child), b"abc") == b"cba"


async def _run_server(way: World, name: str) -> str:
    """Run a pod that answers with what it was sent, reversed; return its port."""
    script = way.folder / "reversing.py"
    script.write_text(REVERSING)
    await way.run_pod(name, f"exec {sys.executable} {script}")
    async with way.kubectl.running("logs", "-f", name) as following:
        return await line_of(following)


async def test_a_port_on_which_nothing_listens_closes_the_connection(way: World) -> None:
    async with way.kubectl.running("port-forward", "web", ":1") as child:
        assert await _ask(await _local_port(child), b"x") == b""


async def _local_port(child: Process) -> int:
    return int((await line_of(child)).split()[2].rpartition(":")[2])


async def _ask(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
