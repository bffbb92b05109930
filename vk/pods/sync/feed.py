"""What the provider reports of its pods, from its stream and from complete lists, into the records.

The stream is quick; a list, at start and every `Provider.list_interval`, repairs every change that
was missed. A list proves nothing by itself about a pod that is missing in it and was not to end:
`get_pods` or a `Gone` does, else several lists (`MISSED_LISTS`). Where many pods vanish at once the
provider is suspect (`is_suspect`), and nothing counts as gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing, suppress

import attrs

from vk.aio.backoff import Backoff
from vk.errors import UnsupportedError
from vk.models.api_object import status_of
from vk.models.status import Gone, PodChange, PodStatus, Unplaced
from vk.pods.status.phase import is_final
from vk.pods.sync.gateway import ProviderGateway
from vk.pods.sync.orphans import Orphans
from vk.pods.sync.reconciler import Reconciler
from vk.pods.sync.records import ProviderState, Record

__all__ = ["Feed", "is_suspect"]

log = logging.getLogger(__name__)

MISSED_LISTS = 3
"""Complete lists in which a pod must be missing before it counts as gone."""
LISTS_APART = 30.0
"""Seconds between two lists that count."""
CONFIRM_FOR = 600.0
"""Seconds for which a suspect provider must confirm its losses before they count."""


def is_suspect(*, expected: int, missing: int) -> bool:
    """Return whether so many pods vanished at once that the provider is suspect, not the pods."""
    if missing == expected and expected >= 4:
        return True
    return missing > max(3, expected / 10)


def _clock() -> float:
    return asyncio.get_running_loop().time()


@attrs.define(eq=False, kw_only=True)
class Feed:
    """Reads the provider. `first_list` at start, then `run_stream` and `run_lists` side by side."""

    gateway: ProviderGateway
    reconciler: Reconciler
    orphans: Orphans
    list_requested: asyncio.Event
    """Set by who wants a complete list soon; many requests make one list."""
    set_provider_suspect: Callable[[bool], None]
    """Called when the provider becomes suspect, and when it no longer is."""
    _started: float = attrs.field(default=0.0, init=False)
    _suspect_since: float | None = attrs.field(default=None, init=False)

    async def first_list(self) -> None:
        """List until it works once; only then is it known what must be created."""
        self._started = _clock()
        backoff = Backoff(first=0.5, cap=30.0)
        while not await self._list():  # noqa: ASYNC110 # each turn is a call, not a look at a flag
            await asyncio.sleep(backoff.next())

    async def run_lists(self) -> None:
        """List at intervals and on request, until cancelled."""
        provider = self.gateway.provider
        streams = self.gateway.implements("watch_pods")
        interval = provider.list_interval if streams else provider.poll_interval
        backoff = Backoff(first=1.0, cap=60.0)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await self.list_requested.wait()
            self.list_requested.clear()
            if await self._list():
                backoff.reset()
            else:
                await asyncio.sleep(backoff.next())
            await asyncio.sleep(min(0.2, interval))  # requests that come in a burst make one list

    async def run_stream(self) -> None:
        """Follow the provider's stream; its end or error means a new one and a list."""
        backoff = Backoff(first=0.5, cap=30.0)
        while True:
            began = _clock()
            try:
                async with aclosing(self.gateway.watch_pods()) as changes:  # type: ignore[type-var] # an async generator by contract
                    async for change in changes:
                        self.receive(change)
            except Exception:  # the provider's stream may fail in any way
                log.exception("stream of changes failed")
            if _clock() - began > 60.0:
                backoff.reset()
            await asyncio.sleep(backoff.next())
            self.list_requested.set()

    def receive(self, change: PodChange) -> None:
        """Note one change of the stream."""
        record = self.reconciler.records.get(change.key.uid)
        if record is None:
            if isinstance(change, PodStatus):
                self.orphans.notice(change.key.uid)
            return  # it has no pod, or not any more: the lists find it
        match change:
            case Gone(_, reason):
                self.reconciler.gone(record)
                record.reported_gone(_clock())
                if record.pod is not None and not record.pod["metadata"].get("deletionTimestamp"):
                    log.info("workload gone", extra={"pod": str(record.key), "error": reason})
            case Unplaced():
                record.reported_unplaced(
                    change.reason, change.message, change.retry_after, _clock()
                )
            case PodStatus():
                record.reported(change, _clock())
                self._adopt(record)
        self.reconciler.queue.add(record.name)

    def _adopt(self, record: Record) -> None:
        if record.applied is None and record.pod is not None:
            self.reconciler.adopt(record)

    async def _list(self) -> bool:
        began = _clock()
        try:
            statuses = await self.gateway.list_pods()
        except Exception as error:  # noqa: BLE001 # any failure of a list means unknown, never empty
            log.warning("list of the provider's pods failed", extra={"error": repr(error)})
            return False
        await self._apply({status.key.uid: status for status in statuses}, began)
        return True

    async def _apply(self, listed: Mapping[str, PodStatus], began: float) -> None:
        missing: list[Record] = []
        settled: list[Record] = []
        expected = 0
        for record in self.reconciler.records:
            status = listed.get(record.key.uid)
            present = record.provider_state is ProviderState.PRESENT
            if present and record.delete_grace is None:
                expected += record.pod is not None and not is_final(record.pod)
            if status is None:
                self._miss(record, began, missing=missing, settled=settled)
            elif record.status_updated_at <= began and not (present and status == record.status):
                record.listed(status, _clock())
                self._adopt(record)
                self.reconciler.queue.add(record.name)
            else:
                record.listed_unchanged()
        self.reconciler.listed = True
        await self._judge(missing, expected, began)
        if self._suspect_since is None:
            for record in settled:
                self._gone(record)
        # A list of a suspect provider shows no orphans, and those of before must be seen anew.
        self.orphans.consider(listed if self._suspect_since is None else {})

    def _miss(
        self, record: Record, began: float, *, missing: list[Record], settled: list[Record]
    ) -> None:
        """Sort a pod that a list lacks: missing without a request to end, or settled by that."""
        pod, lag = record.pod, self.gateway.provider.list_lag
        final = pod is not None and is_final(pod)
        known_since = max(record.provider_state_since, record.status_updated_at)
        match record.provider_state:
            case ProviderState.UNKNOWN:
                self._first_absence(record, final=final)
            case ProviderState.UNCERTAIN:
                if began >= record.provider_state_since + lag:
                    settled.append(record)
            case ProviderState.PRESENT if known_since <= began - lag:
                requested = record.delete_grace is not None and record.deleted_at <= began
                (settled if requested or final or pod is None else missing).append(record)

    def _first_absence(self, record: Record, *, final: bool) -> None:
        """Note what it means that the first list lacks a pod of an earlier process."""
        pod, provider = record.pod or {}, self.gateway.provider
        ran = bool(status_of(pod).get("startTime")) and not final
        if ran and not provider.durable:
            record.ended_with_process(_clock())
        elif ran:
            record.presumed_present(self._started)
            self.reconciler.adopt(record)
        elif provider.list_lag and not final:
            record.presumed_created(self._started)
        else:
            record.never_created(_clock())
        self.reconciler.queue.add(record.name)

    def _gone(self, record: Record) -> None:
        self.reconciler.gone(record)
        self.reconciler.queue.add(record.name)

    async def _judge(self, missing: Sequence[Record], expected: int, began: float) -> None:
        """Find out which of the missing pods are gone."""
        if is_suspect(expected=expected, missing=len(missing)):
            if self._suspect_since is None:
                self._suspect_since = began
                self.set_provider_suspect(True)
                log.warning("many pods are missing at once", extra={"missing": len(missing)})
            if began - self._suspect_since < CONFIRM_FOR or not await self._confirm(missing[:1]):
                return
            missing = missing[: max(1, expected // 10)]
        elif self._suspect_since is not None:
            self._suspect_since = None
            self.set_provider_suspect(False)
        gone = await self._confirm(missing)
        if gone is not None:
            for record in gone:
                self._gone(record)
            return
        for record in missing:
            record.missed(began, LISTS_APART)
            if record.misses >= MISSED_LISTS:
                self._gone(record)

    async def _confirm(self, missing: Sequence[Record]) -> list[Record] | None:
        """Return those that a direct look-up proves gone; None where there is no look-up."""
        if not missing:
            return []
        try:
            statuses = await self.gateway.get_pods([record.key for record in missing])
        except UnsupportedError:
            return None
        except Exception as error:  # noqa: BLE001 # a failed look-up proves nothing
            log.warning("look-up failed", extra={"error": repr(error)})
            return []
        present = {status.key.uid for status in statuses}
        return [record for record in missing if record.key.uid not in present]
