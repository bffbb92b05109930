"""What the Node object must say, and the patches that make it say so. Pure.

In: the settings, the provider's NodeInfo and the Node as the API server has it. Out: a new Node, or
the difference as a patch, None where there is none. `vk.node.controller` sends them.

Others write to the Node too. What is ours is remembered in an annotation, by key, so that a label,
taint or resource dropped from the configuration goes away, also after a restart, and everybody
else's stays. A condition or resource leaves that memory only once it is seen to be gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs
import orjson

from vk._version import __version__
from vk.models.node import DRAINING, Address, NodeInfo, Taint
from vk.models.pod import Json
from vk.models.status import Condition
from vk.node.conditions import HEALTHY, conditions_patch
from vk.node.endpoint import endpoint_patch
from vk.notation.label_names import value_faults
from vk.notation.quantity import parse_quantity
from vk.settings import Settings

__all__ = [
    "OWNED",
    "Wanted",
    "is_draining",
    "metadata_patch",
    "new_node",
    "status_patch",
    "wanted",
]

OWNED = "virtual-kubelet.io/owned"
"""The annotation that remembers which keys of the Node are ours."""

KUBELET_VERSION = f"v1.36.0-vk-{__version__}"
_KINDS = ("labels", "annotations", "taints", "conditions", "resources")


@attrs.frozen(kw_only=True)
class Wanted:
    """Everything that the Node must say, by this process."""

    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    taints: tuple[Taint, ...]
    provider_id: str
    capacity: Mapping[str, str]
    allocatable: Mapping[str, str]
    conditions: Mapping[str, Condition]
    addresses: tuple[Address, ...]
    node_info: Mapping[str, str]
    port: int = 0
    """Where the kubelet's API listens; 0: nowhere."""


def wanted(
    settings: Settings,
    info: NodeInfo,
    *,
    provider_name: str,
    internal_ip: str,
    taints: Iterable[Taint] = (),
    conditions: Iterable[Condition] = (),
    port: int = 0,
) -> Wanted:
    """Put configuration, the provider's description and the state of the moment together.

    ``taints`` and ``conditions`` are those of the moment; such a condition replaces the provider's
    of the same type. ``internal_ip`` is used where neither settings nor provider name one.
    """
    os, architecture = info.os or settings.os, info.architecture or "amd64"
    every = (*HEALTHY, *info.conditions, *conditions)
    return Wanted(
        name=settings.node_name,
        labels={**info.labels, **_labels(settings.node_name, os, architecture)},
        annotations=dict(info.annotations),
        taints=_unique((*settings.taints, *info.taints, *taints)),
        provider_id=info.provider_id,
        capacity=info.capacity,
        allocatable=info.capacity if info.allocatable is None else info.allocatable,
        conditions={condition.type: condition for condition in every},
        addresses=_addresses(settings, info, internal_ip),
        node_info=_node_info(provider_name, os, architecture),
        port=port,
    )


def new_node(want: Wanted) -> Json:
    """Return the Node to create where there is none; its status is written afterwards."""
    spec: dict[str, Any] = {"taints": [_taint(taint) for taint in want.taints]}
    if want.provider_id:
        spec["providerID"] = want.provider_id
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": want.name,
            "labels": dict(want.labels),
            "annotations": {**want.annotations, OWNED: _remember(want, {}, {})},
        },
        "spec": spec,
    }


def metadata_patch(node: Json, want: Wanted) -> Json | None:
    """Return the JSON merge patch for labels, annotations, taints and providerID; None: all right.

    It carries the resourceVersion, since taints are one atomic list: 409 means read again.
    """
    metadata, spec = node["metadata"], node.get("spec") or {}
    owned = _owned(node)
    annotations = {**want.annotations, OWNED: _remember(want, node, owned)}
    patch: dict[str, Any] = {}
    labels_diff = _map_diff(metadata.get("labels"), want.labels, owned["labels"])
    annotations_diff = _map_diff(metadata.get("annotations"), annotations, owned["annotations"])
    if labels_diff:
        patch["labels"] = labels_diff
    if annotations_diff:
        patch["annotations"] = annotations_diff
    change: dict[str, Any] = {"metadata": patch} if patch else {}
    spec_diff = _spec_diff(spec, want, owned["taints"])
    if spec_diff:
        change["spec"] = spec_diff
    if not change:
        return None
    change.setdefault("metadata", {})["resourceVersion"] = metadata["resourceVersion"]
    return change


def status_patch(node: Json, want: Wanted, moment: datetime, *, force: bool = False) -> Json | None:
    """Return the strategic merge patch for the status; None where it already says all this.

    Heartbeats alone are no difference; ``force`` writes them anyway.
    """
    status = node.get("status") or {}
    owned = _owned(node)
    conditions, told = conditions_patch(
        status, want.conditions, owned=owned["conditions"], moment=moment
    )
    changed: dict[str, Any] = {
        "capacity": _quantity_diff(status.get("capacity"), want.capacity, owned["resources"]),
        "allocatable": _quantity_diff(
            status.get("allocatable"), want.allocatable, owned["resources"]
        ),
        "nodeInfo": _map_diff(status.get("nodeInfo"), want.node_info, ()),
    }
    changed = {key: value for key, value in changed.items() if value}
    endpoint, moved = endpoint_patch(status, want.port)
    addresses = [{"type": item.type, "address": item.address} for item in want.addresses]
    if addresses != (status.get("addresses") or []):
        changed["addresses"] = [{"$patch": "replace"}, *addresses]
    if not (changed or told or moved or force):
        return None
    return {"status": {**changed, **endpoint, "conditions": conditions}}


