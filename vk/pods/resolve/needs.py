"""What a pod's environment names in the cluster: the config maps and secrets that it needs.

In: the raw pod. Out: `Needs`, for who fetches the objects, and the entries of all containers one by
one, for who resolves them (`vk.pods.resolve.environment`). Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

import attrs

from vk.models.pod import Json

__all__ = ["Need", "Needs", "needs", "objects", "sources"]

_GROUPS = ("initContainers", "containers", "ephemeralContainers")
_KINDS = {
    "configMapRef": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "secretRef": "Secret",
    "secretKeyRef": "Secret",
}
_EMPTY: Json = {}


@attrs.frozen
class Need:
    """How badly a pod needs an object."""

    optional: bool

    @property
    def required(self) -> bool:
        """Whether the pod cannot start without it."""
        return not self.optional


@attrs.frozen
class Needs:
    """The config maps and secrets that a pod's environment names."""

    config_maps: Mapping[str, Need]
    secrets: Mapping[str, Need]


def needs(raw: Json) -> Needs:
    """Return what the environment of ``raw`` needs; required anywhere means required."""
    found: dict[str, dict[str, Need]] = {"ConfigMap": {}, "Secret": {}}
    for source in chain(_entries(raw, "envFrom"), sources(raw)):
        for kind, reference in objects(source):
            name = reference.get("name") or ""
            earlier = found[kind].get(name)
            optional = bool(reference.get("optional")) and (earlier is None or earlier.optional)
            found[kind][name] = Need(optional)
    return Needs(found["ConfigMap"], found["Secret"])


def sources(raw: Json) -> Iterator[Json]:
    """Yield the ``valueFrom`` of every variable of all containers."""
    return (entry["valueFrom"] for entry in _entries(raw, "env") if entry.get("valueFrom"))


def objects(source: Json) -> Iterator[tuple[str, Json]]:
    """Yield kind and reference of the objects that an envFrom or a valueFrom names."""
    for field, kind in _KINDS.items():
        if reference := source.get(field):
            yield kind, reference


def _entries(raw: Json, field: str) -> Iterator[Json]:
    """Yield the entries of ``env`` or ``envFrom`` of all containers."""
    spec = raw.get("spec") or _EMPTY
    for group in _GROUPS:
        for container in spec.get(group) or ():
            yield from container.get(field) or ()
