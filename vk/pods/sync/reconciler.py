"""Takes keys from the work queue, decides, acts and reports, until nothing is left to do.

One task works on a name at a time; creates, deletes and reports have limits of their own, so that
a full create queue never holds back a delete or a status (design 1).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs

from vk.errors import ClusterError, ForbiddenError
from vk.models.pod import Json
from vk.pods.resolve.live_files import LiveFiles
from vk.pods.status.phase import is_final
from vk.pods.status.writer import Report
from vk.pods.sync.actions import Act
from vk.pods.sync.decide import (
    Create,
    Decision,
    Delete,
    Expire,
    Forget,
    GiveFiles,
    Lookup,
    Lost,
    Remove,
    Update,
    Wait,
    decide,
)
from vk.pods.sync.records import Held, Name, Record, Records, Verdict
from vk.workqueue import WorkQueue

__all__ = ["DRAIN", "Controller"]

log = logging.getLogger(__name__)

DRAIN = 25.0
"""Seconds that calls in flight get when the process stops."""
IN_FLIGHT = 64
_MIRROR = "kubernetes.io/config.mirror"
_ENDING = (Delete, Lookup, Lost, Expire)
"""What goes on although the pod's status cannot be written."""


@attrs.define(eq=False, kw_only=True)
class Controller:
    """Works on pods. `observe` is the reflector's callback; `run` ends when cancelled."""

    queue: WorkQueue[Name]
    records: Records
    act: Act
    live: LiveFiles
    report: Report
    creates: int = IN_FLIGHT
    enforce_deadline: bool = True
    listed: bool = False
    """The provider has been listed once: what it did not name, it does not have."""
    _limits: dict[type[Decision], asyncio.Semaphore] = attrs.field(init=False)
    _report_limit: asyncio.Semaphore = attrs.field(init=False)
    _tasks: set[asyncio.Task[None]] = attrs.field(factory=set, init=False)
    _stopping: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        create = asyncio.Semaphore(self.creates)
        self._report_limit = asyncio.Semaphore(IN_FLIGHT)
        self._limits = {
            **dict.fromkeys((Create, Update, GiveFiles), create),
            Delete: asyncio.Semaphore(IN_FLIGHT),
            Lookup: asyncio.Semaphore(IN_FLIGHT),
        }

    def observe(self, old: Json | None, new: Json | None) -> None:
        """Note what the API server says of a pod; ``new`` None: it is gone."""
        if new is not None:
            if _MIRROR in (new["metadata"].get("annotations") or {}):
                return  # it shows what a kubelet runs from a file
            record = self.records.observe(new, old)
            if record is None:
                return
            if record.held is Held.UNKNOWN and self.listed:
                self._meet(record, new)
            if is_final(new):
                self.act.prepare.release(record.key)
            self.queue.add(record.name)
        elif old is not None:
            gone = self.records.get(old["metadata"]["uid"])
            if gone is not None:
                gone.pod = None
                self.queue.add(gone.name)

    def _meet(self, record: Record, pod: Json) -> None:
        """Say what the provider holds for a pod that was not there at the first list."""
        if (pod.get("status") or {}).get("startTime") and not is_final(pod):
            self.act.ask_list()  # it runs: the watch was late, and the next list settles it
        else:
            record.hold(Held.ABSENT, asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Work until cancelled; calls in flight then get `DRAIN` seconds to end."""
        try:
            while True:
                name = await self.queue.get()
                task = asyncio.get_running_loop().create_task(self._work(name))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        finally:
            self._stopping = True
            await self._drain()

    async def run_resync(self, period: float) -> None:
        """Look at every pod again each ``period`` seconds: events are hints."""
        while True:
            await asyncio.sleep(period)
            for record in self.records:
                if self._is_due(record):
                    self.queue.add(record.name)

    def _is_due(self, record: Record) -> bool:
        """Say whether a task would find something to do, or to say."""
        try:
            return self.report.patch(record) is not None or self._decide(record) != Wait()
        except Exception:  # noqa: BLE001 # the task says it of this one pod
            return True

    async def _drain(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DRAIN)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, name: Name) -> None:
        try:
            for record in self.records.named(name):
                await self._settle(record)
        except ClusterError as error:
            level = logging.ERROR if isinstance(error, ForbiddenError) else logging.INFO
            log.log(level, "write failed", extra={"pod": "/".join(name), "error": str(error)})
            self.queue.retry(name)
        except Exception:  # one bad pod hurts only itself
            log.exception("pod failed unexpectedly", extra={"pod": "/".join(name)})
            self.queue.retry(name)
        else:
            self.queue.forget(name)
        finally:
            self.queue.done(name)

    async def _settle(self, record: Record) -> None:
        """Take step after step until there is nothing to do now.

        A status that cannot be written holds back what would follow from it, but never the end of
        a workload; it is raised once that is under way.
        """
        unwritten: ClusterError | None = None
        while not self._stopping:
            if unwritten is None and self.report.patch(record) is not None:
                unwritten = await self._write(record)
                continue
            decision = self._decide(record)
            match decision:
                case Wait(seconds):
                    if seconds is not None:
                        self.queue.add(record.name, max(seconds, 0.01))
                    break
                case Forget():
                    self.records.forget(record, asyncio.get_running_loop().time())
                    self.act.prepare.release(record.key)
                    self.live.forget(record.key)
                    break
                case _ if unwritten is None or isinstance(decision, _ENDING):
                    await self._step(record, decision)
                case _:
                    break
        if unwritten is not None:
            raise unwritten

    async def _write(self, record: Record) -> ClusterError | None:
        """Write the status if it still differs; return why it could not be written."""
        async with self._report_limit:
            patch = self.report.patch(record)  # it may have changed while this waited
            if patch is None:
                return None
            try:
                await self.report.write(record, patch)
            except ClusterError as error:
                return error
        if record.pod is not None and is_final(record.pod):
            self.act.prepare.release(record.key)
        return None

    def _decide(self, record: Record) -> Decision:
        return decide(
            record,
            now=asyncio.get_running_loop().time(),
            wall=time.time(),
            enforce_deadline=self.enforce_deadline,
        )

    async def _step(self, record: Record, decision: Decision) -> None:
        async with self._limit(decision):
            if self._stopping or self._decide(record) != decision:
                return  # it changed while this task waited for its turn
            match decision:
                case Create():
                    await self.act.create(record)
                case Update(changed):
                    await self.act.update(record, changed)
                    self.live.ask(record.key.uid)  # labels and annotations may be files too
                case GiveFiles():
                    await self.live.give(record)
                case Delete(grace_period):
                    await self.act.delete(record, grace_period)
                case Lookup():
                    await self.act.look(record)
                case Lost():
                    record.verdict = Verdict("WorkloadLost", "the workload is gone", ran=True)
                case Expire():
                    text = "Pod was active on the node longer than the specified deadline"
                    record.verdict = Verdict("DeadlineExceeded", text, ran=True)
                case Remove():
                    await self.report.remove(record)

    @asynccontextmanager
    async def _limit(self, decision: Decision) -> AsyncIterator[None]:
        limit = self._limits.get(type(decision))
        if limit is None:
            yield
            return
        async with limit:
            yield
