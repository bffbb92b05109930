"""Whether a pod has a group, as proof: what `get_pods` answers, and what creates and deletes ask.

After a create whose answer was lost the group may be missing from every answer for a while; until
that has passed an absence proves nothing, and asking raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import attrs

import vk
from vk_providers.alibabacloud.create_parameters.annotations import PREFIX
from vk_providers.alibabacloud.groups import ContainerGroup
from vk_providers.alibabacloud.inventory import DescribedGroups, Inventory

__all__ = ["GroupLookup"]

_INSTANCE = f"{PREFIX}eci-instance-id"
_MANY = 20
"""Pods that wait for an answer, from which on one list for all costs less than a call for each.

`watch` makes it: no caller's time-out ends a list that others wait for.
"""


@attrs.define(eq=False)
class GroupLookup:
    """Finds groups, or proves that there are none."""

    inventory: Inventory
    pods: Mapping[str, vk.Pod]
    lag: float
    _unsure: dict[str, float] = attrs.field(factory=dict, init=False)
    """Pods for which a create may have gone out, and since when."""
    _started: float = attrs.field(init=False)
    _inherited: set[str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # What an earlier process sent right before its end is as unsure as what we send.
        self._started, self._inherited = _clock(), set(self.pods)

    def sent(self, uid: str) -> None:
        """Note that a create goes out; call `settled` once its outcome is known."""
        self._unsure[uid] = _clock()

    def settled(self, uid: str) -> None:
        """Note that it is known what became of the pod's create."""
        self._unsure.pop(uid, None)
        self._inherited.discard(uid)

    async def find(self, keys: Sequence[vk.PodKey]) -> list[ContainerGroup]:
        """Return the group of each of ``keys`` that has one; the others are proved to have none.

        Raises TemporaryError where that cannot be proved, for all of them.
        """
        named = {key.uid: self._ids(key.uid) for key in keys}
        ids = {id for several in named.values() for id in several}
        look = await self.inventory.look(ids) if ids else DescribedGroups()
        for id in look.gone:
            self.inventory.forget(id)
        if ids - look.found.keys() - look.gone:
            raise vk.TemporaryError("an absent group cannot be told from a missing permission")
        found = []
        for key in keys:
            had = any(id in look.gone for id in named[key.uid])
            group = self.inventory.best(key.uid) if named[key.uid] else None
            if group is None and (not had or key.uid in self._unsure):
                group = await self._without_id(key)
            if group is not None:
                found.append(group)
        return found

    async def _without_id(self, key: vk.PodKey) -> ContainerGroup | None:
        """Return the group of a pod of which no group is known, or None with proof."""
        uid, now = key.uid, _clock()
        since = self._unsure.get(uid, self._started if uid in self._inherited else None)
        if since is not None and now < since + self.lag:
            text = "a create may have gone out and its group may not be listed yet"
            raise vk.TemporaryError(text, retry_after=since + self.lag - now)
        moment = now
        if since is not None and len(self._unsure) + len(self._inherited) > _MANY:
            moment = since + self.lag
            if not self.inventory.listed_since(moment):
                raise vk.TemporaryError("many creates are unsure: the next list settles them")
        else:
            await self.inventory.find(uid)
        group = self.inventory.best(uid)
        if group is None and not await self._may_lack(key, since=moment):
            text = "no group is listed, and no other group shows that lists are allowed"
            raise vk.TemporaryError(text, retry_after=15.0)
        self.settled(uid)
        return group

    async def _may_lack(self, key: vk.PodKey, *, since: float) -> bool:
        """Whether an empty answer counts.

        It does with proof. It also does for a living pod that never had a group: then the next
        create has the token of the last one, and makes no second group whatever there is.
        """
        pod = self.pods.get(key.uid)
        fresh = pod is not None and not pod.metadata.get("deletionTimestamp") and not _ran(pod)
        return fresh or await self.inventory.prove(since)

    def noted(self) -> set[str]:
        """Return the ids of groups that the node's pods say they have, but for ended pods."""
        ids = set()
        for uid, pod in self.pods.items():
            if (pod.raw.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
                ids |= self._ids(uid)
        return ids

    def _ids(self, uid: str) -> set[str]:
        known = {group.id for group in self.inventory.of(uid)}
        given_up = self.inventory.given_up
        pod = self.pods.get(uid)
        noted = pod.annotations.get(_INSTANCE, "") if pod is not None else ""
        return (known or ({noted} if noted.startswith("eci-") else set())) - given_up


def _ran(pod: vk.Pod) -> bool:
    return bool((pod.raw.get("status") or {}).get("startTime") or pod.annotations.get(_INSTANCE))


def _clock() -> float:
    return asyncio.get_running_loop().time()
