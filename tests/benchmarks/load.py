"""The clients that make and delete pods, the node under test, and the observer beside them.

Comes in: a kubeconfig, the node's command. Goes out: when each pod was asked for and when it was
seen, in seconds of `time.monotonic`.
"""

from __future__ import annotations

import asyncio
import copy
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import attrs
import orjson
import yaml
from access import NAMESPACE, PODS, open_session

__all__ = ["Clients", "Observer", "Process"]

_HERE = Path(__file__).parent
_CLIENTS = 20


@attrs.define(eq=False)
class Process:
    """A program in its own process; its output goes to ``log``. A context manager."""

    command: Sequence[str]
    log: Path
    _process: asyncio.subprocess.Process | None = attrs.field(default=None, init=False)

    async def __aenter__(self) -> Self:
        """Start the program."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it in order, or kill it after 30 s."""
        await self.end("stopped")

    @property
    def pid(self) -> int:
        """The process; raises RuntimeError with the end of its log when it has ended."""
        if self._process is None or self._process.returncode is not None:
            tail = self.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{' '.join(self.command)} has ended; its log:\n{tail}")
        return self._process.pid

    async def end(self, how: str) -> None:
        """End it, ``stopped`` in order or ``killed``, and wait for that; repeatable."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        if how == "killed":
            process.kill()
        else:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 30.0)
        except TimeoutError:
            process.kill()
            await process.wait()


@attrs.define(eq=False)
class Observer:
    """Knows when each pod of a node was first seen Running and when gone. A context manager."""

    kubeconfig: Path
    node: str
    running: dict[str, float] = attrs.field(factory=dict, init=False)
    gone: dict[str, float] = attrs.field(factory=dict, init=False)
    _process: asyncio.subprocess.Process = attrs.field(init=False)
    _reading: asyncio.Task[None] = attrs.field(init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _changed: asyncio.Condition = attrs.field(factory=asyncio.Condition, init=False)

    async def __aenter__(self) -> Self:
        """Start the observer; its watch is open when this returns."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(_HERE / "observer.py"), str(self.kubeconfig), self.node),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        if await self._process.stdout.readline() != b"open\n":
            raise RuntimeError("the observer found no pods to watch")
        self._reading = asyncio.create_task(self._read(self._process.stdout))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the observer."""
        if self._process.returncode is None:
            self._process.terminate()
        await self._process.wait()
        await self._reading

    async def wait(self, seen: dict[str, float], names: Iterable[str], timeout: float) -> None:
        """Return once all ``names`` are in ``seen``, which is `running` or `gone`."""
        missing = set(names)

        def complete() -> bool:
            missing.difference_update(seen)
            if missing and self._ended:
                raise RuntimeError("the observer has ended")
            return not missing

        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(complete)
        except TimeoutError:
            some = sorted(missing)[:3]
            text = f"{self.node}: {len(missing)} pods not seen in {timeout:g} s: {some}"
            raise RuntimeError(text) from None

    async def _read(self, lines: asyncio.StreamReader) -> None:
        await self._take(lines)
        self._ended = True
        async with self._changed:
            self._changed.notify_all()

    async def _take(self, lines: asyncio.StreamReader) -> None:
        while chunk := await lines.read(65536):
            if not chunk.endswith(b"\n"):
                chunk += await lines.readline()
            for line in chunk.decode().splitlines():
                kind, name, when = line.split()
                (self.running if kind == "running" else self.gone)[name] = float(when)
            async with self._changed:
                self._changed.notify_all()


@attrs.define(eq=False)
class Clients:
    """Twenty clients that make and delete pods of one node. A context manager."""

    kubeconfig: Path
    node: str
    volumes: Sequence[dict[str, Any]] = ()
    """What the pods have beside their own."""
    session: aiohttp.ClientSession = attrs.field(init=False)
    _pod: dict[str, Any] = attrs.field(init=False)

    async def __aenter__(self) -> Self:
        """Open the connections."""
        self._pod = yaml.safe_load((_HERE / "pod.yaml").read_text())
        self._pod["spec"]["nodeName"] = self.node
        self._pod["spec"]["volumes"] += self.volumes
        self.session = open_session(self.kubeconfig, connections=_CLIENTS)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close them."""
        await self.session.close()

    async def namespace(self) -> None:
        """Make the namespace of all pods."""
        body = {"metadata": {"name": NAMESPACE}}
        async with self.session.post("/api/v1/namespaces", json=body) as answer:
            answer.raise_for_status()

    async def create(self, names: Iterable[str]) -> dict[str, float]:
        """Create the pods and return when each was asked for."""
        return await self._each(names, self._create)

    async def delete(self, names: Iterable[str]) -> dict[str, float]:
        """Delete the pods, with their own grace period, and return when each was asked for."""
        return await self._each(names, self._delete)

    async def versions(self) -> dict[str, str]:
        """Return the resourceVersion of every pod of the node."""
        query = {"fieldSelector": f"spec.nodeName={self.node}"}
        async with self.session.get(PODS, params=query) as answer:
            answer.raise_for_status()
            pods = orjson.loads(await answer.read())["items"]
        return {pod["metadata"]["name"]: pod["metadata"]["resourceVersion"] for pod in pods}

    async def _each(
        self, names: Iterable[str], call: Callable[[str], Awaitable[None]]
    ) -> dict[str, float]:
        waiting, asked = iter(names), dict[str, float]()

        async def client() -> None:
            for name in waiting:
                asked[name] = time.monotonic()
                await call(name)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(_CLIENTS):
                tasks.create_task(client())
        return asked

    async def _create(self, name: str) -> None:
        pod = copy.copy(self._pod)
        pod["metadata"] = {**pod["metadata"], "name": name}
        headers = {"Content-Type": "application/json"}
        async with self.session.post(PODS, data=orjson.dumps(pod), headers=headers) as answer:
            await answer.read()
            answer.raise_for_status()

    async def _delete(self, name: str) -> None:
        async with self.session.delete(f"{PODS}/{name}") as answer:
            await answer.read()
            answer.raise_for_status()
