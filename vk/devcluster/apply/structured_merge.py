"""The structured merge of the API server: list the fields of a value, compare, merge, remove.

In: parsed JSON of an object and the `Schema` of its kind. Out: field sets and new values, which may
share parts with the inputs; those are never changed. Used by `vk.devcluster.apply.server_side`,
after the library structured-merge-diff.

Note: an empty map or list counts as a field of its own; otherwise only leaves, items of lists and
maps that came or went do. Unlike in a strategic merge, items that only the object has keep their
place and new items come after them; shared items are in the order of the configuration. A null
replaces a plain value, which matters to its owner, and leaves a map or list that merges as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from vk.devcluster.apply.field_set import (
    FieldSet,
    Path,
    below,
    field_step,
    key_step,
    path_text,
    value_step,
)
from vk.devcluster.patch.schemas import ORDINARY, Schema

__all__ = [
    "MISSING",
    "Comparison",
    "compare",
    "fields_of",
    "item_schema",
    "kind_of",
    "merge",
    "settled",
    "step_of",
    "without",
]

MISSING: Any = object()
"""Stands for a field that is not there; null is a value."""

_KEY_DEFAULTS: Mapping[str, Any] = {"containerPort": 0, "port": 0, "protocol": "TCP"}


@attrs.frozen
class Comparison:
    """The fields that differ between two values."""

    added: FieldSet
    modified: FieldSet
    removed: FieldSet


def kind_of(value: Any, other: Any, schema: Schema) -> str:
    """Return how two values merge in a field: "map" or "list" part by part, or "leaf" as one.

    Null and `MISSING` merge with anything. Two that are both empty are a leaf.
    """
    for one, two in ((value, other), (other, value)):
        if isinstance(one, dict) and (two is None or two is MISSING or isinstance(two, dict)):
            return "leaf" if schema.whole or not (one or size_of(two)) else "map"
        if isinstance(one, list) and (two is None or two is MISSING or isinstance(two, list)):
            merges = schema.keys or schema.values
            return "list" if merges and (one or size_of(two)) else "leaf"
    return "leaf"


def size_of(value: Any) -> int:
    """Return the length of a map or list, 0 for null and `MISSING`."""
    return len(value) if isinstance(value, Mapping | list) else 0


def step_of(item: Any, schema: Schema) -> str:
    """Return the step to an item of a merging list; raises ValueError for one that has none."""
    if schema.keys:
        if not isinstance(item, Mapping):
            what = "a null element" if item is None else "non-map elements"
            raise ValueError(f"associative list with keys may not have {what}")
        return key_step({key: item.get(key, _KEY_DEFAULTS.get(key, "")) for key in schema.keys})
    if isinstance(item, Mapping):
        raise ValueError("associative list without keys has an element that's a map type")
    if isinstance(item, list):
        raise ValueError("not supported: associative list with lists as elements")
    if item is None:
        raise ValueError("associative list without keys has an element that's an explicit null")
    return value_step(item)


def _items_by_step(path: Path, items: list[Any], schema: Schema) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for at, item in enumerate(items):
        try:
            step = step_of(item, schema)
        except ValueError as error:
            raise ValueError(f"{path_text(path)}: element {at}: {error}") from None
        found.setdefault(step, []).append(item)
    return found


def item_schema(schema: Schema) -> Schema:
    """Return the rules of an item of the list."""
    return attrs.evolve(schema, keys=(), values=False) if schema.keys else ORDINARY


def fields_of(value: Any, schema: Schema, *, strict: bool = False) -> FieldSet:
    """Return every field that a manager which applies ``value`` owns.

    Raises ValueError, which names the field, for an item without an identity; ``strict``
    also for one that is there twice.
    """
    found: set[Path] = set()
    _add_fields((), value, schema, found, strict)
    found.discard(())
    return frozenset(found)


def _add_fields(path: Path, value: Any, schema: Schema, found: set[Path], strict: bool) -> None:
    match kind_of(value, MISSING, schema):
        case "map":
            for key, child in value.items():
                _add_fields((*path, field_step(key)), child, schema.field(key), found, strict)
        case "list":
            rules = item_schema(schema)
            for step, items in _items_by_step(path, value, schema).items():
                found.add((*path, step))
                if len(items) == 1:
                    _add_fields((*path, step), items[0], rules, found, strict)
                elif strict:
                    key = path_text((step,))
                    raise ValueError(f"{path_text(path)}: duplicate entries for key {key}")
        case _:
            if value != [] or not (schema.keys or schema.values):
                found.add(path)


def compare(old: Any, new: Any, schema: Schema) -> Comparison:
    """Return the fields that came, changed and went from ``old`` to ``new``; raises ValueError."""
    found = _Found()
    _compare((), old, new, schema, found)
    return Comparison(*(frozenset(one - {()}) for one in attrs.astuple(found, recurse=False)))


@attrs.frozen
class _Found:
    added: set[Path] = attrs.field(factory=set)
    modified: set[Path] = attrs.field(factory=set)
    removed: set[Path] = attrs.field(factory=set)


def _compare(path: Path, old: Any, new: Any, schema: Schema, found: _Found) -> None:
    if old is new or old == new:
        return
    kind = kind_of(old, new, schema)
    if kind == "map":
        left, right = _entries(old), _entries(new)
        for key in left.keys() | right.keys():
            one, two = left.get(key, MISSING), right.get(key, MISSING)
            _compare((*path, field_step(key)), one, two, schema.field(key), found)
    elif kind == "list":
        _compare_lists(path, old, new, schema, found)
    if old is MISSING:
        found.added.add(path)
    elif new is MISSING:
        found.removed.add(path)
    elif kind == "leaf":
        found.modified.add(path)


def _entries(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _compare_lists(path: Path, old: Any, new: Any, schema: Schema, found: _Found) -> None:
    rules = item_schema(schema)
    left = _items_by_step(path, old if size_of(old) else [], schema)
    right = _items_by_step(path, new if size_of(new) else [], schema)
    for step in left.keys() | right.keys():
        here = (*path, step)
        olds, news = left.get(step, []), right.get(step, [])
        if len(olds) > 1 and len(news) > 1:
            if olds != news:
                found.modified.add(here)
        elif len(olds) > 1:
            _compare(here, MISSING, news[0] if news else MISSING, rules, found)
            found.removed.add(here)
        elif len(news) > 1:
            _compare(here, olds[0] if olds else MISSING, MISSING, rules, found)
            found.added.add(here)
        else:
            one, two = (olds or [MISSING])[0], (news or [MISSING])[0]
            _compare(here, one, two, rules, found)


def without(value: Any, fields: FieldSet, schema: Schema) -> Any:
    """Return ``value`` less the fields, and all below them; null where nothing is left."""
    match kind_of(value, MISSING, schema):
        case "map":
            kept = {
                key: _without_step(child, field_step(key), fields, schema.field(key))
                for key, child in value.items()
            }
            return {key: child for key, child in kept.items() if child is not MISSING} or None
        case "list":
            rules = item_schema(schema)
            items = [_without_step(item, step_of(item, schema), fields, rules) for item in value]
            return [item for item in items if item is not MISSING] or None
        case _:
            return value


def _without_step(value: Any, step: str, fields: FieldSet, schema: Schema) -> Any:
    if (step,) in fields:
        return MISSING
    deeper = below(fields, step)
    if not deeper:
        return value
    return without(value, deeper, schema)


def merge(live: Mapping[str, Any], applied: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return ``live`` with everything in ``applied``, nulls too; nothing is taken away."""
    merged = dict(live)
    for key, value in applied.items():
        merged[key] = _merged(live.get(key, MISSING), value, schema.field(key))
    return merged


