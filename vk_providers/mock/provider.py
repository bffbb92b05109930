"""MockProvider: a node with simulated pods, which annotations can control.

The reference provider. It stores one `MockPod` for each pod and one timer for each pod that will
change, and yields the changes. The state of a pod is a function of time (`pod`), so only creation
and deletion are stored. Logs, exec, attach, port-forward and top are simulated, and state that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from types import TracebackType
from typing import ClassVar, Self

import attrs

import vk
from vk_providers.mock.config import MockConfig
from vk_providers.mock.fields import FIELDS
from vk_providers.mock.files import PodFiles
from vk_providers.mock.logs import SimulatedLog
from vk_providers.mock.pod import ContainerRun, MockPod, ended
from vk_providers.mock.scenario import KILLED, PREFIX, Scenario
from vk_providers.mock.state import AddressPool, StateFile
from vk_providers.mock.stats import pod_stats
from vk_providers.mock.streams import attach, execute, first, killed, serve

__all__ = ["MockProvider"]

log = logging.getLogger(__name__)


@attrs.define(eq=False)
class MockProvider(vk.Provider):
    """Simulates pods."""

    config_class: ClassVar[type[MockConfig]] = MockConfig
    fields: ClassVar[vk.FieldTable] = FIELDS

    _workloads: dict[str, MockPod] = attrs.field(factory=dict, init=False)
    _files: dict[str, PodFiles] = attrs.field(factory=dict, init=False)
    _failures: dict[str, int] = attrs.field(factory=dict, init=False)
    _timers: dict[str, asyncio.TimerHandle] = attrs.field(factory=dict, init=False)
    _changes: vk.Latest[str, vk.PodChange] = attrs.field(factory=vk.Latest, init=False)
    _addresses: AddressPool = attrs.field(init=False)
    _file: StateFile | None = attrs.field(default=None, init=False)
    _epoch: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._addresses = AddressPool(self._config.network)

    @property
    def durable(self) -> bool:
        """Whether a state file keeps the pods."""
        return bool(self._config.state)

    @property
    def _config(self) -> MockConfig:
        return self.context.config or MockConfig()

    async def __aenter__(self) -> Self:
        """Read the pods of an earlier process. Raises ConfigError where the file is invalid."""
        self._epoch = time.time() - asyncio.get_running_loop().time()
        context = self.context
        if self.durable:
            self._file = StateFile.open(
                self._config.state, node=context.node_name, cluster=context.cluster_uid
            )
            self._workloads = self._file.workloads
        else:
            log.info("no state file configured: pods end with this process")
        for workload in list(self._workloads.values()):
            self._addresses.reserve(workload.ip)
            self._look(workload.key.uid, self._now())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the timers and close the state file; pods in the file continue."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._file is not None:
            self._file.close()
            self._file = None

    async def describe_node(self) -> vk.NodeInfo:
        """Return the configured capacity."""
        config = self._config
        return vk.NodeInfo(
            capacity=config.capacity, allocatable=config.capacity, provider_id=config.provider_id
        )

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        """Store the pod; it runs at once unless its annotations delay it."""
        if (known := self._workloads.get(pod.key.uid)) is not None:
            return known.status(self._now())
        scenario = self._config.scenario.override(pod.annotations)
        self._fail(pod.key, scenario)
        now, ip = self._now(), self._addresses.take()
        workload = MockPod.of(pod, ip=ip, created=now, scenario=scenario)
        if self._file is not None:
            try:
                self._file.created(workload)
            except vk.TemporaryError:
                self._addresses.release(ip)
                raise
        self._workloads[pod.key.uid] = workload
        if pod.files:
            self._files[pod.key.uid] = PodFiles.of(pod)
        self._set_timer(workload, now)
        return workload.status(now)

    async def update_pod(self, pod: vk.Pod, changed: Collection[str]) -> vk.PodStatus:
        """Accept any change; the scenario stays the one that the pod was created with."""
        return self._find(pod.key).status(self._now())

    async def update_files(self, key: vk.PodKey, volume: str, files: vk.FileTree) -> None:
        """Store the files for ``cat`` and ``ls``; the core sends them again after a restart."""
        self._find(key)
        if key.uid not in self._files and key.uid in self.context.pods:
            self._files[key.uid] = PodFiles.of(self.context.pods[key.uid])
        if key.uid in self._files:
            self._files[key.uid].volumes[volume] = files

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> vk.PodStatus:
        """End the pod at once: with exit code 0, or 137 without a grace period."""
        self._failures.pop(key.uid, None)
        workload = self._find(key)
        status = ended(workload.status(self._now()), 0 if grace_period > 0 else KILLED)
        self._forget(workload)
        return status

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        """Return the status of every pod."""
        now = self._now()
        return [workload.status(now) for workload in self._workloads.values()]

    async def get_pods(self, keys: Sequence[vk.PodKey]) -> Sequence[vk.PodStatus]:
        """Return the statuses of those of ``keys`` that exist."""
        now = self._now()
        found = (self._workloads.get(key.uid) for key in keys)
        return [workload.status(now) for workload in found if workload is not None]

    async def watch_pods(self) -> AsyncIterator[vk.PodChange]:
        """Yield changes over time; changes by calls are returned by the calls."""
        async for change in self._changes:
            yield change

    async def logs(
        self, container: vk.ContainerKey, options: vk.LogOptions
    ) -> AsyncIterator[bytes]:
        """Yield the log of a run; with ``follow`` until the run ends or the pod is gone."""
        workload = self._find(container.pod)
        run = workload.run(container.name, self._now(), previous=options.previous)
        if run is None:
            what = "previous log" if options.previous else "log"
            raise vk.NotFoundError(f"no {what} of {container}: no such run")
        log = SimulatedLog(container, workload.scenario.log_line, run)
        async with aclosing(log.read(options, self._seconds(workload, run))) as pieces:
            async for piece in pieces:
                yield piece

    async def exec(self, container: vk.ContainerKey, command: Sequence[str], io: vk.ExecIO) -> int:
        """Report that nothing is executed, and echo stdin; ends with 137 when the container ends.

        ``cat`` and ``ls`` of files in volumes print the resolved files.
        """
        workload, run = self._running(container)
        until = killed(self._seconds(workload, run))
        files = self._files.get(container.pod.uid)
        shown = None if files is None else files.answer(container.name, command)
        return await first(execute(container, command, io, shown), until)

    async def attach(self, container: vk.ContainerKey, io: vk.ExecIO) -> None:
        """Stream the container's log from now on, and echo stdin."""
        self._running(container)
        log = self.logs(container, vk.LogOptions(follow=True, tail_lines=0))
        await attach(container, io, log)

    async def port_forward(self, key: vk.PodKey, port: int, stream: vk.ByteStream) -> None:
        """Answer as a simulated HTTP server."""
        self._running(vk.ContainerKey(key, self._find(key).containers[0]))
        await serve(key, port, stream)

    async def stats(self) -> vk.NodeStats:
        """Return simulated usage."""
        now, pods = self._now(), self.context.pods
        time = datetime.fromtimestamp(now / 1_000, UTC)
        known = ((pods[uid], one) for uid, one in self._workloads.items() if uid in pods)
        return vk.NodeStats(
            pods=tuple(pod_stats(pod, workload.status(now), time) for pod, workload in known)
        )

    def _now(self) -> int:
        """Return wall-clock milliseconds, monotonic while the process runs."""
        return int((self._epoch + asyncio.get_running_loop().time()) * 1_000)

    def _find(self, key: vk.PodKey) -> MockPod:
        workload = self._workloads.get(key.uid)
        if workload is None:
            raise vk.NotFoundError(f"the mock has no pod {key}")
        return workload

    def _running(self, container: vk.ContainerKey) -> tuple[MockPod, ContainerRun]:
        """Return the current run of a container; raises TemporaryError where it is not running."""
        workload, now = self._find(container.pod), self._now()
        run = workload.run(container.name, now)
        if run is None or run.is_over(now):
            raise vk.TemporaryError(f"container {container} is not running")
        return workload, run

    async def _seconds(self, workload: MockPod, run: ContainerRun) -> AsyncGenerator[int, None]:
        """Yield the time every second while ``run`` lasts, and once at its end."""
        while True:
            yield (now := self._now())
            if run.is_over(now) or self._workloads.get(workload.key.uid) is not workload:
                return
            await asyncio.sleep((run.next_second(now) - now) / 1_000)

    def _fail(self, key: vk.PodKey, scenario: Scenario) -> None:
        """Raise the error that the scenario defines for the create."""
        failures = self._failures.get(key.uid, 0)
        if failures < scenario.fail_create_times:
            self._failures[key.uid] = failures + 1
            tries = f"{failures + 1} of {scenario.fail_create_times}"
            raise vk.TemporaryError(f"{PREFIX}fail-create-times: failure {tries}")
        self._failures.pop(key.uid, None)
        if scenario.fail_create:
            text = f"{PREFIX}fail-create: {scenario.fail_create}"
            raise vk.PermanentError(text, reason=scenario.fail_create)

    def _forget(self, workload: MockPod) -> None:
        uid = workload.key.uid
        if self._file is not None:
            self._file.deleted(workload)
        del self._workloads[uid]
        self._files.pop(uid, None)
        self._addresses.release(workload.ip)
        self._changes.discard(uid)
        if timer := self._timers.pop(uid, None):
            timer.cancel()

    def _set_timer(self, workload: MockPod, now: int) -> None:
        due = workload.next_change(now)
        if due is not None:
            loop, uid = asyncio.get_running_loop(), workload.key.uid
            when = due / 1_000 - self._epoch
            self._timers[uid] = loop.call_at(when, self._look, uid, due)

    def _look(self, uid: str, due: int) -> None:
        """Report the state of a pod at ``due`` or later (timers may fire slightly early)."""
        workload, now = self._workloads[uid], max(due, self._now())
        self._timers.pop(uid, None)
        if workload.lost_at is None or now < workload.lost_at:
            self._changes.put(uid, workload.status(now))
            self._set_timer(workload, now)
            return
        try:
            self._forget(workload)
        except vk.TemporaryError:  # the state file could not be written: retry
            loop = asyncio.get_running_loop()
            self._timers[uid] = loop.call_later(1.0, self._look, uid, due)
        else:
            self._changes.put(uid, vk.Gone(workload.key, "Lost"))
