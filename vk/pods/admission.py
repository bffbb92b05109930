"""Admission: whether a pod can run on this node, with the kubelet's reasons.

In: the raw pod, the backend's FieldTable, the node, and what its pods already use. Out: a
Rejection, or None. Called only for pods that the provider does not have yet. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from vk.fields import FieldTable, in_words
from vk.models.api_object import EMPTY, spec_of
from vk.models.node import Taint
from vk.models.pod import Json
from vk.models.requests import amount, effective_requests
from vk.models.tuples import as_tuple
from vk.notation.quantity import to_integer
from vk.notation.selector import node_selector_matches

__all__ = [
    "AdmissionNode",
    "Rejection",
    "ReservedResources",
    "admit",
]

INFEASIBLE = "Infeasible"
"""A resize that the node can never grant."""
DEFERRED = "Deferred"
"""A resize that has to wait until other pods end."""


_OS_LABEL = "kubernetes.io/os"
_ARCHITECTURE_LABEL = "kubernetes.io/arch"
_FIRST = ("cpu", "memory", "ephemeral-storage")


@attrs.frozen
class Rejection:
    """Why a pod cannot run here: the status' reason, and a message for people."""

    reason: str
    message: str


@attrs.frozen(kw_only=True)
class AdmissionNode:
    """What admission looks at. A resource that ``allocatable`` does not name is not limited."""

    allocatable: Mapping[str, str]
    labels: Mapping[str, str] = attrs.field(factory=dict)
    os: str = "linux"
    architecture: str = "amd64"
    taints: tuple[Taint, ...] = attrs.field(default=(), converter=as_tuple)
    draining: bool = False
    """Whether the node is being drained."""


@attrs.define
class ReservedResources:
    """What the node's pods request: running sums, in thousandths for cpu, else whole units."""

    _requests: dict[str, dict[str, int]] = attrs.field(init=False, factory=dict)
    _sums: dict[str, int] = attrs.field(init=False, factory=dict)

    @property
    def pods(self) -> int:
        """The number of pods counted."""
        return len(self._requests)

    def add(self, raw: Json) -> None:
        """Count a pod; one that is counted already is counted again, with its current requests."""
        self.remove(raw)
        requests = effective_requests(raw)
        self._requests[raw["metadata"]["uid"]] = requests
        self._change(requests, 1)

    def remove(self, raw: Json) -> None:
        """Forget a pod, with the requests that it was added with. Repeatable."""
        self._change(self._requests.pop(raw["metadata"]["uid"], {}), -1)

    def counts(self, raw: Json) -> bool:
        """Return whether the pod is among those counted."""
        return raw["metadata"]["uid"] in self._requests

    def of(self, resource: str, *, without: Json | None = None) -> int:
        """Return the sum for ``resource``, not counting the pod ``without``."""
        total = self._sums.get(resource, 0)
        if without is not None:
            total -= self._requests.get(without["metadata"]["uid"], {}).get(resource, 0)
        return total

    def _change(self, requests: Mapping[str, int], sign: int) -> None:
        for resource, number in requests.items():
            self._sums[resource] = self._sums.get(resource, 0) + sign * number


def admit(
    raw: Json, *, fields: FieldTable, node: AdmissionNode, used: ReservedResources
) -> Rejection | None:
    """Return why the pod cannot run on the node, None when it can.

    ``used`` may count the pod itself: its own share is left out. Only NoExecute taints count, since
    the others are the scheduler's.
    """
    if node.draining:
        return Rejection("NodeDraining", "the node is being drained and takes no new pods")
    return (
        _check_os(raw, node)
        or _check_fields(raw, fields)
        or _check_resources(raw, node, used)
        or _check_affinity(raw, node)
        or _check_taints(raw, node)
    )


def resize_rejection(raw: Json, node: AdmissionNode, used: ReservedResources) -> Rejection | None:
    """Return why a running pod cannot have its new resources, with the kubelet's reasons.

    ``Infeasible``: the node never has that much. ``Deferred``: others use it now.
    """
    alone = _check_resources(raw, node, ReservedResources())
    if alone is not None:
        return Rejection(INFEASIBLE, alone.message)
    now = _check_resources(raw, node, used)
    return None if now is None else Rejection(DEFERRED, now.message)


def _check_os(raw: Json, node: AdmissionNode) -> Rejection | None:
    name = (spec_of(raw).get("os") or EMPTY).get("name")
    if not name or name == node.os:
        return None
    return Rejection(
        "PodOSNotSupported",
        f"Failed to admit pod as the OS field doesn't match node OS: {name}, node has {node.os}",
    )


def _check_fields(raw: Json, fields: FieldTable) -> Rejection | None:
    refusals = fields.refusals(spec_of(raw))
    return Rejection("UnsupportedField", in_words(refusals)) if refusals else None


def _check_resources(raw: Json, node: AdmissionNode, used: ReservedResources) -> Rejection | None:
    others = used.pods - used.counts(raw)
    if "pods" in node.allocatable:
        capacity = to_integer(str(node.allocatable["pods"]))
        if others + 1 > capacity:
            return _out_of("pods", 1, others, capacity)
    requests = effective_requests(raw)
    for resource in sorted(requests, key=_importance):
        if not requests[resource] or resource not in node.allocatable:
            continue
        capacity = amount(resource, node.allocatable[resource])
        taken = used.of(resource, without=raw)
        if requests[resource] > capacity - taken:
            return _out_of(resource, requests[resource], taken, capacity)
    return None


def _check_affinity(raw: Json, node: AdmissionNode) -> Rejection | None:
    spec = spec_of(raw)
    labels = {_OS_LABEL: node.os, _ARCHITECTURE_LABEL: node.architecture, **node.labels}
    selector = spec.get("nodeSelector") or EMPTY
    affinity = (spec.get("affinity") or EMPTY).get("nodeAffinity") or EMPTY
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    # The pod is bound to this node, so its nodeName is the node's name.
    fields = {"metadata.name": spec.get("nodeName") or ""}
    fits = all(labels.get(key) == value for key, value in selector.items()) and (
        required is None
        or node_selector_matches(required.get("nodeSelectorTerms") or (), labels, fields)
    )
    if fits:
        return None
    return Rejection(
        "NodeAffinity",
        "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
    )


def _check_taints(raw: Json, node: AdmissionNode) -> Rejection | None:
    tolerations = spec_of(raw).get("tolerations") or ()
    for taint in node.taints:
        if taint.effect == "NoExecute" and not any(_tolerates(t, taint) for t in tolerations):
            return Rejection(
                "TaintToleration",
                "Predicate TaintToleration failed: node(s) had taints that the pod didn't "
                f"tolerate: {taint.key}",
            )
    return None


def _tolerates(toleration: Json, taint: Taint) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.effect:
        return False
    if toleration.get("key") and toleration["key"] != taint.key:
        return False
    if toleration.get("operator") == "Exists":
        return True
    return (
        toleration.get("operator") in (None, "", "Equal")
        and toleration.get("key") == taint.key
        and (toleration.get("value") or "") == taint.value
    )


def _out_of(resource: str, requested: int, used: int, capacity: int) -> Rejection:
    return Rejection(
        f"OutOf{resource}",
        f"Node didn't have enough resource: {resource}, requested: {requested}, "
        f"used: {used}, capacity: {capacity}",
    )


def _importance(resource: str) -> tuple[int, str]:
    return (_FIRST.index(resource) if resource in _FIRST else len(_FIRST), resource)
