"""Slow, silent, greedy and many clients, on real sockets; only the times are shortened."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from server_world import Quiet, World, client_context, connected, said, serving

from vk.server import connection_limits as limits
from vk.server import connections
from vk.server.connection_limits import ConnectionSlot, ConnectionSlots

SHORT = 0.3
SIZE = 32 << 20
"""More than the kernel keeps for a client."""


@pytest_asyncio.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    for name in ("FIRST_BYTE_TIMEOUT", "HEADERS_TIMEOUT", "STALL_TIMEOUT"):
        monkeypatch.setattr(connections, name, SHORT)
    monkeypatch.setattr(connections, "HANDSHAKE_TIMEOUT", SHORT)
    async with serving(tmp_path, Quiet(text=b"x" * SIZE)) as world:
        yield world


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """Return what came before the end; a reset is an end too."""
    data = b""
    try:
        async with asyncio.timeout(10):
            while piece := await reader.read(65536):
                data += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return data


@pytest.mark.slow
async def test_a_client_that_does_no_handshake_is_cut_off(world: World) -> None:
    async with connected(world, None) as (reader, _):
        assert await until_closed(reader) == b""
    assert world.server.slots.count == 0


@pytest.mark.slow
async def test_a_client_that_says_nothing_is_cut_off(world: World) -> None:
    async with connected(world, client_context()) as (reader, _):
        assert await until_closed(reader) == b""


@pytest.mark.slow
async def test_a_client_that_dribbles_its_headers_is_cut_off(world: World) -> None:
    """However diligently it goes on."""
    async with connected(world, world.certificate()) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        closed = asyncio.create_task(until_closed(reader))
        while not closed.done():
            writer.write(b"x")
            await asyncio.wait({closed}, timeout=SHORT / 6)
        assert await closed == b""


async def test_headers_of_over_64_kib_are_refused(world: World) -> None:
    field = b"X-Filling: " + b"x" * 8000 + b"\r\n"
    async with connected(world, world.certificate()) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + field * 10 + b"\r\n")
        answer = await until_closed(reader)
    assert answer.startswith(b"HTTP/1.1 431 ") or answer == b""
    assert b"ok" not in answer


async def test_a_long_command_is_no_header_too_many(world: World) -> None:
    """40 KiB of a query are fine; the provider cannot run it, which is another matter."""
    path = "/exec/default/web/app?output=1&command=" + "x" * 40_000
    assert (await world.call(path, tls=world.certificate()))[0] == 501


@pytest.mark.slow
async def test_a_client_that_does_not_read_is_cut_off(world: World) -> None:
    tls = world.certificate()
    with said("connection aborted") as cut:
        async with connected(world, tls, limit=1024) as (reader, writer):
            writer.write(b"GET /containerLogs/default/web/app HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(10):
                await cut.wait()
            assert len(await until_closed(reader)) < SIZE


@pytest.mark.parametrize("path", ["/healthz", "/pods", "/nothing"])
async def test_an_unauthenticated_connection_keeps_no_slot(world: World, path: str) -> None:
    """Else a request a minute on each of its connections keeps others of an address out."""
    async with connected(world, client_context()) as (reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = await until_closed(reader)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()


@pytest.mark.slow
async def test_a_connection_that_has_had_its_answer_may_wait(world: World) -> None:
    """The limits are for unauthenticated connections."""
    async with connected(world, world.certificate()) as (reader, writer):
        for _ in range(2):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert head.startswith(b"HTTP/1.1 200 ")
            assert await reader.readexactly(2) == b"ok"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 2 * SHORT)


@pytest.mark.slow
async def test_silent_connections_do_not_keep_others_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one address a few are shaken hands with at a time; the others wait and get their turn."""
    monkeypatch.setattr(limits, "MAX_UNAUTHENTICATED", 4)
    async with AsyncExitStack() as silent:
        for _ in range(20):
            await silent.enter_async_context(connected(world, None))
        status, _ = await asyncio.wait_for(world.call("/healthz", tls=world.certificate()), 10)
    assert status == 200


@pytest.mark.slow
async def test_followers_of_one_address_are_not_limited_by_it(world: World) -> None:
    """All of kubectl's traffic has one address: an authenticated connection does not count."""
    count, tls = limits.MAX_UNAUTHENTICATED + 20, world.certificate()
    async with AsyncExitStack() as stack:
        for _ in range(count):
            reader, writer = await stack.enter_async_context(connected(world, tls))
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert head.startswith(b"HTTP/1.1 200 ")
        assert world.server.slots.count == count


@pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2]
)
async def test_only_new_tls_is_spoken(world: World, version: ssl.TLSVersion) -> None:
    tls = client_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is the point
        tls.minimum_version = tls.maximum_version = version
    tls.set_ciphers("ALL:@SECLEVEL=0")
    if version < ssl.TLSVersion.TLSv1_2:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await connected(world, tls).__aenter__()
        return
    async with connected(world, tls) as (_, writer):
        name = writer.get_extra_info("cipher")[0]
    assert "GCM" in name or "CHACHA20" in name


async def test_no_cipher_with_cbc_is_spoken(world: World) -> None:
    tls = client_context()
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    tls.set_ciphers("ECDHE+AES+SHA256:ECDHE+AES+SHA:AES256-SHA:!AESGCM:!AESCCM")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await connected(world, tls).__aenter__()


async def test_the_newest_tls_is_preferred_and_never_negotiated_anew(world: World) -> None:
    async with connected(world, client_context()) as (_, writer):
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
    options = world.server.serving_certificate.context.options
    assert options & ssl.OP_NO_RENEGOTIATION
    assert options & ssl.OP_NO_COMPRESSION


async def test_sessions_are_not_resumed(world: World) -> None:
    """A resumed session would skip the look at the client's certificate."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        tls = client_context()
        tls.minimum_version = tls.maximum_version = version
        async with connected(world, tls) as (reader, writer):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            await until_closed(reader)
            session = writer.get_extra_info("ssl_object").session
            assert session is None or not session.has_ticket


def slot(
    slots: ConnectionSlots, address: str = "192.0.2.1"
) -> tuple[ConnectionSlot | None, list[str]]:
    aborted: list[str] = []
    return slots.take(address, lambda: aborted.append(address)), aborted


def taken(slots: ConnectionSlots, address: str = "192.0.2.1") -> ConnectionSlot:
    found, _ = slot(slots, address)
    assert found is not None
    return found


async def test_turns_of_an_address_are_given_back() -> None:
    """By authentication, and by disconnection; once each."""
    slots = ConnectionSlots()
    first = [taken(slots) for _ in range(limits.MAX_UNAUTHENTICATED)]
    for one in first:
        await one.turn()
    late = [taken(slots), taken(slots), taken(slots)]
    turns = [asyncio.create_task(one.turn()) for one in late]
    await asyncio.wait(turns, timeout=0.01)
    assert [turn.done() for turn in turns] == [False] * 3
    first[0].authenticated()
    first[0].authenticated()
    first[0].release()
    await asyncio.wait_for(turns[0], 1)
    first[1].release()
    first[1].release()
    await asyncio.wait_for(turns[1], 1)
    assert not turns[2].done()
    turns[2].cancel()
    other = taken(slots, "192.0.2.2")
    await asyncio.wait_for(other.turn(), 1)


def test_an_address_may_only_wait_so_often() -> None:
    slots = ConnectionSlots()
    for _ in range(limits.MAX_WAITING):
        taken(slots)
    assert slot(slots)[0] is None
    assert slot(slots, "192.0.2.2")[0] is not None


def test_addresses_of_one_network_count_as_one() -> None:
    """One client has a /64 of IPv6; IPv4 in IPv6 is IPv4."""
    addresses = ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "::ffff:192.0.2.1", "192.0.2.1")
    found = [taken(ConnectionSlots(), address).address for address in addresses]
    assert found[0] == found[1] != found[2]
    assert found[3] == found[4] == "192.0.2.1"
    assert taken(ConnectionSlots(), "fe80::1%eth0").address == "fe80::/64"


def test_when_all_places_are_taken_the_oldest_stranger_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 3)
    slots = ConnectionSlots()
    known, unknown_aborted = taken(slots), slot(slots, "192.0.2.2")[1]
    known.authenticated()
    taken(slots, "192.0.2.3")
    assert slot(slots, "192.0.2.4")[0] is not None
    assert (unknown_aborted, slots.count) == (["192.0.2.2"], 3)


def test_when_authenticated_connections_have_all_slots_others_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 2)
    slots = ConnectionSlots()
    for number in range(2):
        taken(slots, f"192.0.2.{number}").authenticated()
    assert slot(slots, "192.0.2.9")[0] is None
