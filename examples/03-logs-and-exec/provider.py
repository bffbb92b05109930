"""Pods as child processes of the node: just enough for real logs and a real exec.

For pods as processes in earnest there is the provider ``process``, which comes with vk.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from typing import Any, Self

import attrs

import vk


@attrs.define(eq=False)
class Child:
    """The only container of a pod: its process, and what it wrote, each line with its time."""

    pod: vk.Pod
    changed: Callable[[], None]
    state: vk.ContainerState = attrs.field(factory=vk.Waiting)
    process: Process | None = None
    log: bytearray = attrs.field(factory=bytearray)
    news: asyncio.Event = attrs.field(factory=asyncio.Event)

    @property
    def container(self) -> vk.Container:
        return self.pod.containers[0]

    @property
    def over(self) -> bool:
        return isinstance(self.state, vk.Terminated)

    async def run(self) -> None:
        """Run the process to its end; cancelled, kill it."""
        command = (*self.container.command, *self.container.args)
        try:
            self.process = await start(
                command,
                env={"PATH": "/usr/bin:/bin", **self.container.env},
                cwd=self.container.raw.get("workingDir") or "/",
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
            )
        except (OSError, TypeError) as error:  # TypeError: there is no command
            return self.become(vk.Terminated(128, "RunContainerError", f"{command}: {error}"))
        try:
            self.become(vk.Running(datetime.now(UTC)))
            assert self.process.stdout is not None  # it was started with a pipe
            async for line in self.process.stdout:
                self.log += datetime.now(UTC).isoformat().encode() + b" " + line
                self.tell()
        finally:
            kill(self.process)  # at its end: what it has started
            code = await self.process.wait()
        return self.become(vk.Terminated(code if code >= 0 else 128 - code))

    def become(self, state: vk.ContainerState) -> None:
        self.state = state
        self.tell()
        self.changed()

    def tell(self) -> None:
        """Wake the readers of the log."""
        news, self.news = self.news, asyncio.Event()
        news.set()

    def status(self) -> vk.PodStatus:
        one = vk.ContainerStatus(name=self.container.name, state=self.state)
        return vk.PodStatus(self.pod.key, containers=[one])

    async def read(self, options: vk.LogOptions) -> AsyncIterator[bytes]:
        """Yield of the log what ``options`` want; `vk.filter_lines` knows them all."""
        wanted, seen = vk.filter_lines(options), 0
        while True:
            news, over = self.news, self.over or not options.follow
            data, seen = wanted.feed(bytes(self.log[seen:])), len(self.log)
            yield data + wanted.finish() if over else data
            if over or wanted.full:
                return
            await news.wait()


@attrs.define(eq=False)
class ChildProvider(vk.Provider):
    """Runs the only container of a pod as a child process."""

    durable = False
    fields = vk.FieldTable(
        honoured=(
            "spec.containers[].args",
            "spec.containers[].command",
            "spec.containers[].env",
            "spec.containers[].workingDir",
        )
    )

    _children: dict[str, Child] = attrs.field(factory=dict, init=False)
    _changes: vk.Latest[str, vk.PodChange] = attrs.field(factory=vk.Latest, init=False)
    _tasks: asyncio.TaskGroup = attrs.field(factory=asyncio.TaskGroup, init=False)
    _stack: AsyncExitStack = attrs.field(factory=AsyncExitStack, init=False)
    _running: dict[str, asyncio.Task[None]] = attrs.field(factory=dict, init=False)

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._tasks)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._running.values():
            task.cancel()
        await self._stack.aclose()

    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "4", "memory": "8Gi", "pods": "200"})

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        uid = pod.key.uid
        if len(pod.containers) != 1:
            raise vk.InvalidInputError("this provider runs pods of one container")
        if uid not in self._children:
            child = Child(pod, lambda: self._changes.put(uid, child.status()))
            self._children[uid] = child
            self._running[uid] = self._tasks.create_task(child.run())
        return self._children[uid].status()

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> vk.PodStatus:
        child = self._find(key)
        if child.over:
            del self._children[key.uid], self._running[key.uid]
            raise vk.NotFoundError(key)
        if child.process is not None:
            kill(child.process, signal.SIGTERM if grace_period > 0 else signal.SIGKILL)
        else:  # it is just starting
            self._running[key.uid].cancel()
            child.become(vk.Terminated(137))
        return child.status()

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        return [child.status() for child in self._children.values()]

    async def watch_pods(self) -> AsyncIterator[vk.PodChange]:
        async for change in self._changes:
            yield change

    async def logs(
        self, container: vk.ContainerKey, options: vk.LogOptions
    ) -> AsyncIterator[bytes]:
        child = self._find(container.pod)
        if container.name != child.container.name:
            raise vk.NotFoundError(f"no log of {container}")
        if options.previous:
            raise vk.NotFoundError(f"container {container} never restarted")
        async for piece in child.read(options):
            yield piece

    async def exec(self, container: vk.ContainerKey, command: Sequence[str], io: vk.ExecIO) -> int:
        if container.name != self._find(container.pod).container.name:
            raise vk.NotFoundError(f"no container {container}")
        stdin = PIPE if io.stdin else DEVNULL
        process = await start(command, stdin=stdin, stdout=PIPE, stderr=PIPE)
        try:
            async with asyncio.TaskGroup() as tasks:
                typed = tasks.create_task(take(io.stdin, process.stdin))
                shown = tasks.create_task(give(process.stderr, io.stderr or io.stdout))
                await give(process.stdout, io.stdout)
                await shown
                typed.cancel()  # the command has ended: its input is not read any more
        finally:
            kill(process)
            code = await process.wait()
        return code

    def _find(self, key: vk.PodKey) -> Child:
        child = self._children.get(key.uid)
        if child is None:
            raise vk.NotFoundError(key)
        return child


async def take(source: vk.ByteReader | None, stdin: asyncio.StreamWriter | None) -> None:
    """Hand what the client sends to the process, and then the end."""
    if source is None or stdin is None:
        return
    with suppress(BrokenPipeError, ConnectionResetError):  # the process has ended
        while data := await source.read():
            stdin.write(data)
            await stdin.drain()
        stdin.close()


async def give(output: asyncio.StreamReader | None, target: vk.ByteWriter | None) -> None:
    """Hand what the process writes to the client."""
    while output is not None and (data := await output.read(65536)):
        if target is not None:
            await target.write(data)


async def start(command: Sequence[str], **options: Any) -> Process:
    """Start a process. Cancelled, it is started all the same, and killed: asyncio may hang else."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(*command, start_new_session=True, **options)
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        process = await starting
        kill(process)
        await process.wait()
        raise


def kill(process: Process, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to the process and all that it has started."""
    with suppress(ProcessLookupError):  # all of them have ended
        os.killpg(process.pid, number)


@vk.hookimpl
def vk_register_providers(register: vk.Register) -> None:
    register("child", ChildProvider)
