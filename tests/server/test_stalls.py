"""Back-pressure both ways: a client that does not read, a command that does not; dead clients."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import aiohttp
import pytest
from exec_clients import SpdyExec, path, started, websocket
from spdy_client import spdy
from streaming_world import Served, served

from vk.streaming import receive_buffer as inbound

SPDY = ("spdy", "v5.channel.k8s.io")
WEBSOCKET = ("websocket", "v5.channel.k8s.io")
both = pytest.mark.parametrize("how", [SPDY, WEBSOCKET], ids=lambda how: how[0])
MEBI = 1 << 20


@pytest.fixture
async def server():
    async with served() as one:
        yield one


async def stands_still(server: Served) -> int:
    """Return how much the provider could write once it writes no more."""
    before = -1
    while server.provider.written != before:
        before = server.provider.written
        async with asyncio.timeout(30):
            await _some_rounds()
    return before


async def _some_rounds() -> None:
    """Let everything run that can: each round of these waits for the loop's other work."""
    for _ in range(2000):
        await asyncio.sleep(0)


@pytest.mark.slow
async def test_a_provider_waits_for_a_client_that_does_not_read(server: Served) -> None:
    async with spdy(server, path("exec", "yes", streams="o"), limit=1024) as client:
        await client.open(streamtype="error")
        stdout = await client.open(streamtype="stdout")
        client.reading.clear()
        await server.provider.started.wait()
        assert await stands_still(server) < 12 * MEBI  # most of it in the kernel's buffers
        client.reading.set()
        await stdout.read_until(24 * MEBI)


@pytest.mark.slow
async def test_a_provider_waits_for_a_websocket_that_is_not_read(server: Served) -> None:
    async with started(server, WEBSOCKET, "yes", streams="o") as client:
        await server.provider.started.wait()
        assert await stands_still(server) < 12 * MEBI
        await client.output(24 * MEBI)


@pytest.mark.slow
async def test_forty_forwarded_connections_that_are_not_read_share_one_limit(
    server: Served,
) -> None:
    target = "/portForward/default/web"
    async with spdy(server, target, ["portforward.k8s.io"], limit=1024) as client:
        first = None
        for number in range(40):
            headers = {"port": "85", "requestid": str(number)}
            await client.open(streamtype="error", **headers)
            data = await client.open(streamtype="data", **headers)
            first = first or data
        client.reading.clear()
        before = server.provider.written
        assert await stands_still(server) - before < 12 * MEBI
        client.reading.set()
        assert first is not None
        await first.read_until(len(first.received) + MEBI)


@both
@pytest.mark.slow
async def test_a_client_waits_for_a_command_that_does_not_read_and_nothing_is_lost(
    server: Served, how
) -> None:
    async with started(server, how, "deaf", streams="io") as client:
        await server.provider.started.wait()
        sent = 0

        async def send() -> None:
            nonlocal sent
            while sent < 24 * MEBI:
                await client.send(b"d" * 65536)
                sent += 65536
            await client.end_input()

        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(send())
            before = -1
            while sent != before:
                before = sent
                await _some_rounds()
            print("SENT", sent, before)
            assert not sending.done()
            server.provider.go_on.set()
            result = await client.result()
    assert result.stdout == str(24 * MEBI).encode()


@pytest.mark.slow
async def test_the_end_of_the_output_waits_for_a_slow_reader(server: Served) -> None:
    """What the command has written arrives, however late it is read."""
    size = 4 * MEBI
    async with spdy(server, path("exec", "yes", str(size), streams="o"), limit=1024) as client:
        error = await client.open(streamtype="error")
        stdout = await client.open(streamtype="stdout")
        client.reading.clear()
        await stands_still(server)
        client.reading.set()
        assert len(await stdout.read_to_end()) == size
        assert b"Success" in await error.read_to_end()


@both
@pytest.mark.slow
async def test_a_command_that_does_not_read_is_ended_when_its_client_dies(
    how, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound, "_KEEPALIVE_INTERVAL", 0.2)
    async with served() as server:
        async with started(server, how, "deaf", streams="io") as client:
            await server.provider.started.wait()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    while True:
                        await client.send(b"d" * 65536)
            if isinstance(client, SpdyExec):
                client.client.writer.transport.abort()
            else:
                client.socket._response.connection.transport.abort()  # type: ignore[union-attr] # a death has no public name
        await asyncio.wait_for(server.provider.cancelled.wait(), 60)


async def test_a_message_that_is_too_long_ends_the_session(server: Served) -> None:
    async with websocket(server, path("exec", "hang"), "v5.channel.k8s.io") as socket:
        await server.provider.started.wait()
        await socket.send_bytes(b"\0" * (2 * MEBI))
        await asyncio.wait_for(server.provider.cancelled.wait(), 10)


async def test_other_requests_are_answered_while_a_provider_writes_without_a_pause(
    server: Served,
) -> None:
    async with started(server, SPDY, "yes", streams="o"):
        await server.provider.started.wait()
        async with asyncio.timeout(5), started(server, SPDY, "both", streams="oe") as other:
            assert (await other.result()).stdout == b"out"


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
async def test_two_hundred_stalled_readers_cost_less_than_2_mib_each(server: Served) -> None:
    """The clients of this test live in the same process, so their memory counts as well."""
    async with asyncio.TaskGroup() as tasks:
        leave, open_now = asyncio.Event(), 0

        async def stall() -> None:
            nonlocal open_now
            async with spdy(server, path("exec", "yes", streams="o"), limit=1024) as client:
                await client.open(streamtype="error")
                await client.open(streamtype="stdout")
                client.reading.clear()
                open_now += 1
                await leave.wait()

        before = _resident()
        for _ in range(200):
            tasks.create_task(stall())
        while open_now < 200:
            await _some_rounds()
        await stands_still(server)
        cost = (_resident() - before) / 200
        async with asyncio.timeout(5), started(server, SPDY, "both", streams="oe") as other:
            await other.result()
        leave.set()
    print("COST", cost / MEBI)
    assert cost < 2 * MEBI
    async with asyncio.timeout(60):
        while server.sessions._open:
            await _some_rounds()


async def test_a_connection_that_ends_before_its_streams_leaves_nothing(server: Served) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"https://127.0.0.1:{server.port}{path('exec', 'x')}"
        async with session.get(url, ssl=server.tls) as answer:
            assert answer.status == 400
            assert "upgrade" in (await answer.json())["message"]
    async with spdy(server, path("exec", "both")):
        pass
    async with asyncio.timeout(10):
        while server.sessions._open:
            await _some_rounds()
