"""Exec and attach sessions: streams, terminals, exit codes, and lifetimes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from pathlib import Path

import pytest
from supervised import (
    LIMIT,
    Supervised,
    first_line,
    gone,
    is_up,
    log_text,
    read_all,
    read_until,
    sh,
    state,
    supervised,
)

import vk
from vk_providers.process.supervisor_client import SupervisorDisconnected, connect
from vk_providers.process.supervisor_session import SupervisorSession

SLEEP = sh("sleep 1000")


async def wait(session: SupervisorSession) -> int:
    async with asyncio.timeout(LIMIT):
        return (await session.wait()).code


@pytest.mark.parametrize("exit_code", [0, 1, 137])
async def test_exec_gives_both_streams_and_the_exit_code(tmp_path: Path, exit_code: int) -> None:
    async with supervised(tmp_path / "pod", [SLEEP]) as pod:
        script = f"echo out; echo err >&2; exit {exit_code}"
        async with await pod.link.exec("c", ["sh", "-c", script]) as session:
            assert await wait(session) == exit_code
            assert await read_all(session.stdout) == b"out\n"
            assert await read_all(session.stderr) == b"err\n"
            assert not session.tty


async def test_a_command_ended_by_a_signal_is_128_and_its_number(tmp_path: Path) -> None:
    async with (
        supervised(tmp_path / "pod", [SLEEP]) as pod,
        await pod.link.exec("c", ["sh", "-c", "kill -9 $$"]) as session,
    ):
        assert (await session.wait()).code == 137
        assert (await session.wait()).signal == 9


@pytest.mark.parametrize(
    ("command", "exit_code", "text"),
    [("no-such-command", 127, b"No such file"), ("/etc/passwd", 126, b"Permission denied")],
)
async def test_a_command_that_cannot_run_reports_it_on_stderr(
    tmp_path: Path, command: str, exit_code: int, text: bytes
) -> None:
    async with (
        supervised(tmp_path / "pod", [SLEEP]) as pod,
        await pod.link.exec("c", [command]) as session,
    ):
        assert text in await read_all(session.stderr)
        assert await wait(session) == exit_code


async def test_exec_has_the_containers_environment_and_more(tmp_path: Path) -> None:
    containers = [sh("sleep 1000", env={"PATH": "/usr/bin:/bin", "A": "1"}, cwd=str(tmp_path))]
    async with (
        supervised(tmp_path / "pod", containers) as pod,
        await pod.link.exec("c", ["sh", "-c", "echo $A$B; pwd"], env={"B": "2"}) as run,
    ):
        assert await read_all(run.stdout) == f"12\n{tmp_path}\n".encode()


async def test_exec_without_stdin_reads_nothing_and_with_it_until_its_end(tmp_path: Path) -> None:
    async with supervised(tmp_path / "pod", [SLEEP]) as pod:
        async with await pod.link.exec("c", ["cat"]) as session:
            assert await wait(session) == 0
        async with await pod.link.exec("c", ["cat"], stdin=True) as session:
            await session.write(b"half ")
            assert await read_until(session.stdout, b"half ") == b"half "
            await session.write(b"closed")
            session.end_input()
            assert await read_all(session.stdout) == b"closed"
            assert await wait(session) == 0


async def test_unread_stdin_is_no_error(tmp_path: Path) -> None:
    async with (
        supervised(tmp_path / "pod", [SLEEP]) as pod,
        await pod.link.exec("c", ["true"], stdin=True) as session,
    ):
        async with asyncio.timeout(LIMIT):
            await session.write(bytes(2 * 1024 * 1024))
        assert await wait(session) == 0


async def test_an_unread_stream_stops_itself_only(tmp_path: Path) -> None:
    """Back-pressure is for each stream: megabytes on stderr do not hold stdout up."""
    script = "head -c 4000000 /dev/zero >&2 & echo out; wait; echo done"
    async with (
        supervised(tmp_path / "pod", [SLEEP]) as pod,
        await pod.link.exec("c", ["sh", "-c", script]) as session,
    ):
        assert await read_until(session.stdout, b"out\n") == b"out\n"
        assert len(await read_all(session.stderr)) == 4_000_000
        assert await read_all(session.stdout) == b"done\n"


async def send(session: SupervisorSession, block: bytes, times: int) -> None:
    for _ in range(times):
        await session.write(block)
    session.end_input()


@pytest.mark.slow
async def test_64_megabytes_go_through_stdin_and_back(tmp_path: Path) -> None:
    block, got = os.urandom(1024 * 1024), hashlib.sha256()
    async with (
        supervised(tmp_path / "pod", [SLEEP]) as pod,
        await pod.link.exec("c", ["cat"], stdin=True) as session,
        asyncio.timeout(60),
        asyncio.TaskGroup() as group,
    ):
        group.create_task(send(session, block, 64))
        while chunk := await session.stdout.read():
            got.update(chunk)
        assert await wait(session) == 0
    assert got.digest() == hashlib.sha256(block * 64).digest()


async def test_a_terminal_has_a_size_that_follows(tmp_path: Path) -> None:
    script = "trap 'stty size' WINCH; tty; echo $TERM; stty size; while :; do read x; done"
    async with (
        supervised(tmp_path / "pod", [SLEEP]) as pod,
        await pod.link.exec("c", ["sh", "-c", script], tty=True, size=(80, 24)) as session,
    ):
        assert session.tty
        text = await read_until(session.stdout, b"24 80\r\n")
        assert text.startswith(b"/dev/pts/")
        assert b"xterm" in text
        session.resize(120, 40)
        assert b"40 120\r\n" in await read_until(session.stdout, b"40 120\r\n")


async def test_a_terminal_passes_control_characters_on(tmp_path: Path) -> None:
    async with supervised(tmp_path / "pod", [SLEEP]) as pod:
        async with await pod.link.exec("c", ["cat"], tty=True, stdin=True) as session:
            await session.write(b"hello\n")
            await read_until(session.stdout, b"hello\r\nhello\r\n")
            await session.write(b"\x03")
            assert await wait(session) == 130
        async with await pod.link.exec("c", ["cat"], tty=True, stdin=True) as session:
            session.end_input()  # becomes the end-of-file character
            assert await wait(session) == 0


async def test_a_command_that_closes_its_terminal_ends_with_its_own_exit_code(
    tmp_path: Path,
) -> None:
    """Not with SIGHUP, which it would get from a terminal that is closed with its streams."""
    script = "exec 0<&- 1>&- 2>&-; sleep 0.2; exit 5"
    async with (
        supervised(tmp_path / "pod", [SLEEP]) as pod,
        await pod.link.exec("c", ["sh", "-c", script], tty=True) as session,
    ):
        assert await wait(session) == 5


async def sleeper(session: SupervisorSession) -> int:
    """The id of a command's child, from its first line."""
    return int(await read_until(session.stdout, b"\n"))


