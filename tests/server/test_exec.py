"""Exec and attach, over every protocol: what a client gets, and what the provider sees."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import Any

import pytest
from exec_clients import EVERY, SPDY, WEBSOCKET, SpdyExec, path, started, version, websocket
from spdy_client import RefusedError, spdy
from streaming_world import POD, NoStreams, Served, served

from vk.streaming.spdy.frames import ResetStatus

CLOSING = [how for how in EVERY if how[0] == "spdy" or how[1].startswith("v5")]
BOTH = [("spdy", "v5.channel.k8s.io"), ("websocket", "v5.channel.k8s.io")]
every = pytest.mark.parametrize("how", EVERY, ids=lambda how: f"{how[0]}-{how[1] or 'none'}")
closing = pytest.mark.parametrize("how", CLOSING, ids="-".join)
both = pytest.mark.parametrize("how", BOTH, ids=lambda how: how[0])


@pytest.fixture
async def server():
    async with served() as one:
        yield one


@every
async def test_output_and_errors_come_on_streams_of_their_own(server: Served, how) -> None:
    async with started(server, how, "both", streams="oe") as client:
        result = await client.result()
    assert (result.stdout, result.stderr) == (b"out", b"err")
    assert result.error == (b'{"metadata":{},"status":"Success"}' if version(how[1]) >= 4 else b"")


@every
async def test_an_exit_code_reaches_the_client(server: Served, how) -> None:
    async with started(server, how, "exit", "137", streams="o") as client:
        result = await client.result()
    if version(how[1]) >= 4:
        assert result.status["reason"] == "NonZeroExitCode"
        assert result.status["details"]["causes"] == [{"reason": "ExitCode", "message": "137"}]
    else:
        assert result.error == b"command terminated with non-zero exit code: 137"


@every
async def test_an_unknown_exit_code_is_a_failure(server: Served, how) -> None:
    async with started(server, how, "exit", "unknown", streams="o") as client:
        result = await client.result()
    assert b"exit code is unknown" in result.error


@closing
async def test_what_is_piped_in_comes_back_and_its_end_is_seen(server: Served, how) -> None:
    data = os.urandom(300_000)
    async with (
        started(server, how, "cat", streams="io") as client,
        asyncio.TaskGroup() as tasks,
    ):
        got = tasks.create_task(client.result())
        await client.send(data)
        await client.end_input()
    assert got.result().stdout == data


@every
async def test_attach_reaches_the_main_process(server: Served, how) -> None:
    async with started(server, how, kind="attach", streams="io") as client:
        await client.send(b"hello")
        assert await client.output(5) == b"hello"


@every
async def test_a_client_that_leaves_ends_the_command(server: Served, how) -> None:
    async with started(server, how, "hang", streams="o"):
        await server.provider.started.wait()
    await asyncio.wait_for(server.provider.cancelled.wait(), 10)


@both
async def test_only_the_newest_size_of_the_terminal_is_seen(server: Served, how) -> None:
    async with started(server, how, "sizes", "2", streams="io", tty=True) as client:
        await client.resize(b'{"Width":80,"Height":24}')
        assert await client.output(6) == b"80x24 "
        await client.resize(b'{"Width":1,"Height":1}{"Width":2,"Height":2}{"Width":132,"Hei')
        await client.resize(b'ght":43}')
        result = await client.result()
    assert result.stdout in (b"80x24 132x43 ", b"80x24 2x2 ")
    assert result.stderr == b""


@both
async def test_sizes_end_when_the_client_sends_no_more(server: Served, how) -> None:
    async with started(server, how, "sizes", "9", streams="io", tty=True) as client:
        await client.resize(b'{"Width":80,"Height":24}')
        await client.output(6)
        if isinstance(client, SpdyExec):
            await client.streams["resize"].finish()
        else:
            await client.socket.send_bytes(b"\xff\x04")
        assert (await client.result()).status["status"] == "Success"


@both
async def test_the_provider_sees_just_the_streams_that_were_asked_for(server: Served, how) -> None:
    async with started(server, how, "exit", "0", streams="oe", tty=True) as client:
        await client.result()
    container, command, io = server.provider.calls[0]
    assert (container, command) == ("default/web/app", ("exit", "0"))
    assert io.stdin is None and io.stdout is not None
    assert io.tty and io.stderr is None


@both
async def test_without_a_terminal_there_are_no_sizes(server: Served, how) -> None:
    async with started(server, how, "sizes", "1", streams="o") as client:
        assert (await client.result()).stdout == b""


@both
@pytest.mark.parametrize(
    ("kind", "code", "text"),
    [
        ("missing", 400, "container app is not running"),
        ("later", 500, "the backend is busy"),
        ("bug", 500, "internal error; the node's log has the cause"),
        ("reset", 500, "internal error; the node's log has the cause"),
    ],
)
async def test_what_the_provider_raises_is_sent_and_secrets_are_not(
    server: Served, how, kind: str, code: int, text: str
) -> None:
    async with started(server, how, "fail", kind, streams="o") as client:
        result = await client.result()
    assert result.status["status"] == "Failure"
    assert result.status["code"] == code
    assert text in result.status["message"]
    assert b"hunter2" not in result.error


async def test_a_websocket_begins_with_an_empty_message_on_the_first_channel_out(
    server: Served,
) -> None:
    for streams, channel in (("ioe", 1), ("ie", 2), ("i", 3)):
        how = ("websocket", "v4.channel.k8s.io")
        async with started(server, how, "exit", "0", streams=streams) as client:
            await client.result()
        assert (client.first[0].channel, client.first[0].data) == (channel, b"")


async def test_a_websocket_is_closed_properly_after_the_status(server: Served) -> None:
    async with websocket(server, path("exec", "exit", "0"), "v5.channel.k8s.io") as socket:
        messages = [message async for message in socket]
        assert messages[-1].data == b'\x03{"metadata":{},"status":"Success"}'
        assert socket.close_code == 1000


async def test_a_message_that_no_client_may_send_ends_the_command(server: Served) -> None:
    async with websocket(server, path("exec", "hang"), "v5.channel.k8s.io") as socket:
        await server.provider.started.wait()
        await socket.send_bytes(b"\xff\x00\x00")
        await asyncio.wait_for(server.provider.cancelled.wait(), 10)
        assert [message async for message in socket][1:] == []
        assert socket.close_code == 1007


async def test_streams_that_were_not_asked_for_or_come_twice_are_refused(server: Served) -> None:
    async with spdy(server, path("exec", "exit", "0", streams="o")) as client:
        error = await client.open(streamtype="error")
        again = await client.open(streamtype="error")
        stdin = await client.open(streamtype="stdin")
        strange = await client.open(streamtype="strange")
        await client.open(streamtype="stdout")
        refused = [again.reset, stdin.reset, strange.reset]
        assert refused == [ResetStatus.REFUSED_STREAM] * 3
        assert b"Success" in await error.read_to_end()


async def test_the_command_begins_only_when_all_streams_are_there(server: Served) -> None:
    async with spdy(server, path("exec", "both", streams="oe")) as client:
        await client.open(streamtype="error")
        await client.open(streamtype="stdout")
        assert not server.provider.calls
        stderr = await client.open(streamtype="stderr")
        assert await stderr.read_to_end() == b"err"


async def test_a_client_that_opens_too_few_streams_gets_the_reason_and_the_end() -> None:
    async with served(creation_timeout=0.1) as server:
        async with spdy(server, path("exec", "both", streams="oe")) as client:
            error = await client.open(streamtype="error")
            assert b"not all streams were opened in time" in await error.read_to_end()
        assert not server.provider.calls


@both
async def test_a_session_on_which_nothing_passes_is_ended(how) -> None:
    async with served(idle_timeout=0.2) as server, started(server, how, "hang") as client:
        result = await client.result()
        assert "for too long" in result.status["message"]
        assert server.provider.cancelled.is_set()


async def test_pings_do_not_keep_a_session_alive() -> None:
    how = ("spdy", SPDY[0])
    async with served(idle_timeout=0.2) as server, started(server, how, "hang") as client:
        while not client.client.closed.is_set():
            client.client.session.ping()
            await client.client.flush()
            with suppress(TimeoutError):
                await asyncio.wait_for(client.streams["error"].ended.wait(), 0.02)
                break
        assert "for too long" in (await client.result()).status["message"]


@both
async def test_a_stopping_server_tells_its_clients_why(server: Served, how) -> None:
    async with started(server, how, "hang") as client, asyncio.TaskGroup() as tasks:
        await server.provider.started.wait()
        got = tasks.create_task(client.result())
        await server.sessions.close()
    assert "process is stopping" in got.result().status["message"]
    assert server.provider.cancelled.is_set()
    with pytest.raises(RefusedError, match="503"):
        async with spdy(server, path("exec", "exit", "0")):
            pass


async def test_bytes_that_are_no_spdy_end_the_command(server: Served) -> None:
    async with started(server, ("spdy", SPDY[0]), "hang") as client:
        await server.provider.started.wait()
        client.client.writer.write(b"\x80\x09" * 8)
        await asyncio.wait_for(server.provider.cancelled.wait(), 10)
        await asyncio.wait_for(client.client.closed.wait(), 10)


async def test_a_stream_that_the_client_breaks_off_ends_the_command(server: Served) -> None:
    async with started(server, ("spdy", SPDY[0]), "hang") as client:
        await server.provider.started.wait()
        await client.streams["stdout"].break_off()
        await asyncio.wait_for(server.provider.cancelled.wait(), 10)


REFUSED = [
    ("/exec/default/web/app?output=1", 400, "command of 0 words"),
    ("/exec/default/web/app?command=x", 400, "at least one of input=1"),
    ("/exec/default/web/app?output=1&command=a%00b", 400, "NUL"),
    ("/exec/default/other/app?output=1&command=x", 404, "pod default/other not found"),
    ("/exec/default/web/other?output=1&command=x", 404, "container other not found"),
    ("/exec/default/web/u2/app?output=1&command=x", 404, "not found"),
    ("/attach/default/web/app", 400, "at least one of input=1"),
    ("/exec/default/web/app?output=1" + "&command=x" * 1025, 400, "command of 1025 words"),
    ("/exec/default/web/..app?output=1&command=x", 404, "container ..app not found"),
    ("/exec/default/WEB/app?output=1&command=x", 404, "pod default/WEB not found"),
    ("/exec/default/web/%C3%A9%E2%80%AE?output=1&command=x", 404, "not found"),
    (f"/exec/default/{'w' * 10_000}/app?output=1&command=x", 404, "not found"),
    (f"/exec/default/web/u{'1' * 10_000}/app?output=1&command=x", 404, "not found"),
]


@pytest.mark.parametrize(("target", "code", "text"), REFUSED)
async def test_what_can_be_refused_is_refused_before_the_upgrade(
    server: Served, target: str, code: int, text: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        async with spdy(server, target):
            pass
    assert caught.value.status == code
    assert b'"kind":"Status"' in caught.value.body
    assert text in caught.value.body.decode()


async def test_a_protocol_that_is_not_spoken_is_refused_with_those_that_are(server: Served) -> None:
    with pytest.raises(RefusedError) as caught:
        async with spdy(server, path("exec", "x"), ["v9.channel.k8s.io"]):
            pass
    assert caught.value.status == 403
    assert caught.value.headers["x-accepted-stream-protocol-versions"] == SPDY


async def test_the_first_protocol_of_the_client_that_is_spoken_is_taken(server: Served) -> None:
    asked = ["v9.channel.k8s.io", "v4.channel.k8s.io", "v5.channel.k8s.io"]
    async with spdy(server, path("exec", "exit", "0", streams="o"), asked) as client:
        assert client.protocol == "v4.channel.k8s.io"


@pytest.mark.parametrize("target", [path("exec", "x"), "/portForward/default/web"])
async def test_a_request_with_a_body_is_refused(server: Served, target: str) -> None:
    with pytest.raises(RefusedError, match="without a body"):
        async with spdy(server, target, length=5):
            pass


async def test_a_provider_without_exec_says_so_before_the_upgrade() -> None:
    async with served(NoStreams()) as server:
        for target in (path("exec", "x"), path("attach"), "/portForward/default/web"):
            with pytest.raises(RefusedError, match="this provider cannot") as caught:
                async with spdy(server, target):
                    pass
            assert caught.value.status == 501


async def test_the_oldest_protocol_is_spoken_to_a_websocket_that_names_none(server: Served) -> None:
    assert "" in WEBSOCKET
    async with websocket(server, path("exec", "exit", "1", streams="o")) as socket:
        messages = [message.data async for message in socket]
    assert messages == [b"\x01", b"\x03command terminated with non-zero exit code: 1"]


@pytest.mark.field
@pytest.mark.slow
@every
async def test_a_command_ends_with_the_run_of_its_container(server: Served, how) -> None:
    """Whatever the backend makes of it: the next run is another one."""

    def pod(began: str) -> dict[str, Any]:
        running = {"name": "app", "state": {"running": {"startedAt": began}}}
        return {**POD, "status": {"phase": "Running", "containerStatuses": [running]}}

    async with started(server, how, "hang", streams="o") as client, asyncio.timeout(5):
        server.sessions.observe(pod("2026-01-01T00:00:00Z"), pod("2026-01-01T00:01:00Z"))
        with suppress(ConnectionError):
            result = await client.result()
            assert b"the container has ended" in result.error
