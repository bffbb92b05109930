"""The order of a list that a strategic merge has merged, and what tells its items apart.

In: parsed lists, and the field that identifies an item ("" for plain values). Out: a list or an
answer; nothing is changed. Used by `vk.devcluster.patch.strategic_merge` only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from vk.devcluster.patch.error import PatchError, go_text, go_type

__all__ = ["identity", "ordered", "places", "unique"]


def identity(item: Any, key: str) -> str:
    """Return a text that is equal for two items exactly when they are the same item.

    Raises PatchError for an item without the key.
    """
    if key:
        if not isinstance(item, Mapping):
            expected = "expected a map[string]interface {}"
            raise PatchError(f"{expected}, but received a {go_type(item)}")
        if key not in item:
            raise PatchError(f"map: {go_text(item)} does not contain declared merge key: {key}")
        item = item[key]
    return json.dumps(item, sort_keys=True)  # in which 1, 1.0, "1" and true differ, as in JSON


def places(items: Iterable[Any], key: str) -> dict[str, int]:
    """Return where each item is, by its identity; the first one where it is there twice."""
    found: dict[str, int] = {}
    for at, item in enumerate(items):
        found.setdefault(identity(item, key), at)
    return found


def unique(values: Iterable[Any]) -> list[Any]:
    """Return the plain values without repetitions, in order."""
    return list({identity(value, ""): value for value in values}.values())


def ordered(items: list[Any], first: list[Any], old: list[Any], key: str) -> list[Any]:
    """Put the items in the order of ``first``; the others between them where ``old`` had them."""
    leading, former = places(first, key), places(old, key)
    named = [(identity(item, key), item) for item in items]
    told = sorted((pair for pair in named if pair[0] in leading), key=lambda pair: leading[pair[0]])
    rest = sorted(
        (pair for pair in named if pair[0] not in leading), key=lambda pair: former.get(pair[0], -1)
    )
    merged: list[Any] = []
    taken = 0
    for name, item in told:
        rank = former.get(name, -1)
        while taken < len(rest) and 0 <= former.get(rest[taken][0], -1) < rank:
            merged.append(rest[taken][1])
            taken += 1
        merged.append(item)
    return merged + [item for _, item in rest[taken:]]
