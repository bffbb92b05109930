"""The changes of container groups as a stream, by polling: `round` is one poll.

DescribeContainerGroupStatus reports, for many groups in one call, which of them changed;
DescribeContainerGroups returns the details. Groups that are being deleted are described until they
are gone. A round also deletes groups that must not continue: unscheduled ones, surplus ones (twins,
or without a pod), and those that are Pending, and billed, for too long.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
import orjson

import vk
from vk_providers.alibabacloud.errors import RequestOutcomeUnknownError
from vk_providers.alibabacloud.groups import SCHEDULE_FAILED, ContainerGroup
from vk_providers.alibabacloud.inventory import Inventory
from vk_providers.alibabacloud.status import failed_status, why_unplaced
from vk_providers.alibabacloud.surplus_groups import surplus_groups
from vk_providers.alibabacloud.time_window import since_second

__all__ = ["Watch"]

log = logging.getLogger(__name__)

_PAGE = 200
_OVERLAP = 150.0
"""Seconds for which a changed group is asked for again: lists may show it as much later."""
_SETTLED = 60.0
"""Seconds after the last change in which the short interval applies."""
_SLOWER = 3.0
_UNSTABLE = frozenset({"Scheduling", "Pending", "Restarting", "Updating", "Terminating"})
_FIRST_PAUSE = 30.0
_LONGEST_PAUSE = 600.0


@attrs.define(eq=False, kw_only=True)
class Watch:
    """Polls the service and yields changes. ``status_of`` maps a group to its pod's status."""

    inventory: Inventory
    pods: Mapping[str, vk.Pod]
    status_of: Callable[[ContainerGroup], vk.PodStatus]
    fails_fast: Callable[[vk.Pod], bool]
    end: Callable[[ContainerGroup], Any]
    """Deletes a group; a coroutine function."""
    on_failure: Callable[[vk.Pod, str], None]
    max_pending: float
    images: dict[str, dict[str, tuple[str, str]]] = attrs.field(factory=dict, init=False)
    _rows: dict[str, bytes] = attrs.field(factory=dict, init=False)
    _overdue: set[str] = attrs.field(factory=set, init=False)
    _looked_at: float | None = attrs.field(default=None, init=False)
    _changed_at: float = attrs.field(default=float("-inf"), init=False)

    def interval(self, poll: float) -> float:
        """Return the seconds until the next poll."""
        lively = self.inventory.deleting or any(
            group.status in _UNSTABLE for group in self.inventory
        )
        recent = _clock() - self._changed_at < _SETTLED
        return poll if lively or recent else poll * _SLOWER

    async def round(self) -> AsyncIterator[vk.PodChange]:
        """Poll once, and yield the changes."""
        await self.inventory.list_wanted()
        began = _clock()
        changed = await self._changed_ids(began)
        ids = changed.keys() | set(self.inventory.deleting)
        if ids:
            look = await self.inventory.look(ids)
            self._rows |= changed  # not before: what a failed call did not show is still news
            for group in look.found.values():
                self._changed_at = began
                if group.status != SCHEDULE_FAILED and group.id not in self._overdue:
                    yield self._status_change(group)
            for id in look.gone:
                gone = self._gone(id)
                if gone is not None:
                    yield gone
        self._looked_at = began
        for change in self._unplaced():
            yield change
        async for change in self._pending_too_long():
            yield change
        await self._delete_surplus()

    def drop(self, id: str) -> None:
        """Drop a group that does not exist any more."""
        self.inventory.forget(id)
        self.images.pop(id, None)
        self._rows.pop(id, None)
        self._overdue.discard(id)

    def _status_change(self, group: ContainerGroup) -> vk.PodStatus:
        if group.status == "Failed":
            pod = self.pods.get(group.key.uid)
            if pod is not None and group.id not in self.inventory.deleting:
                self.on_failure(pod, group.id)
        primary = self.inventory.best(group.key.uid) or group
        return self.status_of(primary)

    def _gone(self, id: str) -> vk.Gone | None:
        group = self.inventory.get(id)
        asked = id in self.inventory.deleting
        self.drop(id)
        if group is None or self.inventory.best(group.key.uid) is not None:
            return None
        return vk.Gone(group.key, "deleted" if asked else "the container group does not exist")

    async def _changed_ids(self, began: float) -> dict[str, bytes]:
        """Return the groups whose rows differ from those of the last round, each with its mark."""
        changed: dict[str, bytes] = {}
        query: dict[str, Any] = {
            "Tag": [
                {"Key": name, "Value": value}
                for name, value in self.inventory.identity.owner_tags().items()
            ],
            "Limit": _PAGE,
        }
        if self._looked_at is not None:
            query["SinceSecond"] = since_second(began - self._looked_at + _OVERLAP)
        while True:
            answer = await self.inventory.client.call("DescribeContainerGroupStatus", query)
            for row in answer.get("data") or ():
                if id := str(row.get("containergroupid") or ""):
                    mark = hashlib.sha256(orjson.dumps(row, option=orjson.OPT_SORT_KEYS)).digest()
                    if self._rows.get(id) != mark:
                        changed[id] = mark
                        self._note_images(id, row)
            token = answer.get("nexttoken")
            if not token or token == query.get("NextToken"):
                return changed
            query = {**query, "NextToken": token}

    def _note_images(self, id: str, row: Mapping[str, Any]) -> None:
        statuses = (row.get("podstatus") or {}).get("containerstatuses") or ()
        self.images[id] = {
            str(one.get("name")): (
                str(one.get("imageid") or ""),
                str(one.get("containerid") or ""),
            )
            for one in statuses
        }

    def _unplaced(self) -> Iterator[vk.PodChange]:
        """Yield a change for each unscheduled group, once."""
        for group in self.inventory:
            pod = self.pods.get(group.key.uid)
            primary = self.inventory.best(group.key.uid)
            if group.status != SCHEDULE_FAILED or primary is not group or pod is None:
                continue
            if pod.metadata.get("deletionTimestamp"):
                continue
            self.inventory.reported_unscheduled.add(group.id)
            reason, message = why_unplaced(group)
            if self.fails_fast(pod):
                self.on_failure(pod, group.id)
                text = f"{reason}: {message}"
                name = "ContainerInstanceScheduleFailed"
                yield failed_status(group, reason=name, message=text)
            else:
                seconds = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(group.attempt, 8))
                yield vk.Unplaced(group.key, reason=reason, message=message, retry_after=seconds)

    async def _pending_too_long(self) -> AsyncIterator[vk.PodChange]:
        """Delete groups that are Pending, and billed, for longer than ``max_pending``."""
        now = datetime.now(UTC)
        for group in self.inventory:
            old = group.created and (now - group.created).total_seconds() > self.max_pending
            if group.status != "Pending" or not old or group.id in self.inventory.deleting:
                continue
            if self._ran(group):  # its containers restart with another image
                continue
            text = f"the container group was Pending for more than {self.max_pending:g} s"
            if not await self._end(group, text):
                continue
            self._overdue.add(group.id)
            yield failed_status(group, reason="MaxPendingExceeded", message=text)

    def _ran(self, group: ContainerGroup) -> bool:
        pod = self.pods.get(group.key.uid)
        return pod is not None and (pod.raw.get("status") or {}).get("phase") == "Running"

    async def _delete_surplus(self) -> None:
        async for group in surplus_groups(self.inventory, self.pods):
            await self._end(group, "the pod has another group, or there is no pod")

    async def _end(self, group: ContainerGroup, why: str) -> bool:
        """Delete a group; return False where that failed and the next round retries."""
        place = {"pod": str(group.key), "uid": group.key.uid, "group": group.id}
        try:
            await self.end(group)
        except (vk.ProviderError, RequestOutcomeUnknownError) as error:
            log.warning("deleting surplus group failed", extra={**place, "error": str(error)})
            return False
        log.warning("surplus group deleted", extra={**place, "error": why})
        return True


def _clock() -> float:
    return asyncio.get_running_loop().time()
