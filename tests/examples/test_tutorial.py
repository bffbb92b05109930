"""The tutorial from its first line to its last, as a newcomer types it."""

from __future__ import annotations

import asyncio
import re
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import attrs
import pytest
from doc_blocks import Block, blocks, fits
from offline import Environment, clean

from vk.testing.kubectl import Kubectl, find_kubectl

_MINUTES = 10


@attrs.define(eq=False)
class Reader:
    """A newcomer with two terminals, in an empty folder."""

    folder: Path
    environment: Environment
    node: Process | None = None
    kubectl: Kubectl | None = None
    typed: list[str] = attrs.field(factory=list)

    async def reads(self, block: Block) -> None:
        if block.language == "python":
            path = re.fullmatch(r'title="(.*)"', block.title)
            assert path is not None
            (self.folder / path[1]).write_text(block.text)
            return
        assert block.language == "console"
        for step in block.steps():
            await self.types(step.command, step.printed)

    async def types(self, command: str, printed: Sequence[str]) -> None:
        self.typed.append(command)
        words = command.split()
        if words[0] == "cd":
            self.folder /= words[1]
        elif words[:2] == ["vk", "dev"]:
            await self.starts(words[2:])
        elif words[0] == "kubectl":
            await self.asks(words[1:], printed)
        else:
            self.environment.run(command, self.folder)

    async def starts(self, words: list[str]) -> None:
        """Start `vk dev`; one that runs is stopped before, as the text asks for."""
        await self.stops()
        state = ("--state-folder", str(self.folder / "state"))
        self.node = await asyncio.create_subprocess_exec(
            self.environment.python,
            "-m",
            "vk",
            "dev",
            *words,
            *state,
            cwd=self.folder,
            env=clean(),
            stdout=PIPE,
        )
        assert self.node.stdout is not None
        path = find_kubectl()
        assert path is not None
        async with asyncio.timeout(60):
            while line := (await self.node.stdout.readline()).decode():
                if found := re.search(r"export KUBECONFIG=(\S+)", line):
                    self.kubectl = Kubectl(path, Path(found[1]), self.folder / "cache")
                if "Ready" in line:
                    return
        raise AssertionError("vk dev ended before its node was ready")

    async def stops(self) -> None:
        if self.node is not None:
            with suppress(ProcessLookupError):
                self.node.send_signal(2)
            await self.node.communicate()
            assert self.node.returncode == 0
            self.node = None

    async def asks(self, words: list[str], printed: Sequence[str]) -> None:
        assert self.kubectl is not None
        ended = await self.kubectl.run(*words)
        text = ended.out.decode() + ended.errors.decode()
        assert fits(printed, text), f"$ kubectl {words}\n{text}"


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_tutorial_leads_to_a_log_in_ten_minutes(tmp_path: Path) -> None:
    began = asyncio.get_running_loop().time()
    folder = tmp_path / "reader"
    folder.mkdir()
    reader = Reader(folder, Environment.make(tmp_path / "venv"))
    try:
        for block in blocks("docs/tutorial.md"):
            await reader.reads(block)
        await reader.stops()
    finally:
        if reader.node is not None and reader.node.returncode is None:
            reader.node.kill()
    assert reader.typed[0] == "vk new-provider hello"
    assert reader.typed[-1] == "kubectl logs second --timestamps"
    assert asyncio.get_running_loop().time() - began < _MINUTES * 60
