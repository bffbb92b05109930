"""The connection behind a hand-written 101: taken over whole, and given back at its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
from aiohttp import web

from vk.streaming.http_upgrade import UpgradedConnection, upgrade_connection


@attrs.define(eq=False)
class Upgrading:
    """A server whose one route upgrades, and what became of it."""

    port: int = 0
    wires: asyncio.Queue[UpgradedConnection] = attrs.field(factory=asyncio.Queue)
    release: asyncio.Event = attrs.field(factory=asyncio.Event)
    answered: asyncio.Event = attrs.field(factory=asyncio.Event)
    server: web.Server | None = None

    async def route(self, request: web.Request) -> web.StreamResponse:
        if "refuse" in request.query:
            return web.Response(status=404)
        wire = upgrade_connection(request, {"Upgrade": "X"})
        self.wires.put_nowait(wire)
        await self.release.wait()
        await wire.close()
        self.answered.set()
        return web.Response(status=101)


@pytest.fixture
async def upgrading() -> AsyncIterator[Upgrading]:
    one = Upgrading()
    app = web.Application()
    app.router.add_get("/", one.route)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.port, one.server = runner.addresses[0][1], runner.server
    yield one
    await runner.cleanup()


@asynccontextmanager
async def connected(
    server: Upgrading,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: X\r\n\r\n")
    return await reader.readuntil(b"\r\n\r\n")


async def test_the_answer_is_nothing_but_the_upgrade(upgrading: Upgrading) -> None:
    async with connected(upgrading) as (reader, writer):
        head = await upgrade(reader, writer)
        wire = await upgrading.wires.get()
        await wire.write(b"first bytes")
        assert await reader.readexactly(11) == b"first bytes"
    assert head == b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: X\r\n\r\n"


async def test_bytes_come_in_pieces_of_64_kib_at_most_and_all_of_them(upgrading: Upgrading) -> None:
    sent = bytes(range(256)) * 8192
    async with connected(upgrading) as (reader, writer):
        await upgrade(reader, writer)
        wire = await upgrading.wires.get()
        writer.write(sent)
        got = b""
        while len(got) < len(sent):
            piece = await wire.read()
            assert 0 < len(piece) <= 65536
            got += piece
    assert got == sent


async def test_a_connection_that_has_answered_requests_can_be_upgraded(
    upgrading: Upgrading,
) -> None:
    async with connected(upgrading) as (reader, writer):
        for _ in range(2):
            writer.write(b"GET /?refuse=1 HTTP/1.1\r\nHost: a\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 404")
        assert b" 101 " in await upgrade(reader, writer)
        wire = await upgrading.wires.get()
        writer.write(b"GET / HTTP/1.1\r\n\r\n")  # no request any more
        assert await wire.read() == b"GET / HTTP/1.1\r\n\r\n"


async def test_nothing_is_sent_after_the_session(upgrading: Upgrading) -> None:
    async with connected(upgrading) as (reader, writer):
        await upgrade(reader, writer)
        await (await upgrading.wires.get()).write(b"last")
        upgrading.release.set()
        assert await reader.read() == b"last"


async def test_the_end_of_the_peer_is_read_and_writing_fails_then(upgrading: Upgrading) -> None:
    async with connected(upgrading) as (reader, writer):
        await upgrade(reader, writer)
        wire = await upgrading.wires.get()
        writer.write(b"bye")
        writer.close()
        assert [await wire.read(), await wire.read(), await wire.read()] == [b"bye", b"", b""]
        with pytest.raises(ConnectionError):
            while True:
                await wire.write(b"x")


async def test_a_waiting_writer_wakes_up_when_the_peer_dies(upgrading: Upgrading) -> None:
    async with connected(upgrading) as (reader, writer):
        await upgrade(reader, writer)
        wire = await upgrading.wires.get()

        async def write() -> None:
            while True:
                await wire.write(b"x" * 65536)

        writing = asyncio.ensure_future(write())
        writer.transport.pause_reading()
        await wire_is_full(writing)
        writer.transport.abort()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(writing, 10)


async def wire_is_full(writing: asyncio.Future[None]) -> None:
    """Let the writer run until it waits: it is not woken up in two thousand rounds."""
    for _ in range(2000):
        await asyncio.sleep(0)
    assert not writing.done()


async def test_aiohttp_gets_the_end_after_the_session_and_not_before(
    upgrading: Upgrading,
) -> None:
    assert upgrading.server is not None
    async with connected(upgrading) as (reader, writer):
        await upgrade(reader, writer)
        wire = await upgrading.wires.get()
    assert await asyncio.wait_for(wire.read(), 10) == b""
    assert len(upgrading.server.connections) == 1
    upgrading.release.set()
    await asyncio.wait_for(upgrading.answered.wait(), 10)  # the route was not cancelled
    assert upgrading.server.connections == []


async def test_a_client_that_has_gone_is_not_upgraded() -> None:
    class Gone:
        transport = None
        protocol = None

    with pytest.raises(ConnectionError):
        upgrade_connection(Gone(), {})  # type: ignore[arg-type] # what a request shows after its connection