FORKS = "trap '' HUP TERM; sleep 1000 & echo $!; wait"


@pytest.mark.parametrize("tty", [False, True])
async def test_a_closed_session_ends_the_command_and_what_it_started(
    tmp_path: Path, tty: bool
) -> None:
    async with supervised(tmp_path / "pod", [SLEEP]) as pod:
        async with await pod.link.exec("c", ["sh", "-c", FORKS], tty=tty) as session:
            child = await sleeper(session)
        await gone(child)
        assert is_up(await pod.link.status())


async def test_a_client_that_goes_away_ends_its_own_commands_only(tmp_path: Path) -> None:
    async with supervised(tmp_path / "pod", [SLEEP]) as pod:
        other = await connect(pod.folder)
        async with await pod.link.exec("c", ["cat"], stdin=True) as stays:
            session = await other.exec("c", ["sh", "-c", FORKS])
            child = await sleeper(session)
            other.close()
            with pytest.raises(SupervisorDisconnected):
                await session.wait()
            await gone(child)
            await stays.write(b"still here")
            assert await read_until(stays.stdout, b"still here")


async def test_what_a_command_leaves_behind_runs_until_its_container_ends(tmp_path: Path) -> None:
    async with supervised(tmp_path / "pod", [SLEEP], restart_policy="Never") as pod:
        script = "sleep 1000 > /dev/null & echo $!"
        child = int(await pod.output(script))
        assert child in (await pod.link.processes())["c"]
        await pod.link.stop(30)
        await pod.end()
        await gone(child)


async def test_a_command_in_a_container_that_does_not_run_is_refused(tmp_path: Path) -> None:
    containers = [sh("sleep 1000", name="i", kind="init"), SLEEP]
    async with supervised(tmp_path / "pod", containers) as pod:
        for name in ("c", "unknown"):
            with pytest.raises(vk.TemporaryError, match=f"container {name} is not running"):
                await pod.link.exec(name, ["true"])
            with pytest.raises(vk.TemporaryError, match=f"container {name} is not running"):
                await pod.link.attach(name)
        assert await pod.output("echo init", container="i") == "init\n"


