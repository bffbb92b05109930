"""The groups of this node: what was last seen of them, and the questions that find out more.

The one rule that everything here is about: an identity without permission gets an **empty list**,
not an error. So a group's absence counts only where the same answer shows another group, or where
an action that does tell the two apart says that the group does not exist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import attrs
import orjson

import vk
from vk_providers.alibabacloud.client import Client
from vk_providers.alibabacloud.errors import GroupNotFoundError, OutcomeUnknownError
from vk_providers.alibabacloud.groups import Group, best, read_group
from vk_providers.alibabacloud.identity import UID, Identity

__all__ = ["Inventory", "Look"]

_PAGE = 20
_MOST_PAGES = 1000


@attrs.frozen
class Look:
    """What a look at some ids found, and which of them are proved not to exist."""

    found: Mapping[str, Group] = attrs.field(factory=dict)
    gone: frozenset[str] = frozenset()

    def __or__(self, other: Look) -> Look:
        return Look({**self.found, **other.found}, self.gone | other.gone)


@attrs.define(eq=False, kw_only=True)
class Inventory:
    """Knows the groups by id and by pod. Every question takes note of what it finds."""

    client: Client
    identity: Identity
    _groups: dict[str, Group] = attrs.field(factory=dict, init=False)
    _by_uid: dict[str, set[str]] = attrs.field(factory=dict, init=False)
    _proved_at: float = attrs.field(default=float("-inf"), init=False)
    _proving: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)

    def __iter__(self) -> Iterator[Group]:
        return iter(list(self._groups.values()))

    def get(self, id: str) -> Group | None:
        """Return what is known of a group."""
        return self._groups.get(id)

    def of(self, uid: str) -> list[Group]:
        """Return the known groups of a pod."""
        return [self._groups[id] for id in self._by_uid.get(uid, ())]

    def best(self, uid: str) -> Group | None:
        """Return the known group that stands for a pod."""
        return best(self.of(uid))

    def remember(self, group: Group) -> None:
        """Take note of a group."""
        self._groups[group.id] = group
        self._by_uid.setdefault(group.key.uid, set()).add(group.id)

    def forget(self, id: str) -> None:
        """Drop a group that is gone; repeatable."""
        group = self._groups.pop(id, None)
        if group is not None:
            ids = self._by_uid[group.key.uid]
            ids.discard(id)
            if not ids:
                del self._by_uid[group.key.uid]

    async def list_all(self) -> list[Group]:
        """Return all groups of this node.

        Raises TemporaryError rather than return a part, or an emptiness that nothing proves.
        """
        known = {group.id for group in self._groups.values() if group.alive}
        rows = await self._pages(self.identity.owner_tags())
        groups = [group for row in rows if (group := read_group(row, self.identity)) is not None]
        if known and not groups:
            look = await self.look(known)
            if look.gone != known:
                raise vk.TemporaryError("the list is empty although groups are known to live")
        listed = {group.id for group in groups}
        for group in groups:
            self.remember(group)
        for group in list(self._groups.values()):
            if group.id not in listed and not group.alive:
                self.forget(group.id)  # the service forgets what has ended, sooner or later
        return groups

    async def find(self, uid: str) -> list[Group]:
        """Return the groups that carry a pod's UID; none proves nothing, see `prove`."""
        rows = await self._pages({**self.identity.owner_tags(), UID: uid})
        groups = [group for row in rows if (group := read_group(row, self.identity)) is not None]
        found = [group for group in groups if group.key.uid == uid]
        for group in found:
            self.remember(group)
        return found

    async def prove(self, since: float) -> bool:
        """Whether lists are allowed, shown by a group that a list made after ``since`` has."""
        async with self._proving:
            if self._proved_at >= since:
                return True
            alive = next((group.id for group in self._groups.values() if group.alive), None)
            question: dict[str, Any] = {"Tag": _tags(self.identity.owner_tags())}
            if alive is not None:
                question = {"ContainerGroupIds": _array([alive])}
            asked = _clock()
            answer = await self.client.call("DescribeContainerGroups", question)
            if answer.get("containergroups"):
                self._proved_at = asked
            return self._proved_at >= since

    async def look(self, ids: Collection[str]) -> Look:
        """Ask for groups by id. What is in neither part of the answer is unknown."""
        wanted = sorted(ids)
        size = _PAGE - 1  # one place is for a group that is known to live
        chunks = [wanted[start : start + size] for start in range(0, len(wanted), size)]
        looks = await asyncio.gather(*(self._look(chunk) for chunk in chunks))
        result = Look()
        for one in looks:
            result |= one
        return result

    async def _look(self, ids: Sequence[str]) -> Look:
        witness = [
            group.id for group in self._groups.values() if group.alive and group.id not in ids
        ]
        question = {"ContainerGroupIds": _array([*ids, *witness[:1]]), "WithEvent": True}
        asked = _clock()
        answer = await self.client.call("DescribeContainerGroups", question)
        rows = answer.get("containergroups") or ()
        groups = [group for row in rows if (group := read_group(row, self.identity)) is not None]
        found = {group.id: group for group in groups}
        for group in groups:
            self.remember(group)
        absent = [id for id in ids if id not in found]
        if groups:
            self._proved_at = asked
        elif absent:
            absent = [id for id in absent if await self._is_gone(id)]
        return Look({id: found[id] for id in ids if id in found}, frozenset(absent))

    async def _is_gone(self, id: str) -> bool:
        """Ask for a line of a log: without permission that is an error, not an absence."""
        group = self._groups.get(id)
        name = (group.containers or [""])[0] if group is not None else ""
        question = {"ContainerGroupId": id, "ContainerName": name or "none", "Tail": 1}
        try:
            await self.client.call("DescribeContainerLog", question)
        except GroupNotFoundError:
            return True
        except (vk.ProviderError, OutcomeUnknownError):
            return False
        return False

    async def _pages(self, tags: Mapping[str, str]) -> list[Mapping[str, Any]]:
        question: dict[str, Any] = {"Tag": _tags(tags), "Limit": _PAGE, "WithEvent": True}
        rows: dict[str, Mapping[str, Any]] = {}
        seen: set[str] = set()
        totals: list[int] = []
        for _ in range(_MOST_PAGES):
            answer = await self.client.call("DescribeContainerGroups", question)
            for row in answer.get("containergroups") or ():
                rows[str(row.get("containergroupid"))] = row
            if isinstance(answer.get("totalcount"), int):
                totals.append(answer["totalcount"])
            token = answer.get("nexttoken") or ""
            if not token:
                if totals and len(rows) < min(totals[0], totals[-1]):
                    raise vk.TemporaryError("the list of groups ended before it was complete")
                return list(rows.values())
            if token in seen:
                break
            seen.add(token)
            question = {**question, "NextToken": token}
        raise vk.TemporaryError("the list of groups does not end")


def _clock() -> float:
    return asyncio.get_running_loop().time()


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]


def _array(ids: Sequence[str]) -> str:
    return orjson.dumps(ids).decode()
