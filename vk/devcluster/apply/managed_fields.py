"""``metadata.managedFields``: which manager owns which fields of an object.

In: the parsed list of an object, or of a request. Out: a `ManagedFieldsEntry` for each owner, and
the list again. Used by `vk.devcluster.apply.server_side`.

An owner is a name with an operation (Apply or Update), a subresource and, for Update, an API
version. Note: a list that cannot be read counts as none; one with a single empty entry means
that no field is owned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from vk.devcluster.apply.field_set import EMPTY, FieldSet, decode, encode

__all__ = ["ManagedFieldsEntry", "Owner", "Owners", "capped", "of_request", "read", "written"]

_LIMIT = 10  # entries for updates, as in kube-apiserver
_OLD = "ancient-changes"


@attrs.frozen
class Owner:
    """The identity of an entry: two entries of one owner are joined."""

    manager: str
    operation: str
    version: str = ""
    """Empty for an Apply, which replaces an older one of any version."""
    subresource: str = ""

    def __str__(self) -> str:
        """Name the owner as a conflict does."""
        text = f'"{self.manager}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return f"{text} using {self.version}" if self.operation == "Update" else text


@attrs.frozen
class ManagedFieldsEntry:
    """The fields of an owner; ``time`` is None where it never changed any."""

    version: str
    fields: FieldSet = EMPTY
    time: str | None = None


Owners = Mapping[Owner, ManagedFieldsEntry]


def read(entries: Any) -> dict[Owner, ManagedFieldsEntry]:
    """Return the entries of a managedFields list; none when it cannot be read."""
    try:
        return dict(map(_read_entry, entries or ()))
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _read_entry(entry: Mapping[str, Any]) -> tuple[Owner, ManagedFieldsEntry]:
    operation, version = entry["operation"], entry["apiVersion"]
    if operation not in ("Apply", "Update") or not version or entry["fieldsType"] != "FieldsV1":
        raise ValueError("not an entry of managedFields")
    owner = Owner(
        manager=entry.get("manager", ""),
        operation=operation,
        version=version if operation == "Update" else "",
        subresource=entry.get("subresource", ""),
    )
    return owner, ManagedFieldsEntry(
        version, decode(entry.get("fieldsV1") or {}), entry.get("time")
    )


def of_request(old: Any, new: Any, *, subresource: str) -> dict[Owner, ManagedFieldsEntry]:
    """Return the owners that an update starts from: the request may bring its own list.

    A write to a subresource may not, and a list without a readable entry is ignored.
    """
    if not subresource and new is not None:
        if new in ([], [{}]):
            return {}
        found = read(new)
        if found:
            return found
    return read(old)


def capped(owners: Owners) -> dict[Owner, ManagedFieldsEntry]:
    """Fold the oldest updates of one API version into one entry when there are too many."""
    kept = dict(owners)
    updates = [owner for owner in kept if owner.operation == "Update"]
    updates.sort(key=lambda owner: (kept[owner].time or "", str(attrs.astuple(owner))))
    excess = len(updates) - _LIMIT
    firsts: dict[str, Owner] = {}
    for owner in updates:
        if excess <= 0:
            break
        first = firsts.setdefault(owner.version, owner)
        if first == owner:
            continue
        bucket = Owner(_OLD, "Update", owner.version)
        base = kept[bucket] if bucket in kept else kept.pop(first)
        moved = kept.pop(owner)
        kept[bucket] = ManagedFieldsEntry(moved.version, base.fields | moved.fields, moved.time)
        excess -= 1
    return kept


def written(owners: Owners) -> list[dict[str, Any]]:
    """Return the entries as managedFields has them; those that own nothing are left out."""
    entries = [_write_entry(owner, entry) for owner, entry in owners.items() if entry.fields]
    return sorted(entries, key=_order)


def _order(entry: Mapping[str, Any]) -> list[str]:
    keys = ("operation", "time", "manager", "apiVersion", "subresource")
    return [entry.get(key) or "" for key in keys]


def _write_entry(owner: Owner, entry: ManagedFieldsEntry) -> dict[str, Any]:
    written: dict[str, Any] = {"manager": owner.manager, "operation": owner.operation}
    written["apiVersion"] = entry.version
    if entry.time is not None:
        written["time"] = entry.time
    written |= {"fieldsType": "FieldsV1", "fieldsV1": encode(entry.fields)}
    if owner.subresource:
        written["subresource"] = owner.subresource
    return written