async def test_attach_reads_and_writes_the_containers_own_streams(tmp_path: Path) -> None:
    script = "while read x; do echo got $x; echo oh >&2; done; exit 3"
    containers = [sh(script, stdin=True, stdin_once=True)]
    async with supervised(tmp_path / "pod", containers, restart_policy="Never") as pod:
        async with (
            await pod.link.attach("c") as reader,
            await pod.link.attach("c", stdin=True) as writer,
        ):
            await writer.write(b"this\n")
            assert await read_until(reader.stdout, b"\n") == b"got this\n"
            assert await read_until(writer.stdout, b"\n") == b"got this\n"
            assert await read_until(reader.stderr, b"\n") == b"oh\n"
            writer.end_input()
            assert await wait(writer) == await wait(reader) == 3
        await pod.end()
    assert log_text(pod.folder) == "got this\noh\n"


async def test_a_container_outlives_whoever_was_attached(tmp_path: Path) -> None:
    containers = [sh("while read x; do echo got $x; done", stdin=True)]
    async with supervised(tmp_path / "pod", containers) as pod:
        for word in (b"one", b"two"):
            async with await pod.link.attach("c", stdin=True) as session:
                await session.write(word + b"\n")
                assert await read_until(session.stdout, b"\n") == b"got " + word + b"\n"
                session.end_input()
        assert is_up(await pod.link.status())


async def test_a_containers_terminal_can_be_attached_and_resized(tmp_path: Path) -> None:
    script = "trap 'stty size' WINCH; while :; do read x && echo got $x; done"
    async with (
        supervised(tmp_path / "pod", [sh(script, stdin=True, tty=True)]) as pod,
        await pod.link.attach("c", stdin=True) as session,
    ):
        assert session.tty
        await session.write(b"this\n")
        await read_until(session.stdout, b"got this\r\n")
        session.resize(77, 33)
        await read_until(session.stdout, b"33 77\r\n")


@pytest.mark.slow
async def test_an_attached_client_that_reads_nothing_is_cut_off(tmp_path: Path) -> None:
    """Its container waits 5 s for it once, then writes on."""
    containers = [sh("head -c 2000000 /dev/zero | tr '\\0' '\\n'; exit 4", stdin=False)]
    async with supervised(
        tmp_path / "pod",
        [sh("read x", name="i", kind="init", stdin=True), *containers],
        restart_policy="Never",
    ) as pod:
        await pod.until(lambda report: is_up(report, "i"))
        async with await pod.link.attach("i", stdin=True) as start:
            await start.write(b"go\n")
            await pod.until(is_up)
        async with await pod.link.attach("c") as session:
            report = await pod.end()
            assert "disconnected" in (await session.wait()).message
        assert state(report).exit_code == 4


async def test_without_clients_nothing_blocks(tmp_path: Path) -> None:
    script = f"head -c 3000000 /dev/zero | tr '\\0' '\\n'; touch {tmp_path}/done"
    async with supervised(tmp_path / "pod", [sh(script)], restart_policy="Never") as pod:
        pod.link.close()
        await pod.gone()
    assert (tmp_path / "done").exists()


async def test_a_link_that_breaks_the_protocol_is_cut_and_the_pod_goes_on(tmp_path: Path) -> None:
    async with supervised(tmp_path / "pod", [SLEEP]) as pod:
        await pod.until(is_up)
        for nonsense in (b"GET / HTTP/1.1\r\n\r\n" * 4, b"\0\0\0\2\0\0\0\0\0{]"):
            reader, writer = await raw_connection(pod)
            writer.write(nonsense)
            async with asyncio.timeout(LIMIT):
                assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
        assert is_up(await pod.link.status())


async def raw_connection(pod: Supervised) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    folder = os.open(pod.folder, os.O_PATH)
    try:
        return await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/supervisor.sock")
    finally:
        os.close(folder)


async def test_a_signal_reaches_the_container(tmp_path: Path) -> None:
    script = "trap 'echo got it; exit 5' USR1; echo up; while :; do sleep 0.01; done"
    async with supervised(tmp_path / "pod", [sh(script)], restart_policy="Never") as pod:
        await first_line(pod)
        await pod.link.signal("c", signal.SIGUSR1)
        assert state(await pod.end()).exit_code == 5
