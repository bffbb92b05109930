"""The page of the emulator names all that there is, and what it types works."""

import asyncio
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from doc_blocks import block, fits
from eci_client import Client

from vk.testing.programs import free_port
from vk_providers.alibabacloud.emulator.actions import ACTIONS
from vk_providers.alibabacloud.emulator.faults import KINDS, InjectedFault
from vk_providers.alibabacloud.emulator.shell.programs import PROGRAMS

PAGE = (Path(__file__).parents[4] / "docs/eci-emulator.md").read_text()


@pytest.mark.parametrize("action", [name for _, name in ACTIONS])
def test_every_action_is_on_the_page(action: str):
    assert action in PAGE


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_fault_is_on_the_page(kind: str):
    assert f"| `{kind}` |" in PAGE


@pytest.mark.parametrize("name", InjectedFault.__slots__)
def test_every_member_of_a_fault_is_on_the_page(name: str):
    assert name.startswith("_") or f"`{name}`" in PAGE


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in (":", "[")])
def test_every_simulated_program_is_on_the_page(name: str):
    assert f"`{name}" in PAGE


def shape(value: Any) -> Any:
    """The names of a JSON value's members, of lists the first item's."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    return [shape(item) for item in value[:1]] if isinstance(value, list) else None


@pytest.mark.slow
async def test_it_starts_takes_faults_and_keeps_the_ledger_as_shown():
    port = str(free_port())
    (start,) = block("docs/eci-emulator.md", "$ python -m").steps()
    (faults,) = block("docs/eci-emulator.md", "$ curl").text.split("$ ")[1:]
    ledger = json.loads(block("docs/eci-emulator.md", '{"calls"').text)
    words = start.command.replace("9000", port).split()[1:]
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=-1)
    try:
        assert process.stdout is not None
        told = (await process.stdout.readline()).decode()
        assert fits([line.replace("9000", port) for line in start.printed], told)
        name, option, method, url, flag, body = shlex.split(faults.replace("9000", port))
        assert (name, option, flag) == ("curl", "-X", "-d")
        async with aiohttp.ClientSession() as session:
            async with session.request(method, url, data=body) as answer:
                assert answer.status == 200
                assert len((await answer.json())["faults"]) == 2
            root = url.removesuffix("/emulator/faults")
            async with session.put(url, json={"faults": []}) as answer:
                assert answer.status == 200
            await Client(root, session).create()
            async with session.get(f"{root}/emulator/ledger") as answer:
                found = await answer.json()
    finally:
        process.terminate()
        await process.communicate()
    assert shape(found["groups"]) == shape(ledger["groups"])
    assert set(ledger["calls"][0]) == set(found["calls"][0])
