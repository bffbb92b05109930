"""Checks of a resize against the node of the pod, the last that a real server makes.

The stored pod and what a resize made of it come in; `check_node` raises a refusal or returns.
`vk.devcluster.updates` calls it. A pod without a node, and a resize that changes nothing, pass.
"""

from __future__ import annotations

from typing import Any

from vk.devcluster import refusals
from vk.devcluster.controllers.scheduling import NodeView
from vk.devcluster.kinds import Kind, stored_kind
from vk.devcluster.storage.storage import Storage
from vk.models.api_object import status_of
from vk.models.requests import effective_requests

__all__ = ["check_node"]

_INIT_CONTAINERS = "InPlacePodVerticalScalingInitContainers"
_POD_LEVEL = "InPlacePodLevelResourcesVerticalScaling"


def check_node(storage: Storage, kind: Kind, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Refuse a resize that the pod's node cannot carry out. Raises the refusal forbidden."""
    name = new["spec"].get("nodeName")
    if not name or old["spec"] == new["spec"]:
        return
    node = storage.get(stored_kind("nodes"), "", name)
    why, reason = (f'node "{name}" not found', "") if node is None else _obstacle(node, old, new)
    if why:
        causes = [{"reason": reason}] if reason else []
        raise refusals.forbidden(kind, new["metadata"]["name"], why, causes=causes)


def _obstacle(node: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> tuple[str, str]:
    """Return why not, and the reason of the cause; empty where nothing is in the way."""
    view = NodeView.of(node)
    lacking = sorted(_needed(old["spec"], new["spec"]) - {*_declared(node)})
    if lacking:
        why = f"pod update requires features {', '.join(lacking)} which are not available on node "
        return f'{why}"{view.name}"', ""
    system = view.labels.get("kubernetes.io/os", "linux")
    if system != "linux":
        why = f'pod resize is only supported on linux nodes, node "{view.name}" is "{system}"'
        return why, "UnsupportedPlatform"
    requests = effective_requests(new)
    beyond = [
        f"{resource}, requested: {requests[resource]}, allocatable: {allocatable}"
        for resource in ("cpu", "memory")
        if requests.get(resource, 0) > (allocatable := view.allocatable.get(resource, 0))
    ]
    if beyond:
        why = f"node didn't have enough allocatable resources: {'; '.join(beyond)}"
        return why, "NodeCapacity"
    return "", ""


def _declared(node: dict[str, Any]) -> list[str]:
    return status_of(node).get("declaredFeatures") or []


def _needed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """Return the features that a node must declare for this change."""
    needed = set()
    if before.get("resources") != after.get("resources"):
        needed.add(_POD_LEVEL)
    for old, new in zip(
        before.get("initContainers") or (), after.get("initContainers") or (), strict=True
    ):
        if old.get("restartPolicy") != "Always" and old.get("resources") != new.get("resources"):
            needed.add(_INIT_CONTAINERS)
    return needed
