"""ProcessProvider: a node whose pods are processes of this machine, and outlive vk.

Each pod has a supervisor (`supervisor`). The provider starts it with a plan (`planner`), follows
its status (`pod`), and at its own start adopts all pods in the node's folder (`folders`). The
isolation of pods is in `isolation` and `network`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from types import TracebackType
from typing import ClassVar, Self

import attrs

import vk
from vk_providers.process import machine
from vk_providers.process.config import ProcessConfig
from vk_providers.process.fields import FIELDS
from vk_providers.process.pod import ProcessPod
from vk_providers.process.protocol import PodEvent
from vk_providers.process.relay import relay_connection, relay_session
from vk_providers.process.runtime import PodRuntime
from vk_providers.process.stats import MeasuredPod, UsageMeter

__all__ = ["ProcessProvider"]

log = logging.getLogger(__name__)

_UNNOTICED = frozenset(
    {"metadata.annotations", "metadata.labels", "spec.activeDeadlineSeconds", "spec.tolerations"}
)
"""Fields whose change does not affect processes."""
_RESOURCES = frozenset({"spec.containers[].resources", "spec.initContainers[].resources"})
"""Counted at admission, not enforced on processes: a change needs no action."""
_CONTAINERS = _RESOURCES | {"spec.containers", "spec.initContainers"}
_AGAIN = 5.0
"""Seconds until a pod is followed again after an unexpected error."""


@attrs.define(eq=False)
class ProcessProvider(vk.Provider):
    """Runs pods as processes."""

    config_class: ClassVar[type[ProcessConfig]] = ProcessConfig
    fields: ClassVar[vk.FieldTable] = FIELDS
    splits_logs: ClassVar[bool] = True

    _runtime: PodRuntime = attrs.field(init=False)
    _workloads: dict[str, ProcessPod] = attrs.field(factory=dict, init=False)
    _changes: vk.Latest[str, vk.PodChange] = attrs.field(factory=vk.Latest, init=False)
    _followers: dict[str, asyncio.Task[None]] = attrs.field(factory=dict, init=False)
    _meter: UsageMeter = attrs.field(factory=UsageMeter, init=False)
    _tasks: asyncio.TaskGroup = attrs.field(init=False)
    _stack: AsyncExitStack = attrs.field(factory=AsyncExitStack, init=False)

    @classmethod
    @asynccontextmanager
    async def development(cls) -> AsyncIterator[Mapping[str, str]]:
        """Yield a temporary state folder while `vk dev` runs; its pods end with it."""
        from vk_providers.process.development import temporary_state

        async with temporary_state() as folder:
            yield {"state": str(folder)}

    async def __aenter__(self) -> Self:
        """Adopt the pods of an earlier process. Raises ConfigError."""
        config = self.context.config or ProcessConfig()
        self._runtime = await PodRuntime.open(
            config, cluster_uid=self.context.cluster_uid, node_name=self.context.node_name
        )
        found = await self._runtime.adopt()
        self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._stack.callback(self._leave)
        for workload in found:
            self._follow(workload)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnect; the pods keep running under their supervisors."""
        await self._stack.aclose()

    async def describe_node(self) -> vk.NodeInfo:
        """Return the configured capacity, or that of this machine."""
        config = self._runtime.config
        memory = config.memory or f"{machine.memory_bytes()['MemTotal'] // 1024}Ki"
        return vk.NodeInfo(
            capacity={
                "cpu": config.cpu or str(machine.cpus()),
                "memory": memory,
                "pods": config.pods,
                "ephemeral-storage": f"{machine.disk_bytes(config.folder) // 1024}Ki",
                **{name: str(quantity) for name, quantity in config.others.items()},
            },
            architecture=machine.architecture(),
        )

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        """Start the pod's supervisor, unless one runs or ran for this UID."""
        workload = self._find(pod.key)
        if workload is None:
            workload = self._follow(await self._runtime.start(pod))
        workload.refresh()
        return self._status(workload)

    async def update_pod(self, pod: vk.Pod, changed: Collection[str]) -> vk.PodStatus:
        """Accept changes that do not affect processes; raises UnsupportedError for others."""
        inside = {name for name in changed if "[]" in name}
        unnoticed = _UNNOTICED | (_CONTAINERS if inside and inside <= _RESOURCES else set())
        impossible = sorted(set(changed) - unnoticed)
        if impossible:
            text = f"{', '.join(impossible)} of a pod cannot change once its processes run"
            raise vk.UnsupportedError(text)
        return self._status(self._get(pod.key))

    async def update_files(self, key: vk.PodKey, volume: str, files: vk.FileTree) -> None:
        """Replace a volume's files atomically; processes see the new files at once."""
        await self._runtime.update_files(self._get(key).identity.key.uid, volume, files)

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> vk.PodStatus:
        """Stop the pod; remove an ended one with its logs."""
        workload = self._find(key)
        if workload is not None:
            workload.refresh()
        if workload is None or workload.over:
            await self._remove(key.uid)
            raise vk.NotFoundError(f"nothing runs for pod {key}")
        workload.asked_to_end = True
        if workload.report is None or not workload.report.ended:
            await workload.stop(grace_period)
        return self._status(workload, deleting=True)

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        """Return the status of every pod that has a folder here.

        A deleted pod that ended keeps its folder until the API server has forgotten it.
        """
        for workload in list(self._workloads.values()):
            workload.refresh()
            if self._is_forgotten(workload):
                await self._remove(workload.identity.key.uid)
        return [self._status(workload) for workload in self._workloads.values()]

    async def get_pods(self, keys: Sequence[vk.PodKey]) -> Sequence[vk.PodStatus]:
        """Return the statuses of those of ``keys`` that have a folder here."""
        found = [each for key in keys if (each := self._find(key)) is not None]
        for workload in found:
            workload.refresh()
        return [self._status(workload) for workload in found]

    async def watch_pods(self) -> AsyncIterator[vk.PodChange]:
        """Yield the status changes of the supervisors."""
        async for change in self._changes:
            yield change

    async def logs(
        self, container: vk.ContainerKey, options: vk.LogOptions
    ) -> AsyncIterator[bytes]:
        """Yield the log of a container's newest run, or of the run before."""
        pieces = await self._get(container.pod).logs(container.name, options)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    async def exec(
        self, container: vk.ContainerKey, command: Sequence[str], io: vk.ExecIO
    ) -> int | None:
        """Run a command in a container; returns None where the supervisor died before its end."""
        tty, stdin = io.tty, io.stdin is not None
        session = await self._get(container.pod).session(
            lambda client: client.exec(container.name, command, tty=tty, stdin=stdin)
        )
        return await relay_session(session, io)

    async def attach(self, container: vk.ContainerKey, io: vk.ExecIO) -> None:
        """Attach to a container's main process."""
        session = await self._get(container.pod).session(
            lambda client: client.attach(container.name, stdin=io.stdin is not None)
        )
        await relay_session(session, io)
        end = await session.wait()  # raises where the supervisor died
        if end.message:
            raise vk.TemporaryError(end.message)

    async def port_forward(self, key: vk.PodKey, port: int, stream: vk.ByteStream) -> None:
        """Connect to a port of the pod's loopback, as a kubelet does."""
        reader, writer = await self._runtime.connect(self._get(key).identity, port)
        await relay_connection(reader, writer, stream)

    async def stats(self) -> vk.NodeStats:
        """Measure the usage of the pods' processes."""
        subjects = [
            MeasuredPod(
                key=each.identity.key,
                pids=each.report.pids,
                own_network=each.identity.own_network,
            )
            for each in self._workloads.values()
            if each.report is not None and not each.over
        ]
        return await asyncio.to_thread(self._meter.measure, subjects)

    def _leave(self) -> None:
        for follower in self._followers.values():
            follower.cancel()
        for workload in self._workloads.values():
            workload.close()

    def _find(self, key: vk.PodKey) -> ProcessPod | None:
        """Return the pod, also one started by a create whose outcome was lost."""
        if (known := self._workloads.get(key.uid)) is not None:
            return known
        found = self._runtime.load(key.uid)
        return None if found is None else self._follow(found)

    def _get(self, key: vk.PodKey) -> ProcessPod:
        workload = self._find(key)
        if workload is None:
            raise vk.NotFoundError(f"no process runs for pod {key}")
        return workload

    def _status(self, workload: ProcessPod, *, deleting: bool = False) -> vk.PodStatus:
        return workload.status(deleting=deleting or self._is_deleted(workload.identity.key))

    def _is_deleted(self, key: vk.PodKey) -> bool:
        """Return whether the pod is being deleted or is gone."""
        pod = self.context.pods.get(key.uid)
        return pod is None or bool(pod.metadata.get("deletionTimestamp"))

    def _is_forgotten(self, workload: ProcessPod) -> bool:
        forgotten = workload.identity.key.uid not in self.context.pods
        return workload.over and workload.asked_to_end and forgotten

    def _follow(self, workload: ProcessPod) -> ProcessPod:
        """Follow the pod, unless it is followed already."""
        uid = workload.identity.key.uid
        if (known := self._workloads.get(uid)) is not None:
            workload.close()
            return known
        self._workloads[uid] = workload
        self._followers[uid] = self._tasks.create_task(self._run(workload))
        return workload

    async def _run(self, workload: ProcessPod) -> None:
        """Follow the pod to its end, then release its network and volumes."""
        key = workload.identity.key

        def changed() -> None:
            self._changes.put(key.uid, self._status(workload))

        def on_event(event: PodEvent) -> None:
            if not (event.reason == "Killing" and self._is_deleted(key)):  # the core emits it
                name = f"{key.uid}/{event.sequence}"
                self.context.emit(key, event.type, event.reason, event.message, id=name)

        while True:
            try:
                await workload.follow(changed, on_event)
                await self._runtime.release(key.uid)
            except Exception:  # an error of one pod does not affect others
                log.exception("following the pod failed", extra={"pod": str(key), "uid": key.uid})
                await asyncio.sleep(_AGAIN)
            else:
                return

    async def _remove(self, uid: str) -> None:
        self._workloads.pop(uid, None)
        follower = self._followers.pop(uid, None)
        if follower is not None:
            follower.cancel()
            await asyncio.wait([follower])  # it may still use the pod's folders
        self._changes.discard(uid)
        await self._runtime.remove(uid)
