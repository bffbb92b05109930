"""Orphans: workloads that the provider runs for this node without a pod. Deleted only with proof.

Proof: the workload carries this cluster's and node's identity, is in two of the provider's lists,
the caches are in sync, and a live read shows that the pod is gone or another one has its name. Age
is no part of it: a pod exists before its workload, and a UID is never used twice. At most a tenth
of the workloads, ten at least, go in one pass.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence

import attrs

from vk.aio.backoff import Backoff
from vk.cluster.client import Client
from vk.errors import ClusterError, NotFoundError
from vk.metrics import Sample
from vk.models.keys import PodKey
from vk.models.status import PodStatus
from vk.pods.status.writer import is_gone
from vk.pods.sync.gateway import ProviderGateway
from vk.pods.sync.records import Records
from vk.settings import LiveSettings, live

__all__ = ["EVERY", "Orphans"]

log = logging.getLogger(__name__)

EVERY = 20.0
"""Seconds between two passes."""
_LISTS = 2
"""Lists that must contain a workload before it counts as an orphan."""


@attrs.define
class _Sighting:
    key: PodKey
    lists: int = 1
    retry_at: float = 0.0
    backoff: Backoff = attrs.field(factory=lambda: Backoff(first=60.0, cap=300.0))


@attrs.define(eq=False, kw_only=True)
class Orphans:
    """Collects candidates from lists; `run` deals with them."""

    gateway: ProviderGateway
    records: Records
    client: Client
    settings: LiveSettings = attrs.field(converter=live)
    list_requested: asyncio.Event = attrs.field(factory=asyncio.Event)
    """Set where a list is needed sooner than at the provider's interval."""
    total: int = 0
    _seen: dict[str, _Sighting] = attrs.field(factory=dict, init=False)
    _reported: set[str] = attrs.field(factory=set, init=False)
    _noticed: set[str] = attrs.field(factory=set, init=False)

    def notice(self, uid: str) -> None:
        """Ask for a list that shows a workload of the stream that has no API object."""
        if uid not in self._seen and uid not in self._noticed:
            self._noticed.add(uid)
            self.list_requested.set()

    def consider(self, listed: Mapping[str, PodStatus]) -> None:
        """Note which of the provider's pods have no API object, in one complete list."""
        self._noticed.clear()
        self.total = len(listed)
        strangers = {uid: one for uid, one in listed.items() if self.records.get(uid) is None}
        self._seen = {uid: one for uid, one in self._seen.items() if uid in strangers}
        self._reported &= strangers.keys()
        for uid, status in strangers.items():
            seen = self._seen.get(uid)
            if seen is not None:
                seen.lists += 1
            else:
                self._seen[uid] = _Sighting(status.key)

    @property
    def suspected(self) -> int:
        """How many workloads of the last list have no pod, proved or not."""
        return len(self._seen)

    def samples(self) -> list[Sample]:
        """Return the same as a gauge."""
        return [({}, float(self.suspected))]

    async def run(self) -> None:
        """Make a pass every `EVERY` seconds, unless the settings keep all orphans."""
        while True:
            await asyncio.sleep(EVERY)
            if self.settings.current.orphans != "keep":
                await self.collect()

    async def proved(self) -> AsyncIterator[PodKey]:
        """Yield what may be deleted in one pass, each with its proof just made."""
        for seen in self._seen_twice():
            if await self._is_orphan(seen.key):
                yield seen.key

    async def collect(self) -> None:
        """Make one pass; ask for a list where one more would prove something."""
        if any(seen.lists < _LISTS for seen in self._seen.values()):
            self.list_requested.set()
        for seen in self._seen_twice():
            if self.records.get(seen.key.uid) is None and await self._is_orphan(seen.key):
                await self._remove(seen)

    def _seen_twice(self) -> Sequence[_Sighting]:
        clock = asyncio.get_running_loop().time()
        found = [
            seen for seen in self._seen.values() if seen.lists >= _LISTS and clock >= seen.retry_at
        ]
        return found[: max(10, self.total // 10)]

    async def _is_orphan(self, key: PodKey) -> bool:
        try:
            return await is_gone(self.client, key)
        except ClusterError:
            return False

    async def _remove(self, seen: _Sighting) -> None:
        key = seen.key
        if self.settings.current.orphans == "report":
            if key.uid not in self._reported:
                self._reported.add(key.uid)
                log.warning("orphan", extra={"pod": str(key), "uid": key.uid})
            return
        log.warning("deleting orphan", extra={"pod": str(key), "uid": key.uid})
        try:
            await self.gateway.delete_pod(key, grace_period=0.0)
        except NotFoundError:
            self._seen.pop(key.uid, None)
        except Exception as error:  # noqa: BLE001 # the next pass tries again
            log.warning("orphan stays", extra={"pod": str(key), "error": repr(error)})
        else:  # it takes its time to end
            seen.retry_at = asyncio.get_running_loop().time() + seen.backoff.next()
