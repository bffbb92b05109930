"""What the provider says of its pods, from its stream and from complete lists, into the records.

The stream tells quickly; a list, at start and every `Provider.list_interval`, makes every missed
change good. A list proves nothing by itself: see `vk.pods.sync.missing_pods`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress

import attrs

from vk.aio.backoff import Backoff
from vk.errors import UnsupportedError
from vk.models.status import Gone, PodChange, PodStatus, Unplaced
from vk.pods.status.phase import is_final
from vk.pods.sync.changes import as_granted
from vk.pods.sync.gateway import Timed, untimed
from vk.pods.sync.missing_pods import APART, LISTS, is_suspect
from vk.pods.sync.orphans import Orphans
from vk.pods.sync.reconciler import Controller
from vk.pods.sync.records import Accepted, Granted, Held, Record, Verdict
from vk.provider import Provider

__all__ = ["Feed"]

log = logging.getLogger(__name__)

CONFIRM_FOR = 600.0
"""Seconds for which a suspect provider must confirm its losses before they are believed."""


def _clock() -> float:
    return asyncio.get_running_loop().time()


@attrs.define(eq=False, kw_only=True)
class Feed:
    """Reads the provider. `first_list` at start, then `run_stream` and `run_lists` side by side."""

    provider: Provider
    controller: Controller
    orphans: Orphans
    suspect: Callable[[bool], None]
    """Told when the provider is doubted, and when no longer."""
    timed: Timed = untimed
    _wanted: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _started: float = attrs.field(default=0.0, init=False)
    _suspect_since: float | None = attrs.field(default=None, init=False)

    def ask_list(self) -> None:
        """Want a complete list soon; many wishes make one list."""
        self._wanted.set()

    async def first_list(self) -> None:
        """List until it works once; only then is it known what must be created."""
        self._started = _clock()
        backoff = Backoff(first=0.5, cap=30.0)
        while not await self._list():  # noqa: ASYNC110 # each turn is a call, not a look at a flag
            await asyncio.sleep(backoff.next())

    async def run_lists(self) -> None:
        """List for ever."""
        polled = type(self.provider).watch_pods is Provider.watch_pods
        interval = self.provider.poll_interval if polled else self.provider.list_interval
        backoff = Backoff(first=1.0, cap=60.0)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self._wanted.wait()
            self._wanted.clear()
            if await self._list():
                backoff.reset()
            else:
                await asyncio.sleep(backoff.next())
            await asyncio.sleep(min(0.2, interval))  # wishes that come in a burst make one list

    async def run_stream(self) -> None:
        """Follow the provider's stream; its end or error means a new one and a list."""
        backoff = Backoff(first=0.5, cap=30.0)
        while True:
            began = _clock()
            try:
                async with aclosing(self.provider.watch_pods()) as changes:  # type: ignore[type-var] # an async generator by contract
                    async for change in changes:
                        self.hear(change)
            except Exception:  # the provider's stream may fail in any way
                log.exception("stream of changes failed")
            if _clock() - began > 60.0:
                backoff.reset()
            await asyncio.sleep(backoff.next())
            self.ask_list()

    def hear(self, change: PodChange) -> None:
        """Note one change of the stream."""
        record = self.controller.records.get(change.key.uid)
        if record is None:
            return  # not ours, or not any more: the lists find it
        match change:
            case Gone(_, reason):
                self.controller.act.absent(record)
                if record.pod is not None and not record.pod["metadata"].get("deletionTimestamp"):
                    log.info("workload gone", extra={"pod": str(record.key), "error": reason})
            case Unplaced():
                record.hold(Held.ABSENT, _clock())
                record.unplaced, record.status = True, None
                record.problem = (change.reason, change.message)
                record.retry_at = _clock() + record.wait(change.retry_after)
            case PodStatus():
                self._present(record, change)
        record.said_at = _clock()
        self.controller.queue.add(record.name)

    def _present(self, record: Record, status: PodStatus) -> None:
        record.hold(Held.PRESENT, _clock())
        record.say(status)
        record.problem = None
        if record.accepted is None and record.pod is not None:
            self._adopt(record)

    def _adopt(self, record: Record) -> None:
        """Take over a pod that an earlier process gave to the provider."""
        pod = record.pod
        assert pod is not None
        metadata, status = pod["metadata"], pod.get("status") or {}
        generation = int(metadata.get("generation") or 0)
        observed = int(status.get("observedGeneration") or 0)
        labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
        deleting = metadata.get("deletionTimestamp")
        changed = bool(observed and generation > observed and not deleting)
        record.accepted = Accepted({} if changed else pod.get("spec") or {}, labels, annotations)
        record.observed_generation = observed if changed or deleting else generation
        record.granted = Granted.shown(pod)
        if not is_final(pod):
            self.controller.act.prepare.occupy(as_granted(pod, record.granted))

    async def _list(self) -> bool:
        began = _clock()
        try:
            async with self.timed("list_pods", self.provider.list_timeout):
                statuses = await self.provider.list_pods()
        except Exception as error:  # noqa: BLE001 # any failure of a list means unknown, never empty
            log.warning("list of the provider's pods failed", extra={"error": repr(error)})
            return False
        await self._apply({status.key.uid: status for status in statuses}, began)
        return True

    async def _apply(self, listed: Mapping[str, PodStatus], began: float) -> None:
        missing: list[Record] = []
        settled: list[Record] = []
        expected = 0
        for record in self.controller.records:
            status = listed.get(record.key.uid)
            counts = record.held is Held.PRESENT and record.delete_grace is None
            if counts and record.pod is not None and not is_final(record.pod):
                expected += 1
            if status is None:
                self._miss(record, began, missing=missing, settled=settled)
            elif record.said_at <= began and (
                record.held is not Held.PRESENT or status != record.status
            ):
                self._present(record, status)
                self.controller.queue.add(record.name)
            else:
                record.misses = 0
        self.controller.listed = True
        await self._judge(missing, expected, began)
        if self._suspect_since is None:
            for record in settled:
                self._absent(record)
        # A doubted list names no orphans, and those of before must be seen anew.
        self.orphans.consider(listed if self._suspect_since is None else {}, began)

    def _miss(
        self, record: Record, began: float, *, missing: list[Record], settled: list[Record]
    ) -> None:
        """Put a pod that a list lacks where it belongs: missing unasked, or settled by that."""
        pod, lag = record.pod, self.provider.list_lag
        final = pod is not None and is_final(pod)
        match record.held:
            case Held.UNKNOWN:
                self._first_absence(record, final=final)
            case Held.UNCERTAIN:
                if began >= record.held_since + lag:
                    settled.append(record)
            case Held.PRESENT if max(record.held_since, record.said_at) <= began - lag:
                asked = record.delete_grace is not None and record.deleted_at <= began
                (settled if asked or final or pod is None else missing).append(record)

    def _first_absence(self, record: Record, *, final: bool) -> None:
        pod = record.pod or {}
        ran = bool((pod.get("status") or {}).get("startTime")) and not final
        if ran and not self.provider.durable:
            text = "the provider does not keep its pods over a restart"
            record.hold(Held.ABSENT, _clock())
            record.verdict = Verdict("ProviderRestarted", text, ran=True)
        elif ran:
            record.hold(Held.PRESENT, self._started)  # until it is proved gone
            self._adopt(record)
        elif self.provider.list_lag and not final:
            record.hold(Held.UNCERTAIN, self._started)
        else:
            record.hold(Held.ABSENT, _clock())
        self.controller.queue.add(record.name)

    def _absent(self, record: Record) -> None:
        self.controller.act.absent(record)
        self.controller.queue.add(record.name)

    async def _judge(self, missing: Sequence[Record], expected: int, began: float) -> None:
        if is_suspect(expected=expected, missing=len(missing)):
            if self._suspect_since is None:
                self._suspect_since = began
                self.suspect(True)
                log.warning("many pods are missing at once", extra={"missing": len(missing)})
            if began - self._suspect_since < CONFIRM_FOR or not await self._confirm(missing[:1]):
                return
            missing = missing[: max(1, expected // 10)]
        elif self._suspect_since is not None:
            self._suspect_since = None
            self.suspect(False)
        gone = await self._confirm(missing)
        if gone is not None:
            for record in gone:
                self._absent(record)
            return
        for record in missing:
            if not record.misses or began - record.missed_at >= APART:
                record.misses, record.missed_at = record.misses + 1, began
            if record.misses >= LISTS:
                self._absent(record)

    async def _confirm(self, missing: Sequence[Record]) -> list[Record] | None:
        """Return those that a direct look-up proves gone; None where there is no look-up."""
        if not missing:
            return []
        keys = [record.key for record in missing]
        try:
            async with self.timed("get_pods", self.provider.get_timeout):
                statuses = await self.provider.get_pods(keys)
        except UnsupportedError:
            return None
        except Exception as error:  # noqa: BLE001 # a failed look-up proves nothing
            log.warning("look-up failed", extra={"error": repr(error)})
            return []
        present = {status.key.uid for status in statuses}
        return [record for record in missing if record.key.uid not in present]
