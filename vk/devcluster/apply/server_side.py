"""Field ownership: server-side apply, and what every other write records in managedFields.

In: parsed objects, a manager's name, the time and the `Schema` of the kind. Out: a new object with
``metadata.managedFields``; inputs are never changed. Called by the embedded API server once a
request has been read and before admission and the kind's rules run, so that what those set is
owned by no manager. An apply's result still has to pass them.

As kube-apiserver 1.36 does: applying what is there already records an entry without
a time; an object that no manager owns stays so until the first apply, which lists its fields under
``before-first-apply``; the manager "kubectl" takes over from client-side apply and keeps that one's
annotation up to date.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from vk.devcluster.apply.field_set import (
    EMPTY,
    FieldSet,
    field_step,
    in_order,
    path_text,
    with_named_parents,
    without_branches,
)
from vk.devcluster.apply.managed_fields import (
    ManagedFieldsEntry,
    Owner,
    Owners,
    capped,
    of_request,
    read,
    written,
)
from vk.devcluster.apply.structured_merge import (
    Comparison,
    compare,
    fields_of,
    merge,
    settled,
    without,
)
from vk.devcluster.patch.error import PatchError
from vk.devcluster.patch.schemas import Schema

__all__ = ["ApplyConflict", "record_update", "server_side_apply"]

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_UNOWNED = frozenset(
    [("f:apiVersion",), ("f:kind",), ("f:metadata",)]
    + [
        ("f:metadata", field_step(name))
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "clusterName",
            "generation",
            "managedFields",
            "resourceVersion",
        )
    ]
)

Object = dict[str, Any]


class ApplyConflict(Exception):
    """Others own fields that an apply would change; the text is the API server's (409).

    ``causes`` has the owner, as messages name it, and the path of each field.
    """

    def __init__(self, causes: Sequence[tuple[str, str]]) -> None:
        self.causes = tuple(causes)
        if len(self.causes) == 1:
            owner, path = self.causes[0]
            super().__init__(f"Apply failed with 1 conflict: conflict with {owner}: {path}")
            return
        lines: dict[str, list[str]] = {}
        for owner, path in self.causes:
            lines.setdefault(owner, [f"conflicts with {owner}:"]).append(f"- {path}")
        text = "\n".join(line for owner in sorted(lines) for line in lines[owner])
        super().__init__(f"Apply failed with {len(self.causes)} conflicts: {text}")


def record_update(
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any],
    *,
    manager: str,
    now: str,
    subresource: str,
    schema: Schema,
) -> Object:
    """Return ``new`` with managedFields after a create (``old`` is None), update or patch.

    ``manager`` owns what differs from ``old``; no other manager keeps a field that changed or went.
    """
    owners = of_request(_listed(old), _listed(new), subresource=subresource)
    plain = _unlisted(new)
    if old is not None and not owners:
        return plain
    try:
        owners = _updated(
            owners,
            _unlisted(schema.zero if old is None else old),
            plain,
            owner=Owner(manager or "unknown", "Update", _version(new), subresource),
            now=now,
            schema=schema,
        )
    except ValueError:  # a list whose items have no key; admission or the rules refuse the object
        owners = read(_listed(old))
    return _listing(plain, capped(owners))


def server_side_apply(
    live: Mapping[str, Any] | None,
    applied: Mapping[str, Any],
    *,
    manager: str,
    force: bool,
    schema: Schema,
    now: str,
    subresource: str = "",
) -> Object:
    """Return the object after ``applied`` was applied to ``live``; None as ``live`` creates it.

    Fields that the manager applied before and leaves out now are gone, unless another manager owns
    them. Raises ApplyConflict when others own fields with other values, unless ``force``, which
    takes them, and PatchError for a configuration that cannot be read.
    """
    if _listed(applied) is not None:
        raise PatchError("metadata.managedFields must be nil", code=400)
    start, owners = _unlisted(live or {}), read(_listed(live))
    if live is not None and not owners:
        first = Owner("before-first-apply", "Update", _version(live), subresource)
        zero = _unlisted(schema.zero)
        owners = _updated(owners, zero, start, owner=first, now=now, schema=schema)
    owner = Owner(manager or "unknown", "Apply", "", subresource)
    owned = _configured(applied, subresource, schema)
    last = owners[owner].fields if owner in owners else EMPTY
    claimed = owned.union(*(entry.fields for one, entry in owners.items() if one != owner))
    new = _pruned(merge(start, applied, schema), last=last, claimed=claimed, schema=schema)
    change = _change(start, new, subresource, schema)
    if not force:
        allowed = _from_annotation(start, schema) if manager == "kubectl" else EMPTY
        _refuse_conflicts(owners, owner, (change.added | change.modified) - allowed)
    kept = _reduced({one: entry for one, entry in owners.items() if one != owner}, change)
    time = now if new != start else owners[owner].time if owner in owners else None
    kept[owner] = ManagedFieldsEntry(_version(applied), owned - _UNOWNED, time)
    new = settled(new, start, schema)
    return _listing(_annotated(new, applied) if manager == "kubectl" else new, kept)


def _configured(applied: Mapping[str, Any], subresource: str, schema: Schema) -> FieldSet:
    """Return the fields that a configuration claims; raises PatchError."""
    try:
        claimed = fields_of(applied, schema, strict=True)
    except ValueError as error:
        metadata = _part(applied, "metadata")
        name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
        version = _version(applied)
        kind = f"{version if '/' in version else '/' + version}, Kind={applied.get('kind', '')}"
        text = f"failed to create typed patch object ({name}; {kind}): {error}"
        raise PatchError(text) from None
    return without_branches(claimed, schema.resets.get(subresource, ()))


def _pruned(merged: Object, *, last: FieldSet, claimed: FieldSet, schema: Schema) -> Object:
    """Take away what was applied ``last`` time and no manager claims now.

    A claimed field keeps what holds it, and an unclaimed field goes only with what it
    is in.
    """
    if not last:
        return merged
    before = with_named_parents(last)
    there = with_named_parents(fields_of(merged, schema))
    bare = without(merged, before, schema) or {}
    wanted = with_named_parents(fields_of(bare, schema)) | with_named_parents(claimed)
    bare = without(merged, there - wanted, schema) or {}
    gone = (there - with_named_parents(fields_of(bare, schema))) & before
    pruned: Object = without(merged, gone, schema) or {}
    for key, zero in schema.zero.items():
        if isinstance(zero, Mapping) and key in merged and pruned.get(key) is None:
            pruned[key] = {}
    return pruned


def _refuse_conflicts(owners: Owners, owner: Owner, fields: FieldSet) -> None:
    causes = [
        (str(other), path_text(path))
        for other, entry in sorted(owners.items(), key=lambda pair: str(pair[0]))
        if other != owner
        for path in in_order(entry.fields & fields)
    ]
    if causes:
        raise ApplyConflict(causes)


def _from_annotation(live: Mapping[str, Any], schema: Schema) -> FieldSet:
    """Return the fields that client-side apply set and that were not changed since."""
    try:
        last = json.loads(live["metadata"]["annotations"][_LAST_APPLIED])
        if not isinstance(last, dict) or last.get("apiVersion") != live.get("apiVersion"):
            return EMPTY
        change = compare(last, live, schema)
        return fields_of(last, schema) - change.added - change.modified - change.removed
    except (KeyError, TypeError, ValueError):
        return EMPTY


def _annotated(new: Object, applied: Mapping[str, Any]) -> Object:
    """Bring the annotation of client-side apply up to date where the object has one."""
    annotations = _part(_part(new, "metadata"), "annotations")
    if not annotations.get(_LAST_APPLIED):
        return new
    last = _unlisted(applied)
    metadata = _part(last, "metadata")
    given = _part(metadata, "annotations")
    if _LAST_APPLIED in given:
        others = {key: value for key, value in given.items() if key != _LAST_APPLIED}
        last["metadata"] = {**metadata, "annotations": others}
    text = json.dumps(last, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")  # as Go's encoder does
    annotations = {**annotations, _LAST_APPLIED: text}
    return {**new, "metadata": {**new["metadata"], "annotations": annotations}}


def _updated(
    owners: Owners, old: Object, new: Object, *, owner: Owner, now: str, schema: Schema
) -> dict[Owner, ManagedFieldsEntry]:
    """Return the owners once ``owner`` has made ``new`` of ``old``."""
    change = _change(old, new, owner.subresource, schema)
    kept = _reduced(owners, change)
    taken = (change.added | change.modified) - _UNOWNED
    if taken:
        before = kept[owner].fields if owner in kept else EMPTY
        kept[owner] = ManagedFieldsEntry(owner.version, taken | before, now)
    return kept


def _change(old: Object, new: Object, subresource: str, schema: Schema) -> Comparison:
    """Compare, leaving out what a write to this subresource cannot set."""
    change = compare(_completed(old, schema.zero), _completed(new, schema.zero), schema)
    branches = schema.resets.get(subresource, ())
    return Comparison(
        added=without_branches(change.added, branches),
        modified=without_branches(change.modified, branches),
        removed=without_branches(change.removed, branches),
    )


def _completed(obj: Mapping[str, Any], zero: Mapping[str, Any]) -> Object:
    """Return the object with what one of its kind shows before it is set."""
    complete = {**zero, **obj}
    for key, value in zero.items():
        if isinstance(value, Mapping) and isinstance(complete[key], Mapping):
            complete[key] = _completed(complete[key], value)
    return complete


def _reduced(owners: Owners, change: Comparison) -> dict[Owner, ManagedFieldsEntry]:
    """Return the owners that are left, without the fields that changed hands or went."""
    lost = change.added | change.modified | change.removed
    if not lost:
        return dict(owners)
    kept = {one: attrs.evolve(entry, fields=entry.fields - lost) for one, entry in owners.items()}
    return {one: entry for one, entry in kept.items() if entry.fields}


def _version(obj: Mapping[str, Any]) -> str:
    return str(obj.get("apiVersion") or "")


def _part(obj: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the map below a map, an empty one where it is something else."""
    part = obj.get(name)
    return part if isinstance(part, Mapping) else {}


def _listed(obj: Mapping[str, Any] | None) -> Any:
    """Return the managedFields of an object, None where it has none."""
    return _part(obj or {}, "metadata").get("managedFields")


def _unlisted(obj: Mapping[str, Any]) -> Object:
    """Return the object without its managedFields."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, Mapping) or "managedFields" not in metadata:
        return dict(obj)
    return {**obj, "metadata": {k: v for k, v in metadata.items() if k != "managedFields"}}


def _listing(obj: Object, owners: Owners) -> Object:
    """Return the object with these managedFields."""
    entries = written(owners)
    metadata = {**_part(obj, "metadata"), "managedFields": entries}
    return {**obj, "metadata": metadata} if entries else obj
