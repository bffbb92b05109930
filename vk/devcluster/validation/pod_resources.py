"""Requests and limits of a pod: quality of service, and the resources of the pod as a whole. Pure.

In: a decoded pod. Out: its QoS class; and the pod-level requests that its author left out. Called
by the pod's defaults and where its status is initialised.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from vk.notation.quantity import format_quantity, parse_quantity

__all__ = ["aggregate_requests", "default_pod_level_resources", "qos_class"]

_COMPUTE = ("cpu", "memory")
_HUGE_PAGES = "hugepages-"


def qos_class(spec: dict[str, Any]) -> str:
    """Return Guaranteed, Burstable or BestEffort.

    Guaranteed: each container has limits of cpu and memory, and its requests are the same.
    """
    if spec.get("resources"):
        return _class_of([spec["resources"]])
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return _class_of([container.get("resources") or {} for container in containers])


def _class_of(resources: list[dict[str, Any]]) -> str:
    requests: dict[str, Decimal] = {}
    limits: dict[str, Decimal] = {}
    guaranteed = True
    for one in resources:
        for total, part in ((requests, "requests"), (limits, "limits")):
            for name, value in _positive(one.get(part) or {}).items():
                total[name] = total.get(name, Decimal(0)) + value
        guaranteed = guaranteed and len(_positive(one.get("limits") or {})) == len(_COMPUTE)
    if not requests and not limits:
        return "BestEffort"
    return "Guaranteed" if guaranteed and requests == limits else "Burstable"


def _positive(amounts: dict[str, str]) -> dict[str, Decimal]:
    values = {name: parse_quantity(amounts[name]) for name in _COMPUTE if name in amounts}
    return {name: value for name, value in values.items() if value > 0}


def default_pod_level_resources(spec: dict[str, Any]) -> None:
    """Fill the requests of the pod as a whole, where its author gave limits of it."""
    resources = spec.get("resources")
    if not resources or not resources.get("limits"):
        return
    requests = dict(resources.get("requests") or {})
    for name, amount in aggregate_requests(spec).items():
        if name in _COMPUTE:
            requests.setdefault(name, amount)
    for name, amount in resources["limits"].items():
        if name in _COMPUTE or name.startswith(_HUGE_PAGES):
            requests.setdefault(name, amount)
    resources["requests"] = requests


def aggregate_requests(spec: dict[str, Any]) -> dict[str, str]:
    """Return what the containers ask for together: sidecars always count, init ones one by one."""
    running: dict[str, Decimal] = {}
    highest: dict[str, Decimal] = {}
    binary: dict[str, bool] = {}
    for container in spec.get("initContainers") or ():
        own = _values(container, binary)
        if container.get("restartPolicy") == "Always":
            running = _sum(running, own)
            highest = _maximum(highest, running)
        else:
            highest = _maximum(highest, _sum(running, own))
    for container in spec.get("containers") or ():
        running = _sum(running, _values(container, binary))
    total = _maximum(highest, running)
    return {name: format_quantity(value, binary=binary[name]) for name, value in total.items()}


def _values(container: dict[str, Any], binary: dict[str, bool]) -> dict[str, Decimal]:
    requests = (container.get("resources") or {}).get("requests") or {}
    for name, amount in requests.items():
        binary[name] = binary.get(name, False) or amount.endswith("i")
    return {name: parse_quantity(amount) for name, amount in requests.items()}


def _sum(one: dict[str, Decimal], other: dict[str, Decimal]) -> dict[str, Decimal]:
    return one | {name: one.get(name, Decimal(0)) + value for name, value in other.items()}


def _maximum(one: dict[str, Decimal], other: dict[str, Decimal]) -> dict[str, Decimal]:
    return one | {name: max(one.get(name, value), value) for name, value in other.items()}
