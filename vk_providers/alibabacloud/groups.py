"""A container group as DescribeContainerGroups returns it, with the key of its pod. Pure.

Keys of answers are in lower case (`client.lower_keys`). Missing fields count as empty, so that a
malformed group affects only itself.
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
"""The status of a group that was not scheduled: it never ran, is not billed, and never runs."""
FINAL = frozenset({"Succeeded", "Failed", "Expired"})
ALIVE = frozenset({"Scheduling", "Pending", "Running", "Restarting", "Updating", "Terminating"})
_RANKS = ("Running", "Updating", "Restarting", "Pending", "Scheduling", "Terminating")


@attrs.frozen(kw_only=True)
class ContainerGroup:
    """One container group of this node."""

    id: str
    key: vk.PodKey
    attempt: int
    status: str
    created: datetime | None
    raw: Mapping[str, Any] = attrs.field(repr=False, factory=dict)  # contains values of variables

    @property
    def alive(self) -> bool:
        """Whether it runs or may run: any status that is not known to be final."""
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
    """Return a row as a group; None where it is incomplete or of another node."""
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
    """Return the group that a create has just returned, before it was described."""
    now = datetime.now(UTC)
    return ContainerGroup(id=id, key=key, attempt=attempt, status="Scheduling", created=now)


def primary_group(groups: Iterable[ContainerGroup]) -> ContainerGroup | None:
    """Return the group that represents the pod: a running one first, then the older one.

    Ended groups come after those that may run, and unscheduled groups last.
    """
    return min(groups, key=_order, default=None)


def _order(group: ContainerGroup) -> tuple[int, float, str]:
    created = group.created.timestamp() if group.created else float("inf")
    if group.status in _RANKS:
        return _RANKS.index(group.status), created, group.id
    if group.status == SCHEDULE_FAILED:
        return len(_RANKS) + 2, -created, group.id  # the newest has the current reason
    return len(_RANKS) + (group.status in FINAL), created, group.id
