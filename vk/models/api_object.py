"""A lenient view of the API object of a pod: its parts, with null and missing read as empty.

Rules read objects through it, and neither check nor copy them. A rule that fails on a malformed
object all the same raises a plain Python error; `vk.models.pod_shape` then names the field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = [
    "EMPTY",
    "Json",
    "condition_of",
    "container_statuses_of",
    "containers_of",
    "metadata_map",
    "spec_of",
    "status_of",
    "volumes_of",
]

Json = Mapping[str, Any]

EMPTY: Json = {}


def spec_of(raw: Json) -> Json:
    """Return the object's ``spec``."""
    return raw.get("spec") or EMPTY


def status_of(raw: Json) -> Json:
    """Return the object's ``status``."""
    return raw.get("status") or EMPTY


def condition_of(raw: Json, type: str) -> Json:
    """Return the object's condition of that type, empty where it has none."""
    conditions = status_of(raw).get("conditions") or ()
    return next((one for one in conditions if one.get("type") == type), EMPTY)


def metadata_map(raw: Json, name: str) -> Mapping[str, str]:
    """Return the object's ``labels`` or ``annotations``."""
    return raw["metadata"].get(name) or EMPTY


def containers_of(raw: Json, *, ephemeral: bool = False) -> Iterator[Json]:
    """Yield the pod's init containers, containers, and if wanted its ephemeral containers."""
    spec = spec_of(raw)
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()
    if ephemeral:
        yield from spec.get("ephemeralContainers") or ()


def container_statuses_of(raw: Json, *, ephemeral: bool = False) -> Iterator[Json]:
    """Yield the statuses of the pod's init containers, containers, and if wanted ephemeral ones."""
    status = status_of(raw)
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()
    if ephemeral:
        yield from status.get("ephemeralContainerStatuses") or ()


def volumes_of(raw: Json) -> Iterator[Json]:
    """Yield the pod's ``spec.volumes``."""
    yield from spec_of(raw).get("volumes") or ()
