"""A container group as DescribeContainerGroups tells it, with the pod that it is for. Pure.

Keys of answers are in lower case here (`client.lowered`), and what is missing counts as empty: one
odd group hurts only itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

import vk
from vk_providers.alibabacloud.tags import ATTEMPT, NodeIdentity, key_of

__all__ = [
    "ALIVE",
    "FINAL",
    "SCHEDULE_FAILED",
    "ContainerGroup",
    "just_created",
    "primary_group",
    "read_group",
]

SCHEDULE_FAILED = "ScheduleFailed"
"""It found no place: never ran, costs nothing, and never will run."""
FINAL = frozenset({"Succeeded", "Failed", "Expired"})
ALIVE = frozenset({"Scheduling", "Pending", "Running", "Restarting", "Updating", "Terminating"})
_RANKS = ("Running", "Updating", "Restarting", "Pending", "Scheduling", "Terminating")


@attrs.frozen(kw_only=True)
class ContainerGroup:
    """One group of ours."""

    id: str
    key: vk.PodKey
    attempt: int
    status: str
    created: datetime | None
    raw: Mapping[str, Any] = attrs.field(repr=False, factory=dict)  # it may hold variables' values

    @property
    def alive(self) -> bool:
        """Whether it runs, is about to, or may: any status that is not known to be an end."""
        return self.status not in FINAL and self.status != SCHEDULE_FAILED

    @property
    def tags(self) -> dict[str, str]:
        """Its tags, as far as they are known."""
        return _tags(self.raw)

    @property
    def containers(self) -> list[str]:
        """Names of its containers."""
        return [str(one.get("name")) for one in self.raw.get("containers") or ()]


def read_group(raw: Mapping[str, Any], identity: NodeIdentity) -> ContainerGroup | None:
    """Return a row as a group; None for one that is not whole or not this node's."""
    tags = _tags(raw)
    key, id = key_of(tags), raw.get("containergroupid")
    if key is None or not isinstance(id, str) or not identity.owns(tags):
        return None
    attempt = tags.get(ATTEMPT, "")
    return ContainerGroup(
        id=id,
        key=key,
        attempt=int(attempt) if attempt.isascii() and attempt.isdigit() else 0,
        status=str(raw.get("status") or ""),
        created=vk.parse_time(raw.get("creationtime")),
        raw=raw,
    )


def _tags(raw: Mapping[str, Any]) -> dict[str, str]:
    return {str(tag.get("key")): str(tag.get("value") or "") for tag in raw.get("tags") or ()}


def just_created(id: str, key: vk.PodKey, attempt: int) -> ContainerGroup:
    """Return the group that a create has answered with, before anything is known of it."""
    now = datetime.now(UTC)
    return ContainerGroup(id=id, key=key, attempt=attempt, status="Scheduling", created=now)


def primary_group(groups: Iterable[ContainerGroup]) -> ContainerGroup | None:
    """Return the one of a pod's groups that stands for it: the running, then the older one.

    What has ended comes after what lives, and what never found a place last.
    """
    return min(groups, key=_order, default=None)


def _order(group: ContainerGroup) -> tuple[int, float, str]:
    created = group.created.timestamp() if group.created else float("inf")
    if group.status in _RANKS:
        return _RANKS.index(group.status), created, group.id
    if group.status == SCHEDULE_FAILED:
        return len(_RANKS) + 2, -created, group.id  # the newest says why
    return len(_RANKS) + (group.status in FINAL), created, group.id
