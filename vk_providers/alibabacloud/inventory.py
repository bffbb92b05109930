"""The container groups of this node: their last known state, and the calls that refresh it.

An identity without permission gets an **empty list**, not an error. So the absence of a group
counts only where the same answer contains another group, or where an action that distinguishes the
two cases reports that the group does not exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
import orjson

import vk
from vk_providers.alibabacloud.client import RpcClient
from vk_providers.alibabacloud.errors import GroupNotFoundError, RequestOutcomeUnknownError
from vk_providers.alibabacloud.groups import ContainerGroup, primary_group, read_group
from vk_providers.alibabacloud.tags import UID, NodeIdentity

__all__ = ["DescribedGroups", "Inventory"]

_PAGE = 20
_MOST_PAGES = 1000
_LATELY = 60.0


@attrs.frozen
class DescribedGroups:
    """The result of describing groups by id: those found, and those proved not to exist."""

    found: Mapping[str, ContainerGroup] = attrs.field(factory=dict)
    gone: frozenset[str] = frozenset()

    def __or__(self, other: DescribedGroups) -> DescribedGroups:
        return DescribedGroups({**self.found, **other.found}, self.gone | other.gone)


@attrs.define(eq=False, kw_only=True)
class Inventory:
    """The known groups by id and by pod; every call updates them."""

    client: RpcClient
    identity: NodeIdentity
    lag: float
    """Seconds for which a new group may be missing from an answer."""
    deleting: dict[str, float] = attrs.field(factory=dict, init=False)
    """Groups whose deletion the service has accepted, and since when."""
    reported_unscheduled: set[str] = attrs.field(factory=set, init=False)
    """Unscheduled groups that were reported: from then on the pod counts as without a group."""
    wanted_since: float = attrs.field(default=float("-inf"), init=False)
    """Earliest start of the list that callers wait for."""
    _groups: dict[str, ContainerGroup] = attrs.field(factory=dict, init=False)
    _by_uid: dict[str, set[str]] = attrs.field(factory=dict, init=False)
    _proved_at: float = attrs.field(default=float("-inf"), init=False)
    _listed_at: float = attrs.field(default=float("-inf"), init=False)
    _proving: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)

    def __iter__(self) -> Iterator[ContainerGroup]:
        return iter(list(self._groups.values()))

    def get(self, id: str) -> ContainerGroup | None:
        """Return a known group, or None."""
        return self._groups.get(id)

    def of(self, uid: str) -> list[ContainerGroup]:
        """Return the known groups of a pod."""
        return [self._groups[id] for id in self._by_uid.get(uid, ())]

    def best(self, uid: str) -> ContainerGroup | None:
        """Return the primary group of a pod, if one is known."""
        return primary_group(
            group for group in self.of(uid) if group.id not in self.reported_unscheduled
        )

    def remember(self, group: ContainerGroup) -> None:
        """Store a group."""
        self._groups[group.id] = group
        self._by_uid.setdefault(group.key.uid, set()).add(group.id)

    def forget(self, id: str) -> None:
        """Drop a group that does not exist any more; idempotent."""
        self.deleting.pop(id, None)
        self.reported_unscheduled.discard(id)
        group = self._groups.pop(id, None)
        if group is not None:
            ids = self._by_uid[group.key.uid]
            ids.discard(id)
            if not ids:
                del self._by_uid[group.key.uid]

    async def list_all(self, expected: Collection[str] = ()) -> list[ContainerGroup]:
        """Return all groups of this node; ``expected`` are ids that should exist.

        Raises TemporaryError where the list is incomplete, or empty without proof.
        """
        known = {group.id for group in self._groups.values() if group.alive} | set(expected)
        began = _clock()
        rows = await self._pages({"Tag": _tags(self.identity.owner_tags())})
        groups = [group for row in rows if (group := read_group(row, self.identity)) is not None]
        if known and not groups:
            one = next(iter(known))  # one is enough to detect a missing permission
            if not (await self.look([one])).gone or (await self.look(known)).gone != known:
                raise vk.TemporaryError("the list is empty although running groups are known")
        self._listed_at = began
        if groups:
            self._proved_at = max(self._proved_at, began)
        listed = {group.id for group in groups}
        for group in groups:
            self.remember(group)
        for group in list(self._groups.values()):
            if group.id not in listed and not group.alive:
                self.forget(group.id)  # the service drops ended groups after a while
        return groups

    def listed_since(self, moment: float) -> bool:
        """Return whether a complete list started at ``moment`` or later; if not, request one."""
        self.wanted_since = max(self.wanted_since, moment)
        return self._listed_at >= moment

    async def list_wanted(self) -> None:
        """List all groups if a list was requested: one list for all waiting callers."""
        if self._listed_at < self.wanted_since:
            await self.list_all()

    async def find(self, uid: str) -> list[ContainerGroup]:
        """Return the groups with a pod's UID; an empty result is no proof, see `prove`."""
        rows = await self._pages({"Tag": _tags({**self.identity.owner_tags(), UID: uid})})
        groups = [group for row in rows if (group := read_group(row, self.identity)) is not None]
        if len(groups) < len(rows):
            raise vk.TemporaryError("malformed row of a group")
        found = [group for group in groups if group.key.uid == uid]
        for group in found:
            self.remember(group)
        return found

    async def prove(self, since: float) -> bool:
        """Return whether lists are permitted: a list made after ``since`` contained a group."""
        async with self._proving:
            if self._proved_at >= since:
                return True
            alive = next((group.id for group in self._groups.values() if group.alive), None)
            queries: list[dict[str, Any]] = [{"Tag": _tags(self.identity.owner_tags())}]
            if alive is not None:  # a new one may not be listed yet, and it may be gone
                queries.insert(0, {"ContainerGroupIds": _array([alive])})
            for query in queries:
                asked = _clock()
                answer = await self.client.call("DescribeContainerGroups", query)
                if answer.get("containergroups"):
                    self._proved_at = asked
                    break
            return self._proved_at >= since

    async def look(self, ids: Collection[str]) -> DescribedGroups:
        """Describe groups by id. The state of ids in neither part of the result is unknown."""
        wanted = sorted(ids)
        size = _PAGE - 1  # one more id is for a group that is known to exist
        chunks = [wanted[start : start + size] for start in range(0, len(wanted), size)]
        looks = await asyncio.gather(*(self._look(chunk) for chunk in chunks))
        result = DescribedGroups()
        for one in looks:
            result |= one
        return result

    async def _look(self, ids: Sequence[str]) -> DescribedGroups:
        asked = _clock()
        rows = await self._pages({"ContainerGroupIds": _array([*ids, *self._witness(ids)])})
        groups = [group for row in rows if (group := read_group(row, self.identity)) is not None]
        found = {group.id: group for group in groups}
        for group in groups:
            self.remember(group)
        told = {row.get("containergroupid") for row in rows}  # also by a malformed row
        absent = [id for id in ids if id not in told and not self._may_come(id)]
        if groups:
            self._proved_at = asked
            gone = set(absent)
        else:
            gone = await self._proved_gone(absent, asked)
        return DescribedGroups({id: found[id] for id in ids if id in found}, frozenset(gone))

    def _may_come(self, id: str) -> bool:
        """Return whether a group is so new that answers may not contain it yet."""
        group = self._groups.get(id)
        if group is None or group.raw or group.created is None or id in self.deleting:
            return False
        return (datetime.now(UTC) - group.created).total_seconds() < self.lag

    def _witness(self, ids: Collection[str]) -> list[str]:
        """Return the id of a group that an answer contains where lists are permitted, if any."""
        for group in self._groups.values():
            if group.alive and group.id not in ids and group.id not in self.deleting:
                return [group.id]
        return []

    async def _proved_gone(self, absent: Collection[str], asked: float) -> set[str]:
        """Return which of ``absent`` are gone, where the answer contained no other group.

        For a group whose deletion was accepted, a recent proof of the permission is enough.
        """
        lately = asked - self._proved_at <= _LATELY
        gone = {id for id in absent if lately and id in self.deleting}
        for id in absent:
            if id not in gone:
                if not await self._is_gone(id):
                    break  # the others would get the same answer
                gone.add(id)
        return gone

    async def _is_gone(self, id: str) -> bool:
        """Read one log line: without permission that is an error, distinct from an absence."""
        group = self._groups.get(id)
        name = (group.containers or [""])[0] if group is not None else ""
        query = {"ContainerGroupId": id, "ContainerName": name or "none", "Tail": 1}
        try:
            await self.client.call("DescribeContainerLog", query)
        except GroupNotFoundError:
            return True
        except (vk.ProviderError, RequestOutcomeUnknownError):
            return False
        return False

    async def _pages(self, query: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the rows of all pages. Raises TemporaryError where some are missing."""
        query = {**query, "Limit": _PAGE, "WithEvent": True}
        rows: dict[str, Mapping[str, Any]] = {}
        seen: set[str] = set()
        totals: list[int] = []
        for _ in range(_MOST_PAGES):
            answer = await self.client.call("DescribeContainerGroups", query)
            for row in answer.get("containergroups") or ():
                rows[str(row.get("containergroupid"))] = row
            if isinstance(answer.get("totalcount"), int):
                totals.append(answer["totalcount"])
            token = answer.get("nexttoken") or ""
            if not token:
                if totals and len(rows) < min(totals[0], totals[-1]):
                    raise vk.TemporaryError("the list of groups is incomplete")
                return list(rows.values())
            if token in seen:
                break
            seen.add(token)
            query = {**query, "NextToken": token}
        raise vk.TemporaryError("the list of groups does not end")


def _clock() -> float:
    return asyncio.get_running_loop().time()


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]


def _array(ids: Sequence[str]) -> str:
    return orjson.dumps(ids).decode()
