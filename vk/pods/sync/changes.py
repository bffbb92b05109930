"""What a change of a running pod means, and what becomes of one that cannot be made.

In: the names of the fields that changed (`vk.pods.sync.decide`), the pod, what was accepted before.
Out: whether containers start, conditions, and what counts as settled. Pure.
"""

from __future__ import annotations

from collections.abc import Collection

import attrs

from vk.models.pod import Json
from vk.models.status import Condition
from vk.pods.admission import INFEASIBLE, Rejection
from vk.pods.status.conditions import RESIZE_PENDING, UPDATE_REFUSED
from vk.pods.sync.decide import CONTAINERS, IMAGES, RESOURCES
from vk.pods.sync.records import Accepted, Granted

__all__ = [
    "as_granted",
    "granted",
    "is_pending",
    "matters",
    "no_room",
    "refused",
    "starts_containers",
    "with_resources",
]

_GROUPS = CONTAINERS | {"spec.ephemeralContainers"}


def matters(changed: Collection[str]) -> bool:
    """Say whether a refused change is worth an event: labels change all the time."""
    return any(name.startswith("spec.") for name in changed)


def starts_containers(changed: Collection[str], raw: Json) -> bool:
    """Say whether containers may start by a change: then they need their environment."""
    inside = {name for name in changed if name.partition("[]")[0] in _GROUPS} - CONTAINERS
    return bool(inside - RESOURCES) or (bool(inside) and _restarts_by_resize(raw))


def _restarts_by_resize(raw: Json) -> bool:
    return any(
        policy.get("restartPolicy") == "RestartContainer"
        for group in ("containers", "initContainers")
        for container in (raw.get("spec") or {}).get(group) or ()
        for policy in container.get("resizePolicy") or ()
    )


def refused(changed: Collection[str], error: Exception) -> Condition:
    """Return the condition of a change that the provider cannot make."""
    fields = {name for name in changed if name.startswith("spec.")}
    resize = bool(fields & RESOURCES) and fields <= RESOURCES | CONTAINERS
    reason = INFEASIBLE if resize else getattr(error, "reason", "Unsupported")
    kind = RESIZE_PENDING if resize else UPDATE_REFUSED
    return Condition(type=kind, status="True", reason=reason, message=str(error))


def granted(before: Granted, changed: Collection[str], raw: Json) -> Granted:
    """Return what the containers have once a change is made: what did not change, as before."""
    asked = Granted.of(raw)
    return Granted(
        asked.images if IMAGES & set(changed) else before.images,
        asked.resources if RESOURCES & set(changed) else before.resources,
    )


def as_granted(raw: Json, has: Granted) -> Json:
    """Return the pod with the resources that its containers have, not those that they ask for."""
    spec = dict(raw.get("spec") or {})
    for group in ("containers", "initContainers"):
        containers = spec.get(group) or ()
        spec[group] = [{**one, "resources": has.resources.get(one["name"])} for one in containers]
    return {**raw, "spec": spec}


def no_room(problem: Rejection) -> Condition:
    """Return the condition of a resize that the node has no room for."""
    return Condition(
        type=RESIZE_PENDING, status="True", reason=problem.reason, message=problem.message
    )


def is_pending(last: Condition | None, changed: Collection[str]) -> bool:
    """Say whether ``last`` is a resize that a change of other fields leaves where it is."""
    return last is not None and last.type == RESIZE_PENDING and not RESOURCES & set(changed)


def with_resources(accepted: Accepted, raw: Json) -> Accepted:
    """Return ``accepted`` with the resources of ``raw``: these are settled, all else is not."""
    spec = dict(accepted.spec)
    for group in ("containers", "initContainers"):
        known = {one["name"]: one for one in spec.get(group) or ()}
        asked = (raw.get("spec") or {}).get(group) or ()
        if asked:  # what was accepted is empty where nobody knows it
            spec[group] = [
                _with(known.get(name := one["name"], {"name": name}), one) for one in asked
            ]
    return attrs.evolve(accepted, spec=spec)


def _with(container: Json, asked: Json) -> Json:
    own = {name: value for name, value in container.items() if name != "resources"}
    return own | ({"resources": asked["resources"]} if "resources" in asked else {})
