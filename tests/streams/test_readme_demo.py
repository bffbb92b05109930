"""README's demonstration of the process provider: its commands, and what they print."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import pytest
from kubectl_process import line_of
from streams_world import NODE, World

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def _commands() -> dict[str, list[str]]:
    """Return the demonstration's commands, each with the lines that it shows."""
    section = README.partition("## Pods as processes")[2].partition("\n## ")[0]
    found: dict[str, list[str]] = {}
    for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                shown = found[line[2:]] = []
            else:
                shown.append(line)
    return found


async def test_the_demonstration_shows_what_the_readme_says(world: World) -> None:
    commands = _commands()
    start, *others = commands
    assert start == "vk dev --provider process --apply examples/hello.yaml"
    example = (ROOT / "examples" / "hello.yaml").read_text()
    bound = example.replace("spec:\n", f"spec:\n  nodeName: {NODE}\n", 1)
    await world.kubectl("apply", "-f", "-", input=bound)
    await world.kubectl("wait", "pod/hello", "--for=condition=Ready", "--timeout=20s")
    for command in others:
        program, *arguments = shlex.split(command)
        if program == "curl":
            continue  # with port-forward, below
        async with world.kubectl.running(*arguments) as child:
            for expected in commands[command]:
                assert await line_of(child) == expected
            if "port-forward" in arguments:
                (curl,) = (one for one in others if one.startswith("curl"))
                assert (await _get(curl)).splitlines()[0] == commands[curl][0]


async def _get(curl: str) -> str:
    port = int(curl.split(":")[1].partition("/")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[2].decode()