def is_draining(node: Json | None) -> bool:
    """Return whether the node is being drained for good."""
    taints = ((node or {}).get("spec") or {}).get("taints") or ()
    return any(taint["key"] == DRAINING.key for taint in taints)


def _labels(name: str, os: str, architecture: str) -> dict[str, str]:
    # A Node's name may be four times as long as a label's value.
    hostname = {} if value_faults(name) else {"kubernetes.io/hostname": name}
    return {
        "type": "virtual-kubelet",
        "kubernetes.io/role": "agent",
        **hostname,
        "kubernetes.io/os": os,
        "kubernetes.io/arch": architecture,
        "beta.kubernetes.io/os": os,
        "beta.kubernetes.io/arch": architecture,
        "node.kubernetes.io/exclude-from-external-load-balancers": "true",
    }


def _node_info(provider_name: str, os: str, architecture: str) -> dict[str, str]:
    return {
        "architecture": architecture,
        "bootID": "",
        "containerRuntimeVersion": f"{provider_name}://{__version__}",
        "kernelVersion": "",
        "kubeProxyVersion": "",
        "kubeletVersion": KUBELET_VERSION,
        "machineID": "",
        "operatingSystem": os,
        "osImage": "",
        "systemUUID": "",
    }


def _addresses(settings: Settings, info: NodeInfo, internal_ip: str) -> tuple[Address, ...]:
    given = info.addresses
    if settings.internal_ip:
        given = tuple(item for item in given if item.type != "InternalIP")
    if all(item.type != "InternalIP" for item in given):
        given = (Address("InternalIP", settings.internal_ip or internal_ip), *given)
    if all(item.type != "Hostname" for item in given):
        given = (*given, Address("Hostname", settings.node_name))
    return tuple(dict.fromkeys(given))


def _unique(taints: Iterable[Taint]) -> tuple[Taint, ...]:
    """The API server refuses two taints of one key and effect; the last one holds."""
    return tuple({(taint.key, taint.effect): taint for taint in taints}.values())


def _taint(taint: Taint) -> Json:
    value = {"value": taint.value} if taint.value else {}
    return {"key": taint.key, **value, "effect": taint.effect}


def _owned(node: Json) -> dict[str, frozenset[str]]:
    text = (node["metadata"].get("annotations") or {}).get(OWNED) or "{}"
    try:
        memory = orjson.loads(text)
    except orjson.JSONDecodeError:
        memory = {}
    memory = memory if isinstance(memory, dict) else {}
    return {
        kind: frozenset(key for key in memory.get(kind) or () if isinstance(key, str))
        if isinstance(memory.get(kind), list)
        else frozenset()
        for kind in _KINDS
    }


def _remember(want: Wanted, node: Json, owned: Mapping[str, frozenset[str]]) -> str:
    status = node.get("status") or {}
    present = {condition["type"] for condition in status.get("conditions") or ()}
    resources = {*(status.get("capacity") or ()), *(status.get("allocatable") or ())}
    memory: dict[str, set[str]] = {
        "labels": set(want.labels),
        "annotations": set(want.annotations),
        "taints": {taint.key for taint in want.taints},
        "conditions": set(want.conditions) | (owned.get("conditions", frozenset()) & present),
        "resources": {*want.capacity, *want.allocatable}
        | (owned.get("resources", frozenset()) & resources),
    }
    return orjson.dumps({kind: sorted(keys) for kind, keys in memory.items()}).decode()


def _map_diff(
    have: Mapping[str, Any] | None, want: Mapping[str, str], owned: Iterable[str]
) -> dict[str, str | None]:
    have = have or {}
    diff: dict[str, str | None] = {
        key: value for key, value in want.items() if have.get(key) != value
    }
    diff.update({key: None for key in owned if key in have and key not in want})
    return diff


def _quantity_diff(
    have: Mapping[str, str] | None, want: Mapping[str, str], owned: Iterable[str]
) -> dict[str, str | None]:
    """The API server rewrites quantities (1000m is 1), so they are compared by value."""
    diff = _map_diff(have, want, owned)
    return {
        key: value
        for key, value in diff.items()
        if value is None or not _same_quantity(value, (have or {}).get(key))
    }


def _same_quantity(one: str, other: str | None) -> bool:
    try:
        return other is not None and parse_quantity(one) == parse_quantity(other)
    except ValueError:
        return False  # the API server refuses it by name, which is the better message


def _spec_diff(spec: Json, want: Wanted, owned: frozenset[str]) -> Json:
    diff: dict[str, Any] = {}
    have = spec.get("taints") or []
    ours = {(taint.key, taint.value, taint.effect): _taint(taint) for taint in want.taints}
    keys = owned | {taint.key for taint in want.taints}
    kept = []
    for taint in have:
        identity = (taint["key"], taint.get("value") or "", taint["effect"])
        if ours.pop(identity, None) is not None or taint["key"] not in keys:
            kept.append(taint)  # the object as it is: it may carry timeAdded
    taints = [*kept, *ours.values()]
    if taints != have:
        diff["taints"] = taints
    if want.provider_id and not spec.get("providerID"):  # cannot be changed once it is set
        diff["providerID"] = want.provider_id
    return diff
