"""What the provider last accepted or refused of a pod, in this process and across restarts. Pure.

`AppliedSpec` is compared with the pod as it is: the difference is an update. `AppliedDigest` stands
in an annotation of the pod, written with its status. So a process that starts finds what changed
while none ran. A pod without the annotation counts as applied: an upgrade updates nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import attrs
import orjson

from vk.models.api_object import containers_of, metadata_map, spec_of
from vk.models.pod import Json

__all__ = ["APPLIED", "AppliedDigest", "AppliedSpec"]

APPLIED = "virtual-kubelet.io/applied"
"""Annotation of a pod: the digest of what was applied."""

_UNKNOWN = {"": ""}
"""Differs from all labels and annotations that a pod may have."""


@attrs.frozen
class AppliedSpec:
    """The mutable part of a pod that the provider last accepted or refused."""

    spec: Json
    labels: Json
    annotations: Json

    @classmethod
    def of(cls, pod: Json) -> AppliedSpec:
        """Return that part of a pod; it shares the pod's memory."""
        metadata = pod["metadata"]
        return cls(spec_of(pod), metadata.get("labels") or {}, metadata.get("annotations") or {})


@attrs.frozen
class AppliedDigest:
    """Digests of the parts of an `AppliedSpec`, and the names of the core's own annotations.

    Of the spec only what may change counts: defaults that a newer API server adds do not.
    """

    spec: str
    labels: str
    annotations: str
    own: frozenset[str]
    """Annotations that the core or its provider writes: they are no change."""

    @classmethod
    def of(cls, applied: AppliedSpec, own: Collection[str]) -> AppliedDigest:
        """Return the digest of what was applied."""
        names = frozenset(own)
        theirs = {
            name: text
            for name, text in applied.annotations.items()
            if name not in names and name != APPLIED
        }
        return cls(
            _digest(dict(_mutable(applied.spec))), _digest(applied.labels), _digest(theirs), names
        )

    @classmethod
    def shown(cls, pod: Json) -> AppliedDigest | None:
        """Return the digest that stands on a pod; None: there is none that can be read."""
        try:
            found = orjson.loads(metadata_map(pod, "annotations").get(APPLIED, ""))
            return cls(
                str(found["spec"]),
                str(found["labels"]),
                str(found["annotations"]),
                frozenset(map(str, found["own"])),
            )
        except (ValueError, KeyError, TypeError):
            return None

    def text(self) -> str:
        """Return the annotation's value."""
        return orjson.dumps({**attrs.asdict(self), "own": sorted(self.own)}).decode()

    def applied(self, pod: Json) -> AppliedSpec:
        """Return what was applied of a pod, as far as it is known: changed parts differ from it."""
        current = AppliedSpec.of(pod)
        now = AppliedDigest.of(current, self.own)
        if now == self:
            return current
        return AppliedSpec(
            dict(current.spec) if now.spec == self.spec else {},
            current.labels if now.labels == self.labels else _UNKNOWN,
            current.annotations if now.annotations == self.annotations else _UNKNOWN,
        )


def _mutable(spec: Json) -> Iterator[tuple[str, Any]]:
    """Yield what may change in the spec of a pod that has a node."""
    for name in ("activeDeadlineSeconds", "tolerations", "ephemeralContainers", "resources"):
        if spec.get(name):
            yield name, spec[name]
    for one in containers_of({"spec": spec}):
        yield f"containers/{one['name']}", (one.get("image"), one.get("resources"))


def _digest(value: Mapping[str, Any]) -> str:
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(text, digest_size=8).hexdigest()
