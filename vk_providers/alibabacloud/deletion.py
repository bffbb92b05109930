"""Deletes container groups by id, with Force where a normal delete takes too long."""

from __future__ import annotations

import asyncio

import attrs

import vk
from vk_providers.alibabacloud.errors import (
    GroupNotFoundError,
    RequestOutcomeUnknownError,
    StateError,
)
from vk_providers.alibabacloud.groups import ContainerGroup, primary_group
from vk_providers.alibabacloud.inventory import Inventory
from vk_providers.alibabacloud.lookup import GroupLookup
from vk_providers.alibabacloud.watch import Watch

__all__ = ["Deletion"]

_PATIENCE = 60.0
"""Seconds beyond the grace period after which a group is deleted with Force."""


@attrs.define(eq=False)
class Deletion:
    """Deletes the groups of pods."""

    inventory: Inventory
    lookup: GroupLookup
    watch: Watch

    async def delete(self, key: vk.PodKey, grace_period: float) -> ContainerGroup:
        """Delete all groups of a pod, and return its primary group.

        Raises NotFoundError where it is proved that there is none.
        """
        groups = self.inventory.of(key.uid)
        if not groups:
            await self.lookup.find([key])
            groups = self.inventory.of(key.uid)
        now = asyncio.get_running_loop().time()
        failure: Exception | None = None
        for group in groups:
            since = self.inventory.deleting.get(group.id, now)
            late = now - since > grace_period + _PATIENCE
            try:
                await self.end(group, force=late or grace_period <= 0)
            except (vk.ProviderError, RequestOutcomeUnknownError) as error:
                failure = error  # the other groups are billed as well
        if failure is not None:
            raise failure
        group_left = primary_group(self.inventory.of(key.uid))
        if group_left is None:
            raise vk.NotFoundError(f"pod {key} has no container group")
        return group_left

    async def end(self, group: ContainerGroup, *, force: bool = False) -> None:
        """Delete one group; a reported absence is confirmed by a second action."""
        query = {"ContainerGroupId": group.id, "Force": force or None}
        try:
            await self.inventory.client.call("DeleteContainerGroup", query)
        except GroupNotFoundError:
            look = await self.inventory.look([group.id])
            if group.id not in look.gone:
                raise vk.TemporaryError(
                    "contradictory answers about the existence of the group"
                ) from None
            self.watch.drop(group.id)
            return
        except StateError:
            found = (await self.inventory.look([group.id])).found.get(group.id)
            if found is None or found.status != "Terminating":
                raise
            # It is being deleted already, maybe by an earlier process: wait for that.
        now = asyncio.get_running_loop().time()
        self.inventory.deleting.setdefault(group.id, now)
