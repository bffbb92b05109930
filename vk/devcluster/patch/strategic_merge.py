"""Strategic merge: a merge patch that knows which lists merge, item by item.

In: a parsed object, the patch and the `Schema` of its kind. Out: a new object, which may share
parts with the inputs; those are never changed. Used by `vk.devcluster.patch.patch`.

As kube-apiserver 1.36 does: in a merged list the patch's items come before those
that only the object has, unless the object's own order is another, so a new item goes to the
front. A missing merge key and an unknown directive are internal errors (500).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from vk.devcluster.patch.error import PatchError, go_text, go_type
from vk.devcluster.patch.schemas import Schema

__all__ = ["strategic_merge_patch"]

_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_DELETE = "$deleteFromPrimitiveList"
_ORDER = "$setElementOrder"
_BAD_RETAIN = "invalid patch format of retainKeys"
_BAD_FORMAT = {
    _DELETE: "invalid patch format of primitive list",
    _ORDER: "invalid patch format of setElementOrder list",
}
_DROPPED = object()

Map = dict[str, Any]


def strategic_merge_patch(target: Mapping[str, Any], patch: Any, schema: Schema) -> Map:
    """Return ``target`` with the patch merged in; raises PatchError.

    Maps merge by key and null removes one. Directives: ``$patch`` replace or delete (of a map, of a
    list's item, replace also of a list), ``$retainKeys``, ``$deleteFromPrimitiveList/NAME`` and
    ``$setElementOrder/NAME``.
    """
    if not isinstance(patch, Mapping):
        kind = "array" if isinstance(patch, list) else go_type(patch)
        expected = "Go value of type map[string]interface {}"
        raise PatchError(f"json: cannot unmarshal {kind} into {expected}", code=400)
    return _merge_map(target, patch, schema)


def _merge_map(target: Mapping[str, Any], patch: Mapping[str, Any], schema: Schema) -> Map:
    if _DIRECTIVE in patch:
        return _directed(patch)
    merged, changes = _retained(target, patch), dict(patch)
    changes.pop(_RETAIN, None)
    for key in [key for key in changes if key.startswith(_ORDER)]:
        _set_order(merged, changes, key, schema)
    for key, value in changes.items():
        if key.startswith(_DELETE):
            _delete_values(merged, _named(key, _DELETE), value)
        else:
            _merge_field(merged, key, value, schema.field(key))
    return merged


def _directed(patch: Mapping[str, Any]) -> Map:
    """Answer a map with ``$patch`` in it: replaced by its other keys, or emptied."""
    directive = patch[_DIRECTIVE]
    if directive == "delete":
        return {}
    if directive != "replace":
        raise _unknown_directive(patch)
    replaced: Map = _plain({key: value for key, value in patch.items() if key != _DIRECTIVE})
    return replaced


def _retained(target: Mapping[str, Any], patch: Mapping[str, Any]) -> Map:
    if _RETAIN not in patch:
        return dict(target)
    names = patch[_RETAIN]
    if not isinstance(names, list):
        raise PatchError(_BAD_RETAIN, code=400)
    for key, value in patch.items():
        directive = value is None or key.startswith((_RETAIN, _DELETE, _ORDER))
        if not directive and key not in names:
            raise PatchError(_BAD_RETAIN, code=400)
    return {key: value for key, value in target.items() if key in names}


def _merge_field(merged: Map, key: str, value: Any, schema: Schema) -> None:
    old = merged.get(key)
    if value is None:
        merged.pop(key, None)
    elif isinstance(old, Mapping) and isinstance(value, Mapping):
        merged[key] = _merge_map(old, value, schema)
    elif isinstance(old, list) and isinstance(value, list) and schema.merges:
        merged[key], _ = _merge_list(old, value, schema)
    else:
        _put(merged, key, value)


def _put(merged: Map, key: str, value: Any) -> None:
    plain = _plain(value)
    if plain is _DROPPED:
        merged.pop(key, None)
    else:
        merged[key] = plain


def _plain(value: Any) -> Any:
    """Return a value of the patch for where there is nothing to merge with.

    Nulls in maps and all directives go; ``_DROPPED`` stands for a map that is itself a directive.
    """
    if isinstance(value, Mapping):
        if _DIRECTIVE in value:
            return _DROPPED
        kept = {
            key: _plain(item)
            for key, item in value.items()
            if item is not None and not key.startswith((_RETAIN, _DELETE, _ORDER))
        }
        return {key: item for key, item in kept.items() if item is not _DROPPED}
    if isinstance(value, list):
        return [item for item in map(_plain, value) if item is not _DROPPED]
    return value


def _delete_values(merged: Map, name: str, values: Any) -> None:
    old = merged.get(name)
    if values is None:
        merged.pop(name, None)
    elif isinstance(old, list) and isinstance(values, list):
        if _are_maps(old, values):
            raise PatchError(f"cannot merge lists without merge key for {name}")
        deleted = _places(values, "")
        merged[name] = [item for item in old if _identity(item, "") not in deleted]


def _set_order(merged: Map, changes: Map, key: str, schema: Schema) -> None:
    """Merge the list that ``$setElementOrder/NAME`` is about, and put it into that order."""
    order = _as_list(changes.pop(key))
    name = _named(key, _ORDER)
    rules = schema.field(name)
    old, new = merged.get(name), changes.get(name)
    old = None if name not in merged else _as_list(old)
    new = None if name not in changes else _as_list(new)
    if new is not None:
        _check_order(new, order, rules.merge_key)
        del changes[name]
    if old is None and new is None:
        return
    if not old and not new:
        raise PatchError("no elements in any of the given slices")
    both, former = old, old or []
    if old is None or (new is not None and not rules.merges):
        both = _plain(new)
    elif new is not None:
        both, former = _merge_list(old, new, rules)
    merged[name] = _ordered(both or [], order, former, rules.merge_key)


def _check_order(items: list[Any], order: list[Any], key: str) -> None:
    """Refuse a patch whose items are not in ``order``, or not as it has them."""
    deleted = {"delete"} if key else set()
    wanted = [item for item in items if _directive(item) not in deleted]
    at = place = 0
    while order and at < len(wanted) and place < len(order):
        if _directive(wanted[at]) is not None:
            at += 1
            continue
        at += _identity(wanted[at], key) == _identity(order[place], key)
        place += 1
    if order and at < len(wanted):
        raise PatchError(
            f"The order in patch list:\n{go_text(items)}\n"
            f" doesn't match {_ORDER} list:\n{go_text(order)}\n"
        )


def _directive(item: Any) -> Any:
    return item.get(_DIRECTIVE) if isinstance(item, Mapping) else None


def _merge_list(old: list[Any], new: list[Any], schema: Schema) -> tuple[list[Any], list[Any]]:
    """Return the merged list, and the old one as it counts for ``$setElementOrder``.

    There a new item has the place that a deleted one left free at the end.
    """
    key = schema.merge_key
    if not old and not new:
        return old, old
    if not _are_maps(old, new):
        return _ordered(_unique([*old, *new]), new, old, ""), old
    if not key:
        raise PatchError("cannot merge lists without merge key for a list of plain values")
    kept, changes = _directed_items(old, new, key)
    merged, found = list(kept), _places(kept, key)
    for item in changes:
        at = found.setdefault(_identity(item, key), len(merged))
        if at == len(merged):
            merged.append(_plain(item))
        else:
            merged[at] = _merge_map(merged[at], item, schema)
    return _ordered(merged, changes, kept, key), merged[: len(old)]


def _directed_items(old: list[Any], new: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """Act on the items with ``$patch``; return what is left of the list and of the patch."""
    deleted: set[str] = set()
    changes, replaced = [], False
    for item in new:
        if _DIRECTIVE not in item:
            changes.append(item)
            continue
        match item[_DIRECTIVE]:
            case "delete":
                deleted.add(_identity(item, key))
            case "replace":
                replaced = True
            case "merge":
                raise PatchError("merging lists cannot yet be specified in the patch")
            case _:
                raise _unknown_directive(item)
    if replaced:
        return [_plain(item) for item in changes], []
    return [item for item in old if _identity(item, key) not in deleted], changes


def _are_maps(old: list[Any], new: list[Any]) -> bool:
    kinds = {go_type(item) for item in (*old, *new)}
    if len(kinds) > 1:
        lists = f"[{go_text(old)} {go_text(new)}]"
        raise PatchError(f"list element types are not identical: {lists}")
    if kinds == {go_type([])}:
        raise PatchError("lists of lists are not supported", code=422)
    return kinds == {go_type({})}


def _as_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise PatchError(f"expected a []interface {{}}, but received a {go_type(value)}")
    return value


def _named(key: str, prefix: str) -> str:
    """Return NAME of ``$directive/NAME``."""
    found, slash, name = key.partition("/")
    if found != prefix or not slash:
        raise PatchError(_BAD_FORMAT[prefix], code=400)
    return name


def _unknown_directive(patch: Mapping[str, Any]) -> PatchError:
    return PatchError(f"unknown patch type: {patch[_DIRECTIVE]} in map: {go_text(patch)}")


def _identity(item: Any, key: str) -> str:
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


def _places(items: Iterable[Any], key: str) -> dict[str, int]:
    """Return where each item is, by its identity; the first one where it is there twice."""
    found: dict[str, int] = {}
    for at, item in enumerate(items):
        found.setdefault(_identity(item, key), at)
    return found


def _unique(values: Iterable[Any]) -> list[Any]:
    """Return the plain values without repetitions, in order."""
    return list({_identity(value, ""): value for value in values}.values())


def _ordered(items: list[Any], first: list[Any], old: list[Any], key: str) -> list[Any]:
    """Put the items in the order of ``first``; the others between them where ``old`` had them."""
    leading, former = _places(first, key), _places(old, key)
    named = [(_identity(item, key), item) for item in items]
    listed = sorted(
        (pair for pair in named if pair[0] in leading), key=lambda pair: leading[pair[0]]
    )
    rest = sorted(
        (pair for pair in named if pair[0] not in leading), key=lambda pair: former.get(pair[0], -1)
    )
    merged: list[Any] = []
    taken = 0
    for name, item in listed:
        rank = former.get(name, -1)
        while taken < len(rest) and 0 <= former.get(rest[taken][0], -1) < rank:
            merged.append(rest[taken][1])
            taken += 1
        merged.append(item)
    return merged + [item for _, item in rest[taken:]]
