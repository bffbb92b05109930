"""The columns of nodes. Pure.

In: a stored node. Out: its cells. Called by `vk.devcluster.tables.table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from vk.devcluster.tables.column import AGE, NAME, NONE, UNKNOWN, Column, Columns, since, wide
from vk.models.api_object import condition_of, metadata_map, spec_of, status_of

__all__ = ["NODES", "node_status"]

_ROLE_PREFIX, _ROLE = "node-role.kubernetes.io/", "kubernetes.io/role"


def node_status(node: dict[str, Any]) -> str:
    """Return what kubectl shows as STATUS: ``Ready,SchedulingDisabled``."""
    ready = condition_of(node, "Ready")
    words = ["Unknown" if not ready else "Ready" if ready.get("status") == "True" else "NotReady"]
    if spec_of(node).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _cells(node: dict[str, Any], now: datetime) -> list[Any]:
    info = status_of(node).get("nodeInfo") or {}
    kernel = info.get("kernelVersion") or UNKNOWN
    if info.get("architecture"):
        kernel += f" ({info['architecture']})"
    return [
        node["metadata"]["name"],
        node_status(node),
        _roles(metadata_map(node, "labels")),
        since(node["metadata"].get("creationTimestamp"), now),
        info.get("kubeletVersion", ""),
        _address(node, "InternalIP"),
        _address(node, "ExternalIP"),
        info.get("osImage") or UNKNOWN,
        kernel,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def _roles(labels: Mapping[str, str]) -> str:
    roles = {key.removeprefix(_ROLE_PREFIX) for key in labels if key.startswith(_ROLE_PREFIX)}
    roles.add(labels.get(_ROLE, ""))
    return ",".join(sorted(roles - {""})) or NONE


def _address(node: dict[str, Any], kind: str) -> str:
    addresses = status_of(node).get("addresses") or []
    return next((one["address"] for one in addresses if one["type"] == kind), NONE)


NODES = Columns(
    (
        NAME,
        Column("Status", "Whether the node is ready, and whether it takes new pods."),
        Column("Roles", "Roles that its labels give it."),
        AGE,
        Column("Version", "Version that the node reports."),
        wide("Internal-IP", "First internal address."),
        wide("External-IP", "First external address."),
        wide("OS-Image", "Operating system that the node reports."),
        wide("Kernel-Version", "Kernel and architecture that the node reports."),
        wide("Container-Runtime", "Container runtime that the node reports."),
    ),
    _cells,
)
