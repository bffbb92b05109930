"""The strategic merge patch that turns an API pod's status into the desired one. Pure.

None where nothing is to be written. Facts of the API server behind it: containerStatuses are
replaced whole; conditions merge by type, so only changed ones are sent; podIPs and hostIPs merge by
ip, so a changed list begins with ``{"$patch": "replace"}``, or the list would hold both addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vk.models.api_object import EMPTY, metadata_map, status_of
from vk.models.pod import Json

__all__ = ["difference"]

_NOTHING: tuple[Any, ...] = (None, "", {})


def difference(
    pod: Json,
    desired: Mapping[str, Any],
    annotations: Mapping[str, str],
    *,
    beside: Mapping[str, str] = EMPTY,
) -> dict[str, Any] | None:
    """Return the patch for ``pods/status``, with the pod's UID as precondition.

    Annotations in ``beside`` are written with anything else; alone only where the pod has another
    text of that name.
    """
    old = status_of(pod)
    status: dict[str, Any] = {}
    for field, value in desired.items():
        before = old.get(field)
        if field == "conditions":
            changed = _conditions(before or (), value)
            if changed:
                status[field] = changed
        elif field in ("podIPs", "hostIPs"):
            if before != value:
                status[field] = [{"$patch": "replace"}, *value] if before else value
        elif not _same(before, value):
            status[field] = value
    metadata: dict[str, Any] = {"uid": pod["metadata"]["uid"]}
    present = metadata_map(pod, "annotations")
    wanted = {**annotations, **beside}
    missing = {name: text for name, text in wanted.items() if present.get(name) != text}
    if missing:
        metadata["annotations"] = missing
    if not status and all(name in beside and name not in present for name in missing):
        return None
    return {"metadata": metadata, "status": status}


def _conditions(old: Any, new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    by_type = {one["type"]: one for one in old}
    return [one for one in new if "$patch" in one or _differs(by_type.get(one["type"]), one)]


def _differs(old: Json | None, new: Json) -> bool:
    if old is None:
        return True
    fields = ("status", "reason", "message", "observedGeneration")
    return any((old.get(field) or None) != new[field] for field in fields if field in new)


def _same(old: Any, new: Any) -> bool:
    if old is None:
        return new in _NOTHING
    return bool(old == new) or _bare(old) == _bare(new)


def _bare(value: Any) -> Any:
    """Return the value without nulls, empty objects and empty strings."""
    if isinstance(value, dict):
        bare = {name: _bare(part) for name, part in value.items()}
        return {name: part for name, part in bare.items() if part not in _NOTHING}
    if isinstance(value, list):
        return [_bare(part) for part in value]
    return None if value in _NOTHING else value
