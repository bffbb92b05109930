"""The objects of one kind as the API server last told us. The reflector writes it, all else reads.

Objects are raw JSON and must not be changed by readers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

__all__ = ["ObjectKey", "Store", "object_key"]

ObjectKey = tuple[str, str]
"""Namespace (empty for cluster-wide objects) and name."""


def object_key(raw: dict[str, Any]) -> ObjectKey:
    """Return namespace and name of ``raw``; KeyError or TypeError where it has none."""
    metadata = raw["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


@attrs.define(eq=False)
class Store:
    """Objects by namespace and name. Iterating gives the objects, from a snapshot."""

    _objects: dict[ObjectKey, dict[str, Any]] = attrs.field(factory=dict, init=False, repr=False)

    def get(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return the object or None."""
        return self._objects.get((namespace, name))

    def values(self) -> list[dict[str, Any]]:
        """Return all objects; the list is the caller's own and does not change under an await."""
        return list(self._objects.values())

    def keys(self) -> list[ObjectKey]:
        """Return namespace and name of all objects, as a list of the caller's own."""
        return list(self._objects)

    def __len__(self) -> int:
        return len(self._objects)

    def __bool__(self) -> bool:
        return True  # an empty store is still a store: `store or other` must not drop it

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.values())

    def put(self, raw: dict[str, Any]) -> None:
        """Keep ``raw`` under its own name. For the reflector only."""
        self._objects[object_key(raw)] = raw

    def remove(self, key: ObjectKey) -> None:
        """Forget the object if it is there. For the reflector only."""
        self._objects.pop(key, None)
