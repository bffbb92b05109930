"""The yardstick of streams: a node that is nothing but a proxy of raw bytes behind TLS.

    python tests/benchmarks/raw.py PORT CERTIFICATE KEY LOG

It answers a request for logs with the file LOG, of the container ``tick`` with lines such as that
one writes; one for exec with the streams of the command, and one for port-forward with a connection
to that port: after the 101 raw bytes, no frames. It authenticates no caller and knows no
pods. Runs until it is stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from workload import TICK

_PIECE = 1 << 16
_LOGS = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
_UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while piece := await source.read(_PIECE):
        target.write(piece)
        await target.drain()
    with contextlib.suppress(NotImplementedError):  # TLS has no half of an end
        target.write_eof()


async def _send_log(client: asyncio.StreamWriter, log: Path) -> None:
    client.write(_LOGS)
    with log.open("rb") as file:
        while piece := file.read(_PIECE):
            client.write(piece)
            await client.drain()


async def _tick(client: asyncio.StreamWriter) -> None:
    client.write(_LOGS)
    while True:
        await asyncio.sleep(TICK)
        client.write(f"{time.monotonic():.6f}\n".encode())
        await client.drain()


async def _exec(
    reader: asyncio.StreamReader, client: asyncio.StreamWriter, command: list[str]
) -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdin is not None and process.stdout is not None
    sending = asyncio.ensure_future(_copy(reader, process.stdin))
    try:
        await _copy(process.stdout, client)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        process.stdin.close()
        await process.wait()


async def _forward(reader: asyncio.StreamReader, client: asyncio.StreamWriter, port: int) -> None:
    source, target = await asyncio.open_connection("127.0.0.1", port)
    try:
        await asyncio.gather(_copy(reader, target), _copy(source, client))
    finally:
        target.close()


async def _answer(reader: asyncio.StreamReader, client: asyncio.StreamWriter, log: Path) -> None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        url = urlsplit(head.split(b" ", 2)[1].decode())
        query = parse_qs(url.query)
        if url.path.startswith("/containerLogs/"):
            await (_tick(client) if url.path.endswith("/tick") else _send_log(client, log))
            return
        client.write(_UPGRADE)
        if url.path.startswith("/exec/"):
            await _exec(reader, client, query["command"])
        else:
            await _forward(reader, client, int(query["port"][0]))
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # the client has gone
    finally:
        client.close()


async def main(port: int, certificate: Path, key: Path, log: Path) -> None:
    """Serve until it is stopped."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    async def answer(reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        await _answer(reader, client, log)

    server = await asyncio.start_server(answer, "127.0.0.1", port, ssl=context)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *map(Path, sys.argv[2:5])))