def _merged(live: Any, applied: Any, schema: Schema) -> Any:
    kind = kind_of(live, applied, schema)
    if applied is None:
        return None if kind == "leaf" else live
    if kind == "map":
        return merge(live if isinstance(live, Mapping) else {}, applied, schema)
    if kind == "list":
        return _merged_list(live if isinstance(live, list) else [], applied, schema)
    return applied


def _merged_list(live: list[Any], applied: list[Any], schema: Schema) -> list[Any]:
    """Walk both lists at once; what only the object has is kept where the walk meets it."""
    rules = item_schema(schema)
    old = [(step_of(item, schema), item) for item in live]
    new = {step_of(item, schema): item for item in applied}
    items = {step: item for step, item in reversed(old) if step in new}
    awaited = [step for step in new if step in items]
    merged: list[Any] = []
    at = 0
    for step, item in new.items():
        while at < len(old) and old[at][0] != step:
            passed, kept = old[at]
            if passed not in new:
                merged.append(kept)
            elif passed == awaited[0]:
                break  # its turn comes later; what is new goes in front of it
            at += 1
        merged.append(_merged(items.get(step, MISSING), item, rules))
        if awaited and awaited[0] == step:
            awaited.pop(0)
            at += at < len(old) and old[at][0] == step
    return merged + [kept for passed, kept in old[at:] if passed not in new]


def settled(new: Any, live: Any, schema: Schema) -> Any:
    """Return ``new`` without the fields that are null in it and not in ``live``."""
    if new is live or new == live:
        return new
    match kind_of(new, live, schema):
        case "map" if isinstance(new, Mapping):
            old = live if isinstance(live, Mapping) else {}
            return {
                key: settled(value, old.get(key, MISSING), schema.field(key))
                for key, value in new.items()
                if value is not None or old.get(key, MISSING) is None
            }
        case "list" if isinstance(new, list):
            rules = item_schema(schema)
            items = {step_of(item, schema): item for item in live} if isinstance(live, list) else {}
            return [settled(item, items.get(step_of(item, schema), MISSING), rules) for item in new]
        case _:
            return new
