"""What a pod requests as a whole: the sum of its containers' requests, as the scheduler counts it.

In: the pod's object. Out: amounts by resource, in thousandths for cpu, else whole units. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from vk.models.api_object import EMPTY, Json, spec_of
from vk.notation.quantity import to_integer, to_milli

__all__ = ["amount", "effective_requests"]


def effective_requests(pod: Json) -> dict[str, int]:
    """Return the requests of a whole pod by resource: cpu in thousandths, all others in units.

    They are those of its containers and sidecars together, or those of the init containers at
    their largest moment, whichever is more. A request of the pod itself (``spec.resources``)
    replaces that, and ``spec.overhead`` is added. A limit without a request is a request too.

    Args:
        pod: The pod's API object (`Pod.raw`).

    Raises:
        ValueError: A request is not a quantity.
    """
    spec = spec_of(pod)
    sidecars: dict[str, int] = {}
    largest: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        moment = _sum(sidecars, _requests(container))
        if container.get("restartPolicy") == "Always":
            sidecars = moment
        largest = _maximum(largest, moment)
    total = sidecars
    for container in spec.get("containers") or ():
        total = _sum(total, _requests(container))
    own = (spec.get("resources") or EMPTY).get("requests") or EMPTY
    return _sum(_maximum(total, largest) | _amounts(own), _amounts(spec.get("overhead") or EMPTY))


def amount(resource: str, quantity: object) -> int:
    """Return a quantity of ``resource`` in the unit that requests are counted in."""
    return to_milli(str(quantity)) if resource == "cpu" else to_integer(str(quantity))


def _requests(container: Json) -> dict[str, int]:
    resources = container.get("resources") or EMPTY
    return _amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _amounts(quantities: Mapping[str, object]) -> dict[str, int]:
    return {resource: amount(resource, text) for resource, text in quantities.items()}


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in one.keys() | other.keys()}


def _maximum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in one.keys() | other.keys()}
