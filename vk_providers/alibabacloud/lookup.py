"""Finds the group of a pod, or proves that there is none, for get, create and delete.

After a create whose answer was lost, the group may be missing from all answers for a while (the
list lag). Until then an absence is no proof, and a look-up raises.
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
"""Number of unresolved pods from which one list is cheaper than one call for each.

`watch` makes that list, so that no caller's time-out cancels a list that others wait for.
"""


@attrs.define(eq=False)
class GroupLookup:
    """Finds groups, or proves that there are none."""

    inventory: Inventory
    pods: Mapping[str, vk.Pod]
    lag: float
    _unsure: dict[str, float] = attrs.field(factory=dict, init=False)
    """Pods with a create of unknown outcome, and since when."""
    _started: float = attrs.field(init=False)
    _inherited: set[str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # The outcome of a create that an earlier process sent right before its end is unknown too.
        self._started, self._inherited = _clock(), set(self.pods)

    def sent(self, uid: str) -> None:
        """Record that a create is sent; call `settled` once its outcome is known."""
        self._unsure[uid] = _clock()

    def settled(self, uid: str) -> None:
        """Record that the outcome of the pod's create is known."""
        self._unsure.pop(uid, None)
        self._inherited.discard(uid)

    async def find(self, keys: Sequence[vk.PodKey]) -> list[ContainerGroup]:
        """Return the groups of ``keys``; pods without one are proved to have none.

        Raises TemporaryError, for all of them, where that cannot be proved.
        """
        named = {key.uid: self._ids(key.uid) for key in keys}
        ids = {id for several in named.values() for id in several}
        look = await self.inventory.look(ids) if ids else DescribedGroups()
        for id in look.gone:
            self.inventory.forget(id)
        if ids - look.found.keys() - look.gone:
            raise vk.TemporaryError(
                "an absent group cannot be distinguished from a missing permission"
            )
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
        """Return the group of a pod without a known group, or None where proved absent."""
        uid, now = key.uid, _clock()
        since = self._unsure.get(uid, self._started if uid in self._inherited else None)
        if since is not None and now < since + self.lag:
            text = "a create may have been sent, and its group may not be listed yet"
            raise vk.TemporaryError(text, retry_after=since + self.lag - now)
        moment = now
        if since is not None and len(self._unsure) + len(self._inherited) > _MANY:
            moment = since + self.lag
            if not self.inventory.listed_since(moment):
                raise vk.TemporaryError(
                    "the outcome of many creates is unknown until the next list"
                )
        else:
            await self.inventory.find(uid)
        group = self.inventory.best(uid)
        if group is None and not await self._may_lack(key, since=moment):
            text = "no group is listed, and no other group proves that lists are permitted"
            raise vk.TemporaryError(text, retry_after=15.0)
        self.settled(uid)
        return group

    async def _may_lack(self, key: vk.PodKey, *, since: float) -> bool:
        """Return whether an empty answer counts as an absence.

        It does with proof, and for a pod that never had a group and is not being deleted: its next
        create has the same ClientToken and so creates no second group.
        """
        pod = self.pods.get(key.uid)
        fresh = pod is not None and not pod.metadata.get("deletionTimestamp") and not _ran(pod)
        return fresh or await self.inventory.prove(since)

    def noted(self) -> set[str]:
        """Return the group ids in the annotations of the node's pods, except for ended pods."""
        ids = set()
        for uid, pod in self.pods.items():
            if (pod.raw.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
                ids |= self._ids(uid)
        return ids

    def _ids(self, uid: str) -> set[str]:
        known = {group.id for group in self.inventory.of(uid)}
        reported_unscheduled = self.inventory.reported_unscheduled
        pod = self.pods.get(uid)
        noted = pod.annotations.get(_INSTANCE, "") if pod is not None else ""
        return (known or ({noted} if noted.startswith("eci-") else set())) - reported_unscheduled


def _ran(pod: vk.Pod) -> bool:
    return bool((pod.raw.get("status") or {}).get("startTime") or pod.annotations.get(_INSTANCE))


def _clock() -> float:
    return asyncio.get_running_loop().time()
