"""The conditions of the Node as entries of a strategic merge patch. Pure; used by `document`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from vk.models.pod import Json
from vk.models.status import Condition
from vk.models.time import format_time

__all__ = ["HEALTHY", "conditions_patch"]

HEALTHY = (
    Condition(
        type="Ready", status="True", reason="KubeletReady", message="the provider takes pods"
    ),
    Condition(type="MemoryPressure", status="False", reason="KubeletHasSufficientMemory"),
    Condition(type="DiskPressure", status="False", reason="KubeletHasNoDiskPressure"),
    Condition(type="PIDPressure", status="False", reason="KubeletHasSufficientPID"),
    Condition(type="NetworkUnavailable", status="False", reason="RouteCreated"),
)
"""The conditions of a node without problems."""

_TRANSIENT = frozenset({"ProviderSuspect", "ProviderUnreachable"})
"""Ours on every node; one that an earlier process left behind goes away."""


def conditions_patch(
    status: Json, want: Mapping[str, Condition], *, owned: frozenset[str], moment: datetime
) -> tuple[list[Json], bool]:
    """Return every condition of ours as a patch entry, and whether one says anything new.

    ``owned`` are the types written earlier: those that ``want`` lacks are taken away.
    """
    have = {condition["type"]: condition for condition in status.get("conditions") or ()}
    gone = sorted(((owned | _TRANSIENT) & set(have)) - set(want))
    changed = bool(gone) or any(
        not _says(have.get(condition.type), condition) for condition in want.values()
    )
    entries = [
        _condition(have.get(condition.type), condition, moment) for condition in want.values()
    ]
    return [*entries, *({"$patch": "delete", "type": name} for name in gone)], changed


def _says(have: Json | None, want: Condition) -> bool:
    return have is not None and (
        have.get("status"),
        have.get("reason") or "",
        have.get("message") or "",
    ) == (want.status, want.reason, want.message)


def _condition(have: Json | None, want: Condition, moment: datetime) -> Json:
    same = have is not None and have.get("status") == want.status
    since = have.get("lastTransitionTime") if have is not None and same else None
    return {
        "type": want.type,
        "status": want.status,
        "reason": want.reason,
        "message": want.message,
        "lastHeartbeatTime": format_time(moment),
        "lastTransitionTime": since or format_time(want.last_transition or moment),
    }
