"""Finds container groups to delete: twins (a second group of a pod) and orphans (without a pod)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import vk
from vk_providers.alibabacloud.groups import ContainerGroup
from vk_providers.alibabacloud.inventory import Inventory

__all__ = ["surplus_groups"]


async def surplus_groups(
    inventory: Inventory, pods: Mapping[str, vk.Pod]
) -> AsyncIterator[ContainerGroup]:
    """Yield every known group that is not the primary group of one of ``pods`` (by UID)."""
    for group in inventory:
        primary = inventory.best(group.key.uid)
        if primary is group or group.id in inventory.deleting:
            continue
        if primary is None and group.key.uid in pods:
            continue  # unscheduled: the next attempt comes first
        if group.alive:  # twins: describe both again before one is deleted
            await inventory.look([one.id for one in inventory.of(group.key.uid)])
            primary = inventory.best(group.key.uid)
        if primary is None or primary.id != group.id:
            yield group
