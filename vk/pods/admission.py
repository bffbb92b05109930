"""Whether a pod can run on this node, with the kubelet's reasons.

In: the raw pod, the backend's FieldTable, the node, and what its pods already use. Out: a
Rejection, or None. Asked only about pods that the provider does not have yet. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from vk.fields import FieldTable, in_words
from vk.models.node import Taint
from vk.models.pod import Json
from vk.models.tuples import as_tuple
from vk.notation.quantity import to_integer, to_milli

__all__ = [
    "AdmissionNode",
    "Rejection",
    "ReservedResources",
    "admit",
    "effective_requests",
    "term_matches",
]

INFEASIBLE = "Infeasible"
"""A resize that the node can never grant."""
DEFERRED = "Deferred"
"""A resize that has to wait for others to end."""

_EMPTY: Json = {}
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
    """Whether it is left for good."""


@attrs.define
class ReservedResources:
    """What the node's pods request: running sums, in thousandths for cpu, else whole units."""

    _requests: dict[str, dict[str, int]] = attrs.field(init=False, factory=dict)
    _sums: dict[str, int] = attrs.field(init=False, factory=dict)

    @property
    def pods(self) -> int:
        """How many pods count."""
        return len(self._requests)

    def add(self, raw: Json) -> None:
        """Count a pod; one that counts already is counted anew, with its present requests."""
        self.remove(raw)
        requests = effective_requests(raw)
        self._requests[raw["metadata"]["uid"]] = requests
        self._change(requests, 1)

    def remove(self, raw: Json) -> None:
        """Forget a pod, with the requests that it was added with; unknown ones are no matter."""
        self._change(self._requests.pop(raw["metadata"]["uid"], {}), -1)

    def counts(self, raw: Json) -> bool:
        """Whether the pod is among those counted."""
        return raw["metadata"]["uid"] in self._requests

    def of(self, resource: str, *, without: Json | None = None) -> int:
        """Return the sum for ``resource``, not counting the pod ``without``."""
        total = self._sums.get(resource, 0)
        if without is not None:
            total -= self._requests.get(without["metadata"]["uid"], {}).get(resource, 0)
        return total

    def _change(self, requests: Mapping[str, int], sign: int) -> None:
        for resource, amount in requests.items():
            self._sums[resource] = self._sums.get(resource, 0) + sign * amount


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


def effective_requests(raw: Json) -> dict[str, int]:
    """Return what the pod requests as a whole, by resource, in the units of `ReservedResources`.

    Its containers and sidecars together, or the largest moment of its init containers, whichever
    is more; a request of the pod itself replaces that; plus overhead.
    """
    spec = raw.get("spec") or _EMPTY
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
    own = (spec.get("resources") or _EMPTY).get("requests") or _EMPTY
    return _sum(_maximum(total, largest) | _amounts(own), _amounts(spec.get("overhead") or _EMPTY))


def _check_os(raw: Json, node: AdmissionNode) -> Rejection | None:
    name = ((raw.get("spec") or _EMPTY).get("os") or _EMPTY).get("name")
    if not name or name == node.os:
        return None
    return Rejection(
        "PodOSNotSupported",
        f"Failed to admit pod as the OS field doesn't match node OS: {name}, node has {node.os}",
    )


def _check_fields(raw: Json, fields: FieldTable) -> Rejection | None:
    refusals = fields.refusals(raw.get("spec") or _EMPTY)
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
        capacity = _amount(resource, node.allocatable[resource])
        taken = used.of(resource, without=raw)
        if requests[resource] > capacity - taken:
            return _out_of(resource, requests[resource], taken, capacity)
    return None


def _check_affinity(raw: Json, node: AdmissionNode) -> Rejection | None:
    spec = raw.get("spec") or _EMPTY
    labels = {_OS_LABEL: node.os, _ARCHITECTURE_LABEL: node.architecture, **node.labels}
    selector = spec.get("nodeSelector") or _EMPTY
    affinity = (spec.get("affinity") or _EMPTY).get("nodeAffinity") or _EMPTY
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    # The pod is bound to this node, so its nodeName is the node's name.
    fields = {"metadata.name": spec.get("nodeName") or ""}
    fits = all(labels.get(key) == value for key, value in selector.items()) and (
        required is None
        or any(
            term_matches(term, labels, fields) for term in required.get("nodeSelectorTerms") or ()
        )
    )
    if fits:
        return None
    return Rejection(
        "NodeAffinity",
        "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
    )


def _check_taints(raw: Json, node: AdmissionNode) -> Rejection | None:
    tolerations = (raw.get("spec") or _EMPTY).get("tolerations") or ()
    for taint in node.taints:
        if taint.effect == "NoExecute" and not any(_tolerates(t, taint) for t in tolerations):
            return Rejection(
                "TaintToleration",
                "Predicate TaintToleration failed: node(s) had taints that the pod didn't "
                f"tolerate: {taint.key}",
            )
    return None


def term_matches(term: Json, labels: Mapping[str, str], fields: Mapping[str, str]) -> bool:
    """Say whether a node with ``labels`` and ``fields`` fits a nodeSelectorTerm."""
    expressions = term.get("matchExpressions") or ()
    on_fields = term.get("matchFields") or ()
    if not expressions and not on_fields:
        return False  # an empty term matches nothing, unlike an empty selector
    return all(_matches(each, labels) for each in expressions) and all(
        _matches(each, fields) for each in on_fields
    )


def _matches(expression: Json, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    values = expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            return _compares(operator, value, values[0] if values else None)
    return False


def _compares(operator: str, value: str | None, bound: str | None) -> bool:
    if value is None or bound is None:
        return False
    try:
        difference = int(value) - int(bound)
    except ValueError:
        return False
    return difference > 0 if operator == "Gt" else difference < 0


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


def _requests(container: Json) -> dict[str, int]:
    """Return the requests of a container; a limit without request is a request too."""
    resources = container.get("resources") or _EMPTY
    return _amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def _amounts(quantities: Mapping[str, object]) -> dict[str, int]:
    return {resource: _amount(resource, text) for resource, text in quantities.items()}


def _amount(resource: str, quantity: object) -> int:
    return to_milli(str(quantity)) if resource == "cpu" else to_integer(str(quantity))


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in one.keys() | other.keys()}


def _maximum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in one.keys() | other.keys()}
