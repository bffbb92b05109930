"""The taints that follow a node's conditions, as the node controller of a real cluster sets them.

Observes the storage; `NodeTaints.run` brings the taints in line a moment after a node changed, in
one task of `vk.devcluster.cluster`. `taints_for` is the rule, pure.

Note: every new node is tainted not-ready by admission; only this part takes that away. It
sets NoSchedule taints only: no pod is evicted from a node that stops reporting.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import attrs

from vk.devcluster.kinds import Kind
from vk.devcluster.storage.storage import Change, Storage
from vk.models.api_object import spec_of, status_of

__all__ = ["NodeTaints", "taints_for"]

_EFFECT = "NoSchedule"
_PREFIX = "node.kubernetes.io/"
_UNSCHEDULABLE = f"{_PREFIX}unschedulable"
_BY_CONDITION = {
    ("Ready", "False"): f"{_PREFIX}not-ready",
    ("Ready", "Unknown"): f"{_PREFIX}unreachable",
    ("MemoryPressure", "True"): f"{_PREFIX}memory-pressure",
    ("DiskPressure", "True"): f"{_PREFIX}disk-pressure",
    ("PIDPressure", "True"): f"{_PREFIX}pid-pressure",
    ("NetworkUnavailable", "True"): f"{_PREFIX}network-unavailable",
}
_OWN = frozenset({*_BY_CONDITION.values(), _UNSCHEDULABLE})


def taints_for(node: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the taints that the node should have: those of others, then those of its state."""
    spec, status = spec_of(node), status_of(node)
    wanted = [
        _BY_CONDITION.get((condition.get("type"), condition.get("status")))
        for condition in status.get("conditions") or ()
    ]
    wanted.append(_UNSCHEDULABLE if spec.get("unschedulable") else None)
    kept = []
    for taint in spec.get("taints") or ():
        own = taint.get("effect") == _EFFECT and taint.get("key") in _OWN
        if not own or taint["key"] in wanted:
            kept.append(taint)
    there = {taint["key"] for taint in kept if taint.get("effect") == _EFFECT}
    missing = [key for key in wanted if key and key not in there]
    return kept + [{"key": key, "effect": _EFFECT} for key in missing]


@attrs.define(eq=False)
class NodeTaints:
    """Keeps the taints of all nodes in line with their conditions."""

    storage: Storage
    _names: OrderedDict[str, Kind] = attrs.field(factory=OrderedDict, init=False, repr=False)
    _wake: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.storage.observers.append(self._observe)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._names:
                name, kind = self._names.popitem(last=False)
                self._align(kind, name)

    def _observe(self, kind: Kind, change: Change) -> None:
        if kind.name == "Node" and change.type != "DELETED":
            self._names[change.entry.name] = kind
            self._wake.set()

    def _align(self, kind: Kind, name: str) -> None:
        node = self.storage.get(kind, "", name)
        if node is None:
            return
        spec = dict(spec_of(node))
        taints = taints_for(node)
        if taints == (spec.get("taints") or []):
            return
        spec["taints"] = taints
        if not taints:
            del spec["taints"]
        self.storage.update(kind, {**node, "spec": spec})
