"""The end of groups: by id, once, and with force where asking did not help."""

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
"""Seconds beyond the grace period after which a group that is still there is ended by force."""


@attrs.define(eq=False)
class Deletion:
    """Ends groups whose pods are known by their tags, or that we made ourselves."""

    inventory: Inventory
    lookup: GroupLookup
    watch: Watch

    async def delete(self, key: vk.PodKey, grace_period: float) -> ContainerGroup:
        """Ask for the end of all groups of a pod, and return the one that stands for it.

        Raises NotFoundError where there is none, with proof.
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
                failure = error  # the others are billed, too
        if failure is not None:
            raise failure
        group_left = primary_group(self.inventory.of(key.uid))
        if group_left is None:
            raise vk.NotFoundError(f"pod {key} has no container group")
        return group_left

    async def end(self, group: ContainerGroup, *, force: bool = False) -> None:
        """Delete one group; what the service does not know is looked at before it counts."""
        question = {"ContainerGroupId": group.id, "Force": force or None}
        try:
            await self.inventory.client.call("DeleteContainerGroup", question)
        except GroupNotFoundError:
            look = await self.inventory.look([group.id])
            if group.id not in look.gone:
                raise vk.TemporaryError("the group is said both to exist and not to") from None
            self.watch.drop(group.id)
            return
        except StateError:
            found = (await self.inventory.look([group.id])).found.get(group.id)
            if found is None or found.status != "Terminating":
                raise
            # Its end was asked for before, maybe by an earlier process: from now on it is awaited.
        now = asyncio.get_running_loop().time()
        self.inventory.deleting.setdefault(group.id, now)
