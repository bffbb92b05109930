"""JSON Patch (RFC 6902) as the API server reads it.

In: a parsed document and the list of operations. Out: a new document, which may share parts with
the old one; neither input is changed. Used by `vk.devcluster.patch.patch`.

As kube-apiserver 1.36 does: ``replace`` adds a map key that is missing, ``copy`` of
a missing one gives null, a missing ``value`` is null, ``test`` takes a missing key for null and
distinguishes 1 from 1.0, negative array indices count from the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from vk.devcluster.patch.error import PatchError, go_type

__all__ = ["json_patch"]

_LIMIT = 10_000  # operations in one patch, the API server's own limit
_INDEX = re.compile(r"[+-]?[0-9]{1,9}")
_MISSING = object()

Change = Callable[[Any, str], Any]


def json_patch(target: Any, operations: Any) -> Any:
    """Return ``target`` after all ``operations``, a list of maps, in order.

    Raises PatchError when one of them is malformed or does not apply; then none counts.
    """
    if not isinstance(operations, list):
        raise _undecodable(operations, "[]handlers.jsonPatchOp")
    if len(operations) > _LIMIT:
        allowed = f"The allowed maximum operations in a JSON patch is {_LIMIT}"
        text = f"Request entity too large: {allowed}, got {len(operations)}"
        raise PatchError(text, code=413)
    for operation in operations:
        if not isinstance(operation, Mapping):
            raise _undecodable(operation, "handlers.jsonPatchOp")
        target = _apply(target, operation)
    return target


def _apply(document: Any, operation: Mapping[str, Any]) -> Any:
    name, path, value = operation.get("op"), _pointer(operation, "path"), operation.get("value")
    match name:
        case "add":
            return _changed(document, path, lambda parent, key: _add(parent, key, value))
        case "remove":
            return _changed(document, path, _remove)
        case "replace":
            if not path and isinstance(value, Mapping | list):
                return value
            return _changed(document, path, lambda parent, key: _replace(parent, key, value))
        case "test":
            if not _same(_found(document, path), value):
                raise _failed(f"test of {'/'.join(path)!r} failed, the value differs")
            return document
        case "copy" | "move":
            source = _pointer(operation, "from")
            if not source:
                raise _failed(f"{name} of the whole document")
            moved = _found(document, source)
            if name == "move":
                document = _changed(document, source, _remove)
            return _changed(document, path, lambda parent, key: _add(parent, key, moved))
    raise _failed(f"unknown operation {name!r}, expected add, remove, replace, move, copy or test")


def _pointer(operation: Mapping[str, Any], field: str) -> list[str]:
    text = operation.get(field)
    if not isinstance(text, str):
        raise _failed(f"operation {operation.get('op')!r} without {field}, expected a JSON pointer")
    if text and not text.startswith("/"):
        raise _failed(f"not a JSON pointer: {text!r}, expected a slash in front")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _changed(document: Any, path: list[str], change: Change) -> Any:
    """Return the document with ``change(parent, key)`` in place of the path's parent."""
    if not path:
        raise _failed("the whole document can only be replaced or tested")
    if len(path) == 1:
        return change(document, path[0])
    key, rest = path[0], path[1:]
    return _replace(document, key, _changed(_child(document, key), rest, change))


def _found(document: Any, path: list[str]) -> Any:
    """Return the value at the path; null where only its last key is missing from a map."""
    if not path:
        return document
    for key in path[:-1]:
        document = _child(document, key)
    if isinstance(document, Mapping):
        return document.get(path[-1])
    return _child(document, path[-1])


def _child(document: Any, key: str) -> Any:
    value: Any = _MISSING
    if isinstance(document, Mapping):
        value = document.get(key, _MISSING)
    elif isinstance(document, list):
        value = document[_index(document, key, len(document))]
    if value is _MISSING:
        raise _failed(f"nothing at {key!r}")
    return value


def _add(parent: Any, key: str, value: Any) -> Any:
    if isinstance(parent, Mapping):
        return {**parent, key: value}
    if not isinstance(parent, list):
        raise _failed(f"nothing can be added at {key!r}, expected a map or a list")
    if key == "-":
        return [*parent, value]
    at = _index(parent, key, len(parent) + 1)
    return [*parent[:at], value, *parent[at:]]


def _replace(parent: Any, key: str, value: Any) -> Any:
    if isinstance(parent, Mapping):
        return {**parent, key: value}
    if not isinstance(parent, list):
        raise _failed(f"nothing can be replaced at {key!r}, expected a map or a list")
    at = _index(parent, key, len(parent))
    return [*parent[:at], value, *parent[at + 1 :]]


def _remove(parent: Any, key: str) -> Any:
    if isinstance(parent, list):
        at = _index(parent, key, len(parent))
        return [*parent[:at], *parent[at + 1 :]]
    if not isinstance(parent, Mapping) or key not in parent:
        raise _failed(f"nothing to remove at {key!r}")
    return {name: value for name, value in parent.items() if name != key}


def _index(items: list[Any], key: str, size: int) -> int:
    if not _INDEX.fullmatch(key):
        raise _failed(f"not an index of a list: {key!r}")
    at = int(key)
    if not -size <= at < size:
        raise _failed(f"index {key} is out of range, the list has {len(items)} items")
    return at + size if at < 0 else at


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return type(left) is type(right) and bool(left == right)


def _failed(text: str) -> PatchError:
    answer = "the server rejected our request due to an error in our request"
    return PatchError(f"JSON patch: {text}", code=422, answer=answer)


def _undecodable(value: object, expected: str) -> PatchError:
    kinds = {"map[string]interface {}": "object", "[]interface {}": "array", "<nil>": "null"}
    kind = kinds.get(go_type(value), go_type(value).replace("int64", "number"))
    kind = kind.replace("float64", "number")
    text = f"error decoding patch: json: cannot unmarshal {kind} into Go value of type {expected}"
    return PatchError(text, code=400)
