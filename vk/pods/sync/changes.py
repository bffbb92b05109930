"""What changed in a pod since it was last applied, and what a change means. Pure.

In: the pod, what was applied before. Out: the names of the fields that changed, whether containers
start because of them, the conditions of a change that cannot be made, and what counts as applied.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs

from vk.models.api_object import containers_of, spec_of
from vk.models.pod import Json
from vk.models.status import Condition
from vk.pods.admission import INFEASIBLE, Rejection
from vk.pods.status.conditions import RESIZE_PENDING, UPDATE_REFUSED
from vk.pods.status.facts import AllocatedResources
from vk.pods.sync.applied import AppliedSpec

__all__ = [
    "RESOURCES",
    "allocated_after",
    "changed_fields",
    "is_pending",
    "is_spec_change",
    "refused_condition",
    "resize_condition",
    "starts_containers",
    "with_allocated",
    "with_resources",
]

RESOURCES = frozenset({"spec.containers[].resources", "spec.initContainers[].resources"})
"""What a resize changes."""
_CONTAINERS = frozenset({"spec.containers", "spec.initContainers"})
_IMAGES = frozenset({"spec.containers[].image", "spec.initContainers[].image"})
_GROUPS = _CONTAINERS | {"spec.ephemeralContainers"}


def changed_fields(
    applied: AppliedSpec | None, pod: Json, *, own: Collection[str]
) -> frozenset[str]:
    """Return the fields that differ from what was applied; none where it is not known.

    For containers the fields in them are named too, as ``spec.containers[].image``. Annotations in
    ``own`` are the core's and the provider's, and do not count.
    """
    if applied is None or applied.spec is spec_of(pod):
        return frozenset()
    current = AppliedSpec.of(pod)
    changed = set()
    if current.spec != applied.spec:
        before, after = applied.spec, current.spec
        names = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        changed = {f"spec.{name}" for name in names}
        for name in names & {"containers", "initContainers"}:
            changed |= _in_containers(name, before.get(name) or (), after.get(name) or ())
    if current.labels != applied.labels:
        changed.add("metadata.labels")
    if _without(current.annotations, own) != _without(applied.annotations, own):
        changed.add("metadata.annotations")
    return frozenset(changed)


def _in_containers(group: str, before: Sequence[Json], after: Sequence[Json]) -> set[str]:
    known = {one["name"]: one for one in before}
    return {
        f"spec.{group}[].{field}"
        for one in after
        for field in {*one, *known.get(one["name"], {})}
        if one.get(field) != known.get(one["name"], {}).get(field)
    }


def _without(annotations: Json, own: Collection[str]) -> Json:
    return {name: text for name, text in annotations.items() if name not in own}


def is_spec_change(changed: Collection[str]) -> bool:
    """Return whether a refused change is worth an event: labels change all the time."""
    return any(name.startswith("spec.") for name in changed)


def starts_containers(changed: Collection[str], raw: Json) -> bool:
    """Return whether a change may start containers, which then need their environment."""
    inside = {name for name in changed if name.partition("[]")[0] in _GROUPS} - _CONTAINERS
    return bool(inside - RESOURCES) or (bool(inside) and _restarts_by_resize(raw))


def _restarts_by_resize(raw: Json) -> bool:
    return any(
        policy.get("restartPolicy") == "RestartContainer"
        for container in containers_of(raw)
        for policy in container.get("resizePolicy") or ()
    )


def refused_condition(changed: Collection[str], error: Exception) -> Condition:
    """Return the condition of a change that the provider cannot make."""
    fields = {name for name in changed if name.startswith("spec.")}
    resize = bool(fields & RESOURCES) and fields <= RESOURCES | _CONTAINERS
    reason = INFEASIBLE if resize else getattr(error, "reason", "Unsupported")
    kind = RESIZE_PENDING if resize else UPDATE_REFUSED
    return Condition(type=kind, status="True", reason=reason, message=str(error))


def resize_condition(rejection: Rejection) -> Condition:
    """Return the condition of a resize that the node has no room for."""
    return Condition(
        type=RESIZE_PENDING, status="True", reason=rejection.reason, message=rejection.message
    )


def is_pending(last: Condition | None, changed: Collection[str]) -> bool:
    """Return whether ``last`` is a resize that a change of other fields leaves as it is."""
    return last is not None and last.type == RESIZE_PENDING and not RESOURCES & set(changed)


def allocated_after(
    before: AllocatedResources, changed: Collection[str], raw: Json
) -> AllocatedResources:
    """Return what the containers have once a change is made; what did not change stays."""
    asked = AllocatedResources.of(raw)
    return AllocatedResources(
        asked.images if _IMAGES & set(changed) else before.images,
        asked.resources if RESOURCES & set(changed) else before.resources,
    )


def with_allocated(raw: Json, allocated: AllocatedResources) -> Json:
    """Return the pod with the resources that its containers have, not those that they ask for."""
    spec = dict(spec_of(raw))
    for group in ("containers", "initContainers"):
        containers = spec.get(group) or ()
        spec[group] = [
            {**one, "resources": allocated.resources.get(one["name"])} for one in containers
        ]
    return {**raw, "spec": spec}


def with_resources(applied: AppliedSpec, raw: Json) -> AppliedSpec:
    """Return ``applied`` with the resources of ``raw``: these count as applied, all else not."""
    spec = dict(applied.spec)
    for group in ("containers", "initContainers"):
        known = {one["name"]: one for one in spec.get(group) or ()}
        asked = spec_of(raw).get(group) or ()
        if asked:  # what was applied is empty where it is not known
            spec[group] = [
                _with(known.get(name := one["name"], {"name": name}), one) for one in asked
            ]
    return attrs.evolve(applied, spec=spec)


def _with(container: Json, asked: Json) -> Json:
    own = {name: value for name, value in container.items() if name != "resources"}
    return own | ({"resources": asked["resources"]} if "resources" in asked else {})
