"""Frames that no WebSocket client sends, over real sockets: each ends its own session alone."""

from __future__ import annotations

import asyncio
import base64
import logging
import random
import ssl
import struct
from contextlib import suppress

import pytest
from exec_clients import path, started
from streaming_world import Served, served

TARGETS = (
    (path("exec", "cat", streams="ioe"), "v5.channel.k8s.io"),
    (path("exec", "cat", streams="io", tty=True), "v4.base64.channel.k8s.io"),
    (path("attach", streams="io"), ""),
    ("/portForward/default/web?port=80&port=84", "v4.channel.k8s.io"),
    ("/portForward/default/web", "SPDY/3.1+portforward.k8s.io"),
)
OTHER = ("spdy", "v5.channel.k8s.io")
SEEDS = 200
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(
    chance: random.Random, opcode: int, payload: bytes, *, final: bool = True, wild: bool = False
) -> bytes:
    """Return a client's frame; a ``wild`` one is wrong in some way, perhaps in its length."""
    first = opcode | 0x80 * final | (chance.choice((0x10, 0x20, 0x40, 0)) if wild else 0)
    length = len(payload)
    if wild and chance.random() < 0.4:
        length = chance.choice((0, 126, 65_536, 1 << 20, 1 << 33, (1 << 63) + 1))
    masked = not wild or chance.random() < 0.5
    if length < 126:
        size = bytes([length | 0x80 * masked])
    elif length < 65_536:
        size = bytes([126 | 0x80 * masked]) + struct.pack("!H", length)
    else:
        size = bytes([127 | 0x80 * masked]) + struct.pack("!Q", length)
    mask = chance.randbytes(4) if masked else b""
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if masked else payload
    return bytes([first]) + size + mask + body


def serve(chance: random.Random) -> bytes:
    """Return what one client sends: frames that are right, some that are not, some torn."""
    sent = b""
    for _ in range(chance.randint(1, 12)):
        channel = bytes([chance.choice((0, 0, 0, 1, 2, 3, 4, 5, 48, 52, 255))])
        payload = channel + chance.randbytes(chance.choice((0, 1, 5, 125, 126, 700)))
        opcode = chance.choice((BINARY, BINARY, BINARY, TEXT, CONTINUATION, CLOSE, PING, PONG))
        wild = chance.random() < 0.25
        if wild:
            opcode = chance.choice((opcode, chance.randint(0, 15)))
        final = opcode in (CLOSE, PING, PONG) or chance.random() < 0.8
        sent += frame(chance, opcode, payload, final=final, wild=wild)
    if chance.random() < 0.3:
        at = chance.randrange(len(sent))
        sent = sent[:at] + chance.randbytes(chance.randint(1, 40)) + sent[at + 3 :]
    return sent if chance.random() < 0.6 else sent[: chance.randrange(len(sent))]


async def attack(server: Served, target: str, name: str, seed: int) -> None:
    """Open a WebSocket, send it what the seed gives in pieces of any size, and leave."""
    chance = random.Random(seed)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=server.tls)
    head = (
        f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(chance.randbytes(16)).decode()}\r\n"
    )
    head += f"Sec-WebSocket-Protocol: {name}\r\n" if name else ""
    writer.write(f"{head}\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    with suppress(ConnectionError, ssl.SSLError):
        rest = serve(chance)
        while rest:
            size = chance.choice((1, 7, 100, len(rest)))
            writer.write(rest[:size])
            await writer.drain()
            rest = rest[size:]
    if chance.random() < 0.5:
        writer.transport.abort()
    else:
        writer.close()


@pytest.mark.slow
async def test_wild_frames_end_their_own_session_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No session is left, no other client is delayed, and nothing is logged as an error."""
    async with served() as server, started(server, OTHER, "cat", streams="ioe") as other:
        with caplog.at_level(logging.WARNING):
            for seed in range(SEEDS):
                target, name = TARGETS[seed % len(TARGETS)]
                async with asyncio.timeout(10):
                    await attack(server, target, name, seed)
            async with asyncio.timeout(30):
                sent = 0
                while len(server.sessions._open) > 1:
                    await other.send(b"x")
                    sent += 1
                    await other.output(sent)
        await other.end_input()
        assert (await other.result()).status["status"] == "Success"
        assert len(server.provider.calls) > SEEDS / 2  # most of them got as far as the provider
    assert [record.getMessage() for record in caplog.records] == []
