"""Sets of field paths, as ``fieldsV1`` of managedFields writes them.

In: the parsed ``fieldsV1`` of an entry. Out: a frozenset of paths and back, so that ownership is
plain set algebra. Pure.

A path is a tuple of steps in their written form: ``f:spec``, ``k:{"name":"a"}`` (an item of a keyed
list), ``v:"x"`` (an item of a set), ``i:0``. Note: a path does not contain its children. An
owner of a list's item alone (``.``) owns none of the item's fields, and the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson

__all__ = [
    "EMPTY",
    "FieldSet",
    "Path",
    "below",
    "decode",
    "encode",
    "field_step",
    "in_order",
    "key_step",
    "path_text",
    "value_step",
    "with_named_parents",
    "without_branches",
]

Path = tuple[str, ...]
FieldSet = frozenset[Path]
EMPTY: FieldSet = frozenset()


def field_step(name: str) -> str:
    """Return the step to a map's key."""
    return f"f:{name}"


def key_step(keys: Mapping[str, Any]) -> str:
    """Return the step to the item of a list that has these values in its key fields."""
    return "k:" + orjson.dumps(dict(keys), option=orjson.OPT_SORT_KEYS).decode()


def value_step(value: Any) -> str:
    """Return the step to a plain value in a set."""
    return "v:" + orjson.dumps(value).decode()


def decode(fields: Mapping[str, Any]) -> FieldSet:
    """Return the paths of a ``fieldsV1``; raises ValueError. Unknown kinds of step are left out."""
    return _decoded(orjson.dumps(fields))


@lru_cache(maxsize=1024)  # the pods of one controller all have the same few
def _decoded(text: bytes) -> FieldSet:
    found: set[Path] = set()
    _collect((), orjson.loads(text), found)
    return frozenset(found)


def _collect(path: Path, node: Mapping[str, Any], found: set[Path]) -> None:
    if not isinstance(node, Mapping):
        raise ValueError(f"expected a map in fieldsV1, got {node!r}")
    below_here = False
    for text, child in node.items():
        if text == ".":
            found.add(path)
            continue
        step = _canonical(text)
        if step is not None:
            below_here = True
            _collect((*path, step), child, found)
    if not below_here and path:
        found.add(path)


@lru_cache(maxsize=4096)
def _canonical(text: str) -> str | None:
    """Return the step with its JSON written in one way; None for a kind that is not known."""
    kind, colon, rest = text.partition(":")
    if len(kind) != 1 or not colon:
        raise ValueError(f"not a step of a field path: {text!r}")
    if kind in "fi":
        return text
    if kind in "kv":
        return f"{kind}:" + orjson.dumps(orjson.loads(rest), option=orjson.OPT_SORT_KEYS).decode()
    return None


def encode(fields: FieldSet) -> dict[str, Any]:
    """Return the paths as a ``fieldsV1``."""
    parsed: dict[str, Any] = orjson.loads(_encoded(fields))
    return parsed


@lru_cache(maxsize=1024)
def _encoded(fields: FieldSet) -> bytes:
    root: dict[str, Any] = {}
    for path in sorted(fields):
        node = root
        for depth, step in enumerate(path, 1):
            child = node.get(step)
            if child is None:
                child = node[step] = {}
            elif depth < len(path) and not child:
                child["."] = {}  # sorted, so a node that is there and empty is owned itself
            node = child
    return orjson.dumps(root)


def path_text(path: Path) -> str:
    """Write a path as conflicts name it: ``.spec.containers[name="a"].image``."""
    return "".join(map(_step_text, path))


def _step_text(step: str) -> str:
    kind, rest = step[0], step[2:]
    match kind:
        case "f":
            return f".{rest}"
        case "k":
            keys = orjson.loads(rest)
            return "[" + ",".join(f"{key}={_json(keys[key])}" for key in sorted(keys)) + "]"
        case "v":
            return f"[={rest}]"
        case _:
            return f"[{rest}]"


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def in_order(fields: Iterable[Path]) -> list[Path]:
    """Sort paths as the API server lists them: at each level the owned ones, then the deeper."""
    return sorted(
        fields, key=lambda path: [(at < len(path), step) for at, step in enumerate(path, 1)]
    )


def below(fields: Iterable[Path], step: str) -> FieldSet:
    """Return the rest of each path that goes through ``step``."""
    return frozenset(path[1:] for path in fields if len(path) > 1 and path[0] == step)


def with_named_parents(fields: Iterable[Path]) -> FieldSet:
    """Add each path's parents that are a field; not those that are an item of a list."""
    found = set(fields)
    for path in tuple(found):
        found.update(
            path[:depth] for depth in range(1, len(path)) if path[depth - 1].startswith("f:")
        )
    return frozenset(found)


def without_branches(fields: FieldSet, branches: Iterable[str]) -> FieldSet:
    """Leave out all below the branches, each a dotted path such as ``status.conditions``."""
    roots = [tuple(map(field_step, branch.split("."))) for branch in branches]
    return frozenset(
        path for path in fields if not any(path[: len(root)] == root for root in roots)
    )
