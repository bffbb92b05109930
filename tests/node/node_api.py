"""An API server in memory, as far as the node's parts need one: versions, conflicts, merges."""

import copy
import itertools
from typing import Any

from vk.errors import ConflictError, ObjectNotFoundError, UnavailableError

MERGE_KEYS = {"conditions": "type", "addresses": "type"}


def merge(have: dict[str, Any], patch: dict[str, Any], *, strategic: bool) -> dict[str, Any]:
    """Apply a merge patch; strategic ones merge the lists of MERGE_KEYS by their key."""
    result = dict(have)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merge(result.get(key) or {}, value, strategic=strategic)
        elif strategic and key in MERGE_KEYS:
            result[key] = merge_list(result.get(key) or [], value, MERGE_KEYS[key])
        else:
            result[key] = value
    return result


def merge_list(have: list[Any], patch: list[Any], key: str) -> list[Any]:
    if {"$patch": "replace"} in patch:
        return [entry for entry in patch if "$patch" not in entry]
    result = {entry[key]: entry for entry in have}
    for entry in patch:
        if entry.get("$patch") == "delete":
            result.pop(entry[key], None)
        else:
            result[entry[key]] = {**result.get(entry[key], {}), **entry}
    return list(result.values())


class Api:
    """Objects by kind and name. ``down`` makes every call fail, ``lose_answers`` every write's."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.down = False
        self.lose_answers = False
        self.writes = 0
        self._versions = itertools.count(1)

    def local_address(self) -> str:
        return "192.0.2.7"

    async def get(self, resource: Any, name: str, **_: Any) -> dict[str, Any]:
        self._reach()
        return copy.deepcopy(self._object(resource, name))

    async def create(self, resource: Any, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        self._reach()
        key = (resource.kind, body["metadata"]["name"])
        if key in self.objects:
            raise ConflictError("already exists")
        body = copy.deepcopy(body)
        body["metadata"]["uid"] = f"uid-{next(self._versions)}"
        return self._keep(key, body)

    async def replace(
        self, resource: Any, name: str, body: dict[str, Any], **_: Any
    ) -> dict[str, Any]:
        self._reach()
        self._precondition(self._object(resource, name), body)
        return self._keep((resource.kind, name), copy.deepcopy(body))

    async def patch(
        self, resource: Any, name: str, body: dict[str, Any], *, form: str = "strategic", **_: Any
    ) -> dict[str, Any]:
        self._reach()
        have = self._object(resource, name)
        self._precondition(have, body)
        merged = merge(have, copy.deepcopy(body), strategic=form == "strategic")
        return self._keep((resource.kind, name), merged)

    def edit(self, kind: str, name: str, patch: dict[str, Any]) -> dict[str, Any]:
        """Another writer's write."""
        return self._keep((kind, name), merge(self.objects[kind, name], patch, strategic=True))

    def _reach(self) -> None:
        if self.down:
            raise UnavailableError("no answer")

    def _object(self, resource: Any, name: str) -> dict[str, Any]:
        try:
            return self.objects[resource.kind, name]
        except KeyError:
            raise ObjectNotFoundError("not found") from None

    def _precondition(self, have: dict[str, Any], body: dict[str, Any]) -> None:
        version = body.get("metadata", {}).get("resourceVersion")
        if version not in (None, have["metadata"]["resourceVersion"]):
            raise ConflictError("the object changed")

    def _keep(self, key: tuple[str, str], body: dict[str, Any]) -> dict[str, Any]:
        body["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[key] = body
        self.writes += 1
        if self.lose_answers:
            raise UnavailableError("connection reset")
        return copy.deepcopy(body)
