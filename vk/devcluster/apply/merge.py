"""The merge of server-side apply: what a configuration makes of the object that is there.

In: parsed JSON of object and configuration, and the `Schema` of their kind. Out: a new object,
which may share parts with both; neither is changed. Used by `vk.devcluster.apply.server_side`.

Note: unlike a strategic merge, items that only the object has keep their place and new items
come after them; shared items are in the configuration's order. A null replaces a plain value, which
matters to its owner, and leaves a map or list that merges as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vk.devcluster.apply.walk import MISSING, item_schema, kind_of, step_of
from vk.devcluster.patch.schemas import Schema

__all__ = ["merge", "settled"]


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
