"""Many connections at once, with the limits as they are; each address is one of loopback."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio
from server_world import World, client_context, connected, serving

from vk.server import connection_limits as limits
from vk.server import connections

GOOD, BAD = "127.0.0.2", "127.0.0.66"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with serving(tmp_path) as world:
        yield world


def connected_from(
    world: World, address: str, tls: ssl.SSLContext | None = None
) -> AbstractAsyncContextManager[Streams]:
    return connected(world, tls, local_addr=(address, 0))


async def healthy(world: World, address: str, tls: ssl.SSLContext) -> None:
    """Have a request answered, from handshake to end within a second."""
    async with asyncio.timeout(1), connected_from(world, address, tls) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")


async def until_there_are(world: World, count: int) -> None:
    async with asyncio.timeout(10):
        while world.server.slots.count != count:
            for _ in range(50):
                await asyncio.sleep(0)


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(1), 5) == b""
    except ConnectionError:
        return True


@pytest.mark.slow
async def test_silent_connections_of_one_address_cost_only_that_address(world: World) -> None:
    """64 are shaken hands with, as many as make 256 wait for a turn, the next is refused."""
    tls = world.certificate()
    async with AsyncExitStack() as stack:
        silent = [
            await stack.enter_async_context(connected_from(world, BAD))
            for _ in range(limits.MAX_UNAUTHENTICATED)
        ]
        await until_there_are(world, limits.MAX_UNAUTHENTICATED)
        waiting = asyncio.create_task(connected_from(world, BAD, tls).__aenter__())
        await until_there_are(world, limits.MAX_UNAUTHENTICATED + 1)
        await healthy(world, GOOD, tls)
        assert not waiting.done()
        silent[0][1].close()
        _, writer = await asyncio.wait_for(waiting, 5)  # its turn has come
        writer.close()
        for _ in range(limits.MAX_WAITING - limits.MAX_UNAUTHENTICATED + 1):
            await stack.enter_async_context(connected_from(world, BAD))
        await until_there_are(world, limits.MAX_WAITING)
        over, _ = await stack.enter_async_context(connected_from(world, BAD))
        assert await is_closed(over)
        await healthy(world, GOOD, tls)
    await until_there_are(world, 0)


@pytest.mark.slow
async def test_when_unauthenticated_connections_have_all_slots_a_user_still_gets_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From however many addresses they come: the one that is silent for longest goes."""
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 100)
    tls = world.certificate()
    async with AsyncExitStack() as stack:
        silent = [
            await stack.enter_async_context(connected_from(world, f"127.0.1.{number + 1}"))
            for number in range(100)
        ]
        await until_there_are(world, 100)
        for _ in range(3):
            await healthy(world, GOOD, tls)
        assert [await is_closed(reader) for reader, _ in silent[:1]] == [True]
        assert world.server.slots.count <= 100
        assert not silent[-1][0].at_eof()


@pytest.mark.slow
async def test_a_thousand_silent_connections_delay_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handshakes, headers and bodies that never end: each is shed when its time is over."""
    monkeypatch.setattr(connections, "FIRST_BYTE_TIMEOUT", 2.0)
    monkeypatch.setattr(connections, "HEADERS_TIMEOUT", 2.0)
    monkeypatch.setattr(connections, "LINGER_TIMEOUT", 2.0)
    tls, stranger = world.certificate(), client_context()
    starts = (
        b"",
        b"GET /healthz HTTP/1.1\r\nX-Slow: ",
        b"POST /run/default/web/app?cmd=x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx",
    )
    async with AsyncExitStack() as stack:
        for number in range(240):
            address = f"127.0.2.{number % 60 + 1}"
            _, writer = await stack.enter_async_context(connected_from(world, address, stranger))
            writer.write(starts[number % 3])
        for number in range(600):
            await stack.enter_async_context(connected_from(world, f"127.0.3.{number % 60 + 1}"))
        async with asyncio.timeout(10):
            while world.server.slots.count > 601:  # those in their handshake have 10 s
                await healthy(world, GOOD, tls)


@contextmanager
def sockets_of(port: int) -> Iterator[list[socket.socket]]:
    """Give this process's accepted sockets of ``port``, as the kernel has them."""
    found: list[socket.socket] = []
    for name in os.listdir("/proc/self/fd"):
        try:
            one = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue  # no socket, or closed since
        with suppress(OSError, IndexError, TypeError):
            if one.getsockname()[1] == port and one.getpeername():
                found.append(one)
                continue
        one.close()
    try:
        yield found
    finally:
        for one in found:
            one.close()


async def test_a_peer_that_vanished_is_given_up_within_120_s(world: World) -> None:
    """The kernel probes, and gives up an unacknowledged connection; of sessions: test_dead_peer."""
    async with connected_from(world, GOOD, world.certificate()):
        with sockets_of(world.port) as found:
            (one,) = found
            assert one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            idle, interval, count, unconfirmed = (
                one.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
                for name in (
                    *("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"),
                    "TCP_USER_TIMEOUT",
                )
            )
    assert idle + interval * count <= 120
    assert 0 < unconfirmed <= 120_000
