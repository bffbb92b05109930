"""A provider that keeps every rule of the contract; the wrong ones override one method each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import attrs
from toy_backend import Backend, Workload, clock, moment

import vk
from vk.testing import ProviderContract


@attrs.define(eq=False)
class ToyProvider(vk.Provider):
    """Runs pods in a `Backend`."""

    fields: ClassVar[vk.FieldTable] = vk.FieldTable(
        honoured=(
            "spec.containers[].args",
            "spec.containers[].env",
            "spec.containers[].workingDir",
            "spec.restartPolicy",
            "spec.volumes[].configMap",
        )
    )
    resolves: ClassVar[frozenset[str]] = frozenset({"env", "files"})

    @property
    def backend(self) -> Backend:
        return self.context.config

    @property
    def owner(self) -> tuple[str, str]:
        return (self.context.cluster_uid, self.context.node_name)

    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "4", "memory": "8Gi", "pods": "200"})

    async def find(self, key: vk.PodKey) -> Workload | None:
        found = [one for one in await self.backend.ask() if one.key == key]
        return found[0] if found else None

    async def get(self, container: vk.ContainerKey) -> Workload:
        workload = await self.find(container.pod)
        if workload is None or workload.container != container.name:
            raise vk.NotFoundError(f"no container {container}")
        return workload

    async def add(self, pod: vk.Pod) -> Workload:
        """Start the pod at the backend, whose response is delayed."""
        workload = self.workload(pod)
        self.backend.workloads.append(workload)
        await asyncio.sleep(0.001)
        return workload

    def workload(self, pod: vk.Pod) -> Workload:
        return Workload.of(pod, self.owner)

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus | None:
        workload = await self.find(pod.key) or await self.add(pod)
        return workload.status()

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> vk.PodStatus | None:
        workload = await self.find(key)
        if workload is None:
            raise vk.NotFoundError(key)
        self.backend.workloads.remove(workload)
        return None

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        return [one.status() for one in await self.backend.ask() if one.owner == self.owner]

    async def get_pods(self, keys: Sequence[vk.PodKey]) -> Sequence[vk.PodStatus]:
        return [one for one in await self.list_pods() if one.key in keys]

    async def watch_pods(self) -> AsyncIterator[vk.PodChange]:
        reported: dict[str, vk.PodStatus] = {}
        while True:
            for status in await self.list_pods():
                if repr(reported.get(status.key.uid)) != repr(status):
                    reported[status.key.uid] = status
                    yield status
            await asyncio.sleep(0.02)

    async def logs(
        self, container: vk.ContainerKey, options: vk.LogOptions
    ) -> AsyncIterator[bytes]:
        workload = await self.get(container)
        if options.previous:
            raise vk.NotFoundError(f"container {container} never restarted")
        async for piece in self.read(workload, options):
            yield piece

    async def read(self, workload: Workload, options: vk.LogOptions) -> AsyncIterator[bytes]:
        wanted, seen = vk.filter_lines(options), 0
        while True:
            over = workload.end() is not None or not options.follow
            lines = workload.written()
            text = "".join(f"{moment(time).isoformat()} {line}\n" for time, line in lines[seen:])
            seen = len(lines)
            data = wanted.feed(text.encode())
            yield data + wanted.finish() if over else data
            if over:
                return
            await asyncio.sleep(0.1)

    async def exec(
        self, container: vk.ContainerKey, command: Sequence[str], io: vk.ExecIO
    ) -> int | None:
        workload = await self.get(container)
        if command[0] == "cat":
            while io.stdin and io.stdout and (data := await io.stdin.read()):
                await io.stdout.write(data)
            return 0
        script = command[-1]
        if script.startswith("cat ") and io.stdout:
            await io.stdout.write(workload.files[script.removeprefix("cat ")].encode())
            return 0
        if script.startswith("exit "):
            return int(script.removeprefix("exit "))
        if "-t 1" in script and io.stdout:
            await io.stdout.write(b"none\n")
            return 0
        await self.write_output(io)
        return 0

    async def write_output(self, io: vk.ExecIO) -> None:
        if io.stdout and io.stderr:
            await io.stdout.write(b"out\n")
            await io.stderr.write(b"wrong\n")

    async def attach(self, container: vk.ContainerKey, io: vk.ExecIO) -> None:
        workload = await self.get(container)
        async for _ in ToyProvider.read(self, workload, vk.LogOptions(follow=True)):
            pass

    async def port_forward(self, key: vk.PodKey, port: int, stream: vk.ByteStream) -> None:
        while data := await stream.read():
            await stream.write(data)

    async def update_files(self, key: vk.PodKey, volume: str, files: vk.FileTree) -> None:
        workload = await self.find(key)
        if workload is None:
            raise vk.NotFoundError(key)
        folder = workload.mounts.get(volume, "")
        for name, one in files.items():
            workload.files[f"{folder}/{name}"] = one.content.decode()

    async def stats(self) -> vk.NodeStats:
        usage = vk.Usage(time=moment(clock()), cpu_cores=0.5, memory_bytes=1024)
        listed = await self.list_pods()
        return vk.NodeStats(
            pods=[
                vk.PodStats(one.key, containers={c.name: usage for c in one.containers})
                for one in listed
            ]
        )


class ToyContract(ProviderContract):
    """The suite as it is for the toy."""

    provider_class = ToyProvider
    many = 20

    def outage(self, bench: Any) -> Any:
        @asynccontextmanager
        async def away() -> AsyncIterator[None]:
            backend: Backend = bench.config
            backend.away = True
            yield
            backend.away = False

        return away()
