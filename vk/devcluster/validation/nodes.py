"""The rules of nodes: defaults, what an update may change, taints and addresses. Pure.

In: decoded nodes. Out: `NODES`, the strategy. Called through the rules' table of strategies.

Note: a new node may bring its status along, and admission gives each new node the taint
``not-ready``, which a node controller takes away.
"""

from __future__ import annotations

import json
from typing import Any

from vk.devcluster.validation.causes import (
    Cause,
    duplicate,
    forbidden,
    invalid,
    invalid_each,
    required,
    unsupported,
)
from vk.devcluster.validation.literals import round_up_to_milli
from vk.devcluster.validation.names import cidr_faults, label_value_faults, qualified_name_faults
from vk.devcluster.validation.resources import amount_faults
from vk.devcluster.validation.strategy import Strategy

__all__ = ["EFFECTS", "NODES"]

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def _default(node: dict[str, Any]) -> None:
    status = node["status"]
    if "capacity" in status:
        status["capacity"] = _rounded(status["capacity"])
        status.setdefault("allocatable", dict(status["capacity"]))
    if "allocatable" in status:
        status["allocatable"] = _rounded(status["allocatable"])
    spec = node["spec"]
    if spec.get("podCIDRs"):
        spec["podCIDR"] = spec["podCIDRs"][0]
    elif spec.get("podCIDR"):
        spec["podCIDRs"] = [spec["podCIDR"]]


def _rounded(amounts: dict[str, str]) -> dict[str, str]:
    return {name: round_up_to_milli(amount) for name, amount in amounts.items()}


def _prepare_create(node: dict[str, Any]) -> None:
    node["spec"].pop("configSource", None)
    taints = node["spec"].setdefault("taints", [])
    if not any(taint | _NOT_READY == taint for taint in taints):
        taints.append(dict(_NOT_READY))


def _prepare_update(old: dict[str, Any], new: dict[str, Any], subresource: str) -> None:
    part = "spec" if subresource == "status" else "status"
    new[part] = old[part]


def _check(node: dict[str, Any]) -> list[Cause]:
    spec, status = node["spec"], node["status"]
    causes = _taint_faults(spec.get("taints") or [])
    for part in ("capacity", "allocatable"):
        for name, amount in (status.get(part) or {}).items():
            causes += amount_faults(f"status.{part}.{name}", name, amount)
    networks = spec.get("podCIDRs") or []
    for index, network in enumerate(networks):
        causes += invalid_each(f"spec.podCIDRs[{index}]", network, cidr_faults(network))
    families = [":" in network for network in networks]
    if len(set(families)) < len(families):
        detail = "may specify no more than one CIDR for each IP family"
        causes.append(invalid("spec.podCIDRs", networks, detail))
    return causes


def _check_update(old: dict[str, Any], new: dict[str, Any], subresource: str) -> list[Cause]:
    causes: list[Cause] = []
    if subresource == "status":
        causes += _address_faults(new["status"].get("addresses") or [])
    for field, path in (("podCIDR", "spec.podCIDRs"), ("providerID", "spec.providerID")):
        before, after = old["spec"].get(field), new["spec"].get(field)
        if before and before != after:
            detail = f'node updates may not change {field} except from "" to valid'
            causes.append(forbidden(path, detail))
    return causes


def _taint_faults(taints: list[dict[str, Any]]) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(taints):
        field = f"metadata.taints[{index}]"  # as the real server calls it
        causes += invalid_each(f"{field}.key", taint["key"], qualified_name_faults(taint["key"]))
        value = taint.get("value", "")
        causes += invalid_each(f"{field}.value", value, label_value_faults(value))
        effect = taint["effect"]
        if not effect:
            causes.append(required(f"{field}.effect"))
        elif effect not in EFFECTS:
            causes.append(unsupported(f"{field}.effect", effect, EFFECTS))
        if (taint["key"], effect) in seen:
            detail = "taints must be unique by key and effect pair"
            causes.append(duplicate(field, _go_taint(taint), detail))
        seen.add((taint["key"], effect))
    return causes


def _go_taint(taint: dict[str, Any]) -> dict[str, Any]:
    return {
        "Key": taint["key"],
        "Value": taint.get("value", ""),
        "Effect": taint["effect"],
        "TimeAdded": taint.get("timeAdded"),
    }


def _address_faults(addresses: list[dict[str, Any]]) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, address in enumerate(addresses):
        key = json.dumps(address, sort_keys=True)
        if key in seen:
            shown = {"Type": address["type"], "Address": address["address"]}
            causes.append(duplicate(f"status.addresses[{index}]", shown))
        seen.add(key)
    return causes


NODES = Strategy(
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    check=_check,
    check_update=_check_update,
)
