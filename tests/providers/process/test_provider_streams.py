"""Exec, attach and port-forward carry bytes both ways, and know how a command ended."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import attrs
import pytest
from isolation_here import both_ways
from process_world import LIMIT, Client, Node, children_of, ended, is_up, node, pod, sh
from supervised import gone

import vk

pytestmark = pytest.mark.slow


async def _run(here: Node, wanted: vk.Pod, io: Client, *command: str) -> int | None:
    async with asyncio.timeout(LIMIT):
        return await here.provider.exec(vk.ContainerKey(wanted.key, "c"), command, io)


async def _sleeper(here: Node) -> vk.Pod:
    wanted = pod(sh("sleep 1000"))
    await here.create(wanted)
    await here.until(wanted)
    return wanted


@both_ways
@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)])
async def test_the_exit_code_of_a_command_is_returned(
    state: Path, isolation: str, script: str, code: int
) -> None:
    async with node(state, isolation=isolation) as here:
        wanted = await _sleeper(here)
        io = Client()
        assert await _run(here, wanted, io, "sh", "-c", f"echo out; echo err >&2; {script}") == code
        assert (io.said, io.complained) == (b"out\n", b"err\n")


async def test_a_missing_command_is_127_with_a_message(state: Path) -> None:
    async with node(state) as here:
        wanted = await _sleeper(here)
        io = Client()
        assert await _run(here, wanted, io, "no-such-command") == 127
        assert b"No such file" in io.complained


@both_ways
async def test_what_is_piped_in_comes_back_byte_for_byte(state: Path, isolation: str) -> None:
    async with node(state, isolation=isolation) as here:
        wanted = await _sleeper(here)
        content = os.urandom(4 * 1024 * 1024)
        io = Client(typed=content)
        assert await _run(here, wanted, io, "cat") == 0
        assert io.said == content


@both_ways
async def test_a_terminal_has_the_clients_size_and_follows_it(state: Path, isolation: str) -> None:
    async with node(state, isolation=isolation) as here:
        wanted = await _sleeper(here)
        io = Client(tty=True)
        script = "trap 'stty size' WINCH; echo up; while :; do sleep 0.02; done"
        running = asyncio.ensure_future(_run(here, wanted, io, "sh", "-c", script))
        await io.hears(b"up\r\n")
        io.resizes.put_nowait(vk.TerminalSize(91, 33))
        await io.hears(b"33 91\r\n")
        io.resizes.put_nowait(vk.TerminalSize(40, 20))
        await io.hears(b"20 40\r\n")
        io.keyboard.put_nowait(b"\x03")  # Ctrl-C
        assert await running == 130


async def test_a_client_that_leaves_ends_its_command(state: Path) -> None:
    async with node(state) as here:
        wanted = await _sleeper(here)
        io = Client()
        running = asyncio.ensure_future(_run(here, wanted, io, "sh", "-c", "echo $$; sleep 1000"))
        await io.hears(b"\n")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await gone(int(io.said))


async def test_a_client_whose_stream_breaks_gets_its_own_error_back(state: Path) -> None:
    class Broken(Client):
        async def read(self, limit: int = 65536) -> bytes:
            raise ConnectionResetError("the client went away")

    async with node(state) as here:
        wanted = await _sleeper(here)
        with pytest.raises(ConnectionResetError, match="the client went away"):
            await _run(here, wanted, Broken(typed=b""), "cat")


async def test_a_lost_supervisor_is_an_unknown_exit_code(state: Path) -> None:
    async with node(state) as here:
        wanted = await _sleeper(here)
        io = Client()
        running = asyncio.ensure_future(_run(here, wanted, io, "sh", "-c", "echo up; sleep 1000"))
        await io.hears(b"up\n")
        os.kill(here.supervisor(wanted), 9)
        assert await running is None


async def test_exec_in_an_ended_pod_is_refused(state: Path) -> None:
    async with node(state) as here:
        wanted = pod(sh("true"))
        await here.create(wanted)
        await here.until(wanted, ended)
        with pytest.raises(vk.ProviderError, match=r"has ended|is not running"):
            await _run(here, wanted, Client(), "true")


@both_ways
async def test_attach_joins_the_containers_own_process(state: Path, isolation: str) -> None:
    async with node(state, isolation=isolation) as here:
        wanted = pod(sh("read line; echo heard $line", stdin=True, stdinOnce=True))
        await here.create(wanted)
        await here.until(wanted)
        io = Client(typed=b"hello\n")
        async with asyncio.timeout(LIMIT):
            await here.provider.attach(vk.ContainerKey(wanted.key, "c"), io)
        assert io.said == b"heard hello\n"
        assert await here.log(wanted) == "heard hello\n"


async def test_attach_that_lost_its_supervisor_is_no_success(state: Path) -> None:
    async with node(state) as here:
        wanted = pod(sh("read line; echo up; sleep 1000", stdin=True))
        await here.create(wanted)
        await here.until(wanted)
        io = Client(typed=b"go\n")
        container = vk.ContainerKey(wanted.key, "c")
        attached = asyncio.ensure_future(here.provider.attach(container, io))
        await io.hears(b"up\n")
        os.kill(here.supervisor(wanted), 9)
        with pytest.raises(vk.TemporaryError, match="connection to the supervisor was lost"):
            await asyncio.wait_for(attached, LIMIT)


@attrs.define(eq=False)
class _Pager(Client):
    """A client that shows nothing more until it is told to go on."""

    goes_on: asyncio.Event = attrs.field(factory=asyncio.Event)

    @property
    def stdout(self) -> _Pager:  # type: ignore[override] # it has what is used of it
        return self

    async def write(self, data: bytes) -> None:
        await self.goes_on.wait()


async def test_a_stalled_attach_fails_with_a_message(state: Path) -> None:
    """The container waits 5 s for a stalled client, which must not see that as its end."""
    async with node(state) as here:
        wanted = pod(sh("read line; head -c 2000000 /dev/zero | tr '\\0' '\\n'", stdin=True))
        await here.create(wanted)
        await here.until(wanted)
        io = _Pager(typed=b"go\n")
        container = vk.ContainerKey(wanted.key, "c")
        attached = asyncio.ensure_future(here.provider.attach(container, io))
        await here.until(wanted, ended)
        io.goes_on.set()
        with pytest.raises(vk.TemporaryError, match="disconnected: read no output"):
            await asyncio.wait_for(attached, LIMIT)


@attrs.define(eq=False)
class _Pipe:
    """A `ByteStream` whose sending is held back until it is told to go on."""

    sends: asyncio.Queue[bytes] = attrs.field(factory=asyncio.Queue)
    hears: asyncio.Queue[bytes] = attrs.field(factory=asyncio.Queue)

    async def read(self, limit: int = 65536) -> bytes:
        return await self.sends.get()

    async def write(self, data: bytes) -> None:
        self.hears.put_nowait(data)

    async def write_eof(self) -> None:
        self.hears.put_nowait(b"")


async def _serve(answer: Any) -> tuple[asyncio.Server, int]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


async def test_a_forwarded_connection_can_end_on_one_side_first(state: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"said first")
        writer.write_eof()  # our side is over; the client's goes on
        heard.set_result(await reader.read())
        writer.close()

    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    server, port = await _serve(answer)
    async with server, node(state) as here:
        wanted = await _sleeper(here)
        pipe = _Pipe()
        forwarding = asyncio.ensure_future(here.provider.port_forward(wanted.key, port, pipe))
        async with asyncio.timeout(LIMIT):
            assert await pipe.hears.get() == b"said first"
            assert await pipe.hears.get() == b""
            pipe.sends.put_nowait(b"and then ")
            pipe.sends.put_nowait(b"the client")
            pipe.sends.put_nowait(b"")
            assert await heard == b"and then the client"
            await forwarding


async def test_a_process_that_hangs_up_ends_its_side(state: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server, port = await _serve(answer)
    async with server, node(state) as here:
        wanted = await _sleeper(here)
        pipe = _Pipe()
        forwarding = asyncio.ensure_future(here.provider.port_forward(wanted.key, port, pipe))
        async with asyncio.timeout(LIMIT):
            assert await pipe.hears.get() == b""
            pipe.sends.put_nowait(b"into nothing")
            pipe.sends.put_nowait(b"")
            await forwarding


async def test_a_port_without_a_listener_is_an_error(state: Path) -> None:
    server, port = await _serve(lambda *_: None)
    server.close()
    await server.wait_closed()
    async with node(state) as here:
        wanted = await _sleeper(here)
        with pytest.raises(vk.TemporaryError, match=f"cannot connect to port {port}"):
            await here.provider.port_forward(wanted.key, port, _Pipe())


async def test_a_process_that_did_little_has_used_something(state: Path) -> None:
    """Else a metrics-server leaves its pod out."""
    async with node(state) as here:
        idle = pod({"name": "c", "command": ["sleep", "1000"]})
        await here.create(idle)
        await here.until(idle, is_up)
        (measured,) = (await here.provider.stats()).pods
        assert measured.containers["c"].cpu_seconds > 0.0


async def test_stats_count_a_container_and_what_it_started(state: Path) -> None:
    async with node(state) as here:
        busy = pod(sh("n=0; while [ $n -lt 200000 ]; do n=$((n+1)); done; echo done; sleep 1000"))
        await here.create(busy)
        assert await here.first_line(busy) == "done"
        (measured,) = (await here.provider.stats()).pods
        usage = measured.containers["c"]
        assert usage.cpu_seconds > 0.0
        assert usage.working_set_bytes > 0
        assert measured.total.cpu_seconds >= usage.cpu_seconds
        assert measured.total.memory_bytes > usage.memory_bytes  # the supervisor too
        again = (await here.provider.stats()).pods[0]
        assert again.containers["c"].started_at == usage.started_at
        assert again.containers["c"].cpu_seconds >= usage.cpu_seconds
        assert children_of(here.supervisor(busy))
        total = (await here.provider.stats()).total
        assert total.working_set_bytes < total.memory_bytes < 2**50


async def test_a_pod_that_ended_is_not_measured(state: Path) -> None:
    async with node(state) as here:
        wanted = pod(sh("true"))
        await here.create(wanted)
        await here.until(wanted, ended)
        assert (await here.provider.stats()).pods == ()
