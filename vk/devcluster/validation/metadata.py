"""The rules of metadata that all kinds share. Pure.

In: decoded objects. Out: `keep_metadata` and `reset_metadata`, which give a new object the fields
that no client sets; `metadata_faults` and `metadata_update_faults`. Called by the rules for every
create and update. The name itself has a form of its own in some kinds, so it is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vk.devcluster.validation.causes import (
    Cause,
    forbidden,
    invalid,
    invalid_each,
    required,
    too_long,
)
from vk.devcluster.validation.names import label_value_faults, qualified_name_faults

__all__ = [
    "finalizer_faults",
    "keep_metadata",
    "label_map_faults",
    "metadata_faults",
    "metadata_update_faults",
    "reset_metadata",
]

_ANNOTATIONS_LIMIT = 256 * 1024
_OWNER_FIELDS = ("apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion")
_STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})


def reset_metadata(metadata: dict[str, Any], *, generation: bool) -> None:
    """Drop what a creator may not set; the kind's first generation is 1."""
    for name in ("selfLink", "deletionTimestamp", "deletionGracePeriodSeconds"):
        metadata.pop(name, None)
    if generation:
        metadata["generation"] = 1


def keep_metadata(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Copy what an update never changes to ``new`` (both metadata); the uid where it has none."""
    new.pop("selfLink", None)
    for name in ("creationTimestamp", "generation"):
        new.pop(name, None)
        if name in old:
            new[name] = old[name]
    if "deletionTimestamp" in old:
        new["deletionTimestamp"] = old["deletionTimestamp"]
    for name in ("uid", "deletionGracePeriodSeconds"):
        if name in old:
            new.setdefault(name, old[name])


def metadata_faults(
    metadata: dict[str, Any], name_faults: Callable[[str], list[str]]
) -> list[Cause]:
    """Return what is wrong with a metadata that stands alone."""
    causes: list[Cause] = []
    name, prefix = metadata.get("name", ""), metadata.get("generateName", "")
    if prefix:
        causes += invalid_each("metadata.generateName", prefix, name_faults(prefix.rstrip("-")))
    if not name and not prefix:
        causes.append(required("metadata.name", "name or generateName is required"))
    elif name:
        causes += invalid_each("metadata.name", name, name_faults(name))
    causes += label_map_faults("metadata.labels", metadata.get("labels") or {})
    causes += _annotation_faults(metadata.get("annotations") or {})
    causes += _owner_faults(metadata.get("ownerReferences") or [])
    for index, finalizer in enumerate(metadata.get("finalizers") or ()):
        causes += finalizer_faults("metadata.finalizers", finalizer, f"[{index}]")
    return causes


def metadata_update_faults(old: dict[str, Any], new: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with the change of a metadata."""
    causes: list[Cause] = []
    if old.get("deletionTimestamp"):
        added = set(new.get("finalizers") or ()) - set(old.get("finalizers") or ())
        if added:
            detail = "no new finalizers can be added if the object is being deleted, found new "
            found = ", ".join(f'"{one}"' for one in sorted(added))
            causes.append(
                forbidden("metadata.finalizers", f"{detail}finalizers []string{{{found}}}")
            )
    for name in ("name", "namespace", "uid", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if new.get(name) != old.get(name):
            causes.append(invalid(f"metadata.{name}", new.get(name), "field is immutable"))
    return causes


def label_map_faults(field: str, labels: dict[str, str]) -> list[Cause]:
    """Return what is wrong with a map of labels; the field has no key in it."""
    causes: list[Cause] = []
    for key, value in sorted(labels.items()):
        causes += invalid_each(field, key, qualified_name_faults(key))
        causes += invalid_each(field, value, label_value_faults(value))
    return causes


def finalizer_faults(field: str, finalizer: str, index: str = "") -> list[Cause]:
    """Return what is wrong with one finalizer: it needs a domain unless it is a standard one."""
    causes = invalid_each(field, finalizer, qualified_name_faults(finalizer))
    if "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
        detail = "name is neither a standard finalizer name nor is it fully qualified"
        causes.append(invalid(field + index, finalizer, detail))
    return causes


def _annotation_faults(annotations: dict[str, str]) -> list[Cause]:
    causes: list[Cause] = []
    for key in sorted(annotations):
        faults = qualified_name_faults(key.lower())
        causes += invalid_each("metadata.annotations", key, faults)
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > _ANNOTATIONS_LIMIT:
        causes.append(too_long("metadata.annotations", _ANNOTATIONS_LIMIT))
    return causes


def _owner_faults(owners: list[dict[str, Any]]) -> list[Cause]:
    field = "metadata.ownerReferences"
    causes: list[Cause] = []
    controllers: list[dict[str, Any]] = []
    for owner in owners:
        causes += _one_owner_faults(field, owner)
        if owner.get("controller"):
            controllers.append(owner)
    if len(controllers) > 1:
        first, second = (f"{one['kind']}/{one['name']}" for one in controllers[:2])
        detail = (
            "Only one reference can have Controller set to true. Found "
            f'"true" in references for {first} and {second}'
        )
        causes.append(invalid(field, [_in_order(owner) for owner in owners], detail))
    return causes


def _in_order(owner: dict[str, Any]) -> dict[str, Any]:
    return {name: owner[name] for name in _OWNER_FIELDS if name in owner}


def _one_owner_faults(field: str, owner: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    group, _, version = owner["apiVersion"].rpartition("/")
    if not version:
        causes.append(
            invalid(f"{field}.apiVersion", owner["apiVersion"], "version must not be empty")
        )
    for name in ("kind", "name", "uid"):
        if not owner[name]:
            causes.append(invalid(f"{field}.{name}", "", "must not be empty"))
    if owner["kind"] == "Event" and group in ("", "events.k8s.io"):
        detail = f"{group}/{version}, Kind=Event is disallowed from being an owner"
        causes.append(invalid(field, _in_order(owner), detail))
    return causes
