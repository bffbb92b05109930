"""The route /run: a command's output as one answer."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from streaming_world import Served, served


@pytest.fixture
async def server():
    async with served() as one:
        yield one


async def run(server: Served, command: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session:
        url = f"https://127.0.0.1:{server.port}/run/default/web/app"
        async with session.post(url, params={"cmd": command}, ssl=server.tls) as answer:
            return answer.status, await answer.text()


async def test_output_and_errors_are_the_answer(server: Served) -> None:
    assert await run(server, "both") == (200, "outerr")
    assert server.provider.calls[0][1] == ("both",)


async def test_the_command_is_split_at_blanks(server: Served) -> None:
    code, text = await run(server, "exit 3")
    assert code == 500
    assert "command terminated with exit code 3" in text


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("", 400, "command of 0 words"),
        ("exit unknown", 500, "exit code unknown"),
        ("yes", 500, "the output is too long"),
        ("fail missing", 400, "container app is not running"),
        ("fail bug", 500, "internal error"),
    ],
)
async def test_what_fails_is_a_status(server: Served, command: str, code: int, text: str) -> None:
    got, body = await run(server, command)
    assert (got, '"kind":"Status"' in body) == (code, True)
    assert text in body
    assert "hunter2" not in body


async def test_a_client_that_leaves_ends_the_command(server: Served) -> None:
    task = asyncio.ensure_future(run(server, "hang"))
    await server.provider.started.wait()
    task.cancel()
    await asyncio.wait_for(server.provider.cancelled.wait(), 10)


async def test_a_stopping_server_ends_the_command(server: Served) -> None:
    task = asyncio.ensure_future(run(server, "hang"))
    await server.provider.started.wait()
    await server.sessions.close()
    code, text = await task
    assert code == 500
    assert "process is stopping" in text
