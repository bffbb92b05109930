"""The parameters of UpdateContainerGroup for changed images: what differs, and nothing else. Pure.

The action lacks parameters that a create has, and it restarts what it is given; so an incremental
update names the containers whose image differs, with their image and the logins to pull it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vk_providers.alibabacloud.groups import ContainerGroup

__all__ = ["image_update"]

_LISTS = {"Container": "containers", "InitContainer": "initcontainers"}
"""The lists of containers, and their names in a group's row."""


def image_update(wanted: Mapping[str, Any], group: ContainerGroup) -> dict[str, Any] | None:
    """Return the update that gives the group the images of ``wanted``; None: it has them.

    ``wanted`` are the parameters of a create. What the group has is known from its last row; a
    group that no row has described gets every image.
    """
    changes: dict[str, Any] = {}
    for name, row in _LISTS.items():
        present = {one.get("name"): one.get("image") for one in group.raw.get(row) or ()}
        changed = [
            {"Name": one["Name"], "Image": one["Image"]}
            for one in wanted.get(name) or ()
            if present.get(one["Name"]) != one["Image"]
        ]
        if changed:
            changes[name] = changed
    if not changes:
        return None
    return {
        "ContainerGroupId": group.id,
        "UpdateType": "IncrementalUpdate",
        "ImageRegistryCredential": wanted.get("ImageRegistryCredential"),
        **changes,
    }
