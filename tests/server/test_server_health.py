"""Probes: three paths on a port of their own, without credentials."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
import pytest

from vk.server.health import HealthHandler


class Process:
    """What is probed."""

    ready = False


@pytest.fixture
async def probed() -> AsyncIterator[tuple[Process, str]]:
    """A process and the address that answers its probes."""
    process = Process()
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    task = asyncio.create_task(HealthHandler(lambda: process.ready).serve("127.0.0.1", port))
    async with asyncio.timeout(5):
        await listening(port)
    yield process, f"http://127.0.0.1:{port}"
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def listening(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return


async def ask(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_a_process_that_answers_is_alive_and_one_with_filled_caches_ready(
    probed: tuple[Process, str],
) -> None:
    process, url = probed
    assert await ask(f"{url}/livez") == (200, "ok")
    assert await ask(f"{url}/healthz") == (200, "ok")
    assert await ask(f"{url}/readyz") == (503, "waiting for the API server")
    process.ready = True
    assert await ask(f"{url}/readyz") == (200, "ok")


@pytest.mark.parametrize("path", ["/", "/pods", "/metrics", "/vk/status", "/healthz/x"])
async def test_nothing_else_is_served_there(probed: tuple[Process, str], path: str) -> None:
    assert (await ask(probed[1] + path))[0] == 404
