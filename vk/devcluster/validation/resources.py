"""Checks of amounts: cpu, memory, devices, of containers, pods and nodes. Pure.

In: maps of resource names to canonical quantities. Out: causes. Called by the checks of pods and
nodes. Only cpu, memory and ephemeral-storage may be overcommitted, so for
anything else a limit must be there and be equal to the request.
"""

from __future__ import annotations

from typing import Any

from vk.devcluster.validation.causes import Cause, forbidden, invalid, invalid_each, required
from vk.devcluster.validation.names import qualified_name_faults
from vk.notation.quantity import parse_quantity

__all__ = ["amount_faults", "requirement_faults"]

_COMPUTE = ("cpu", "memory")
_FOR_CONTAINERS = frozenset({*_COMPUTE, "ephemeral-storage"})
_COUNTED = frozenset(
    {"pods", "services", "secrets", "configmaps", "resourcequotas", "replicationcontrollers"}
    | {"persistentvolumeclaims", "services.nodeports", "services.loadbalancers"}
)
_STANDARD = _FOR_CONTAINERS | _COUNTED | {"storage", "requests.storage"}
_STANDARD |= {f"{part}.{name}" for part in ("requests", "limits") for name in _FOR_CONTAINERS}
_HUGE_PAGES = "hugepages-"


def amount_faults(field: str, name: str, amount: str) -> list[Cause]:
    """Return what is wrong with one amount: below zero, or broken where things are counted."""
    value = parse_quantity(amount)
    causes = []
    if value < 0:
        causes.append(invalid(field, amount, "must be greater than or equal to 0"))
    if value % 1 and (name in _COUNTED or _is_extended(name)):
        causes.append(invalid(field, amount, "must be an integer"))
    return causes


def requirement_faults(field: str, resources: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with the limits and requests of a container or a pod."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    causes: list[Cause] = []
    for part, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            causes += _one_faults(f"{field}.{part}[{name}]", name, amount)
    for name, amount in requests.items():
        causes += _limit_faults(field, name, amount, limits.get(name))
    names = {*limits, *requests}
    if any(name.startswith(_HUGE_PAGES) for name in names) and not names & {*_COMPUTE}:
        causes.append(forbidden(field, "HugePages require cpu or memory"))
    return causes


def _one_faults(field: str, name: str, amount: str) -> list[Cause]:
    causes = _name_faults(field, name) + amount_faults(field, name, amount)
    if name.startswith(_HUGE_PAGES) and not causes:
        page = parse_quantity(name.removeprefix(_HUGE_PAGES))
        if parse_quantity(amount) % page:
            detail = f"{amount} is not positive integer multiple of {name}"
            causes.append(invalid(field, amount, detail))
    return causes


def _limit_faults(field: str, name: str, amount: str, limit: str | None) -> list[Cause]:
    shared = name in _FOR_CONTAINERS or (_is_native(name) and not name.startswith(_HUGE_PAGES))
    if limit is None:
        detail = "Limit must be set for non overcommitable resources"
        return [] if shared else [required(f"{field}.limits", detail)]
    if not shared and parse_quantity(amount) != parse_quantity(limit):
        return [invalid(f"{field}.requests", amount, f"must be equal to {name} limit of {limit}")]
    if parse_quantity(amount) > parse_quantity(limit):
        detail = f"must be less than or equal to {name} limit of {limit}"
        return [invalid(f"{field}.requests", amount, detail)]
    return []


def _name_faults(field: str, name: str) -> list[Cause]:
    causes = invalid_each(field, name, qualified_name_faults(name))
    standard = name in _STANDARD or name.startswith(_HUGE_PAGES)
    if "/" not in name:
        if not causes and not standard:
            detail = "must be a standard resource type or fully qualified"
            causes.append(invalid(field, name, detail))
        if name not in _FOR_CONTAINERS and not name.startswith(_HUGE_PAGES):
            causes.append(invalid(field, name, "must be a standard resource for containers"))
    elif not _is_native(name) and not _is_extended(name):
        causes.append(invalid(field, name, "doesn't follow extended resource name standard"))
    return causes


def _is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def _is_extended(name: str) -> bool:
    if _is_native(name) or name.startswith("requests."):
        return False
    return not qualified_name_faults(f"requests.{name}")
