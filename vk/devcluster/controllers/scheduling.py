"""The node for a pod, or kube-scheduler's message where none fits. Pure.

In: a pod without a node, the nodes, and what their pods request. Out: a `ScheduleResult`. Filters
and their order, the weights of scores and every text are those of kube-scheduler.

Note: readiness is not looked at. `node_taints` turns it into taints, as a controller of a
real cluster does, and pods are kept away by those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from vk.models.requests import effective_requests
from vk.notation.quantity import to_integer, to_milli
from vk.notation.selector import node_selector_matches
from vk.pods.admission import ReservedResources

__all__ = ["NodeView", "ScheduleResult", "choose", "is_ours"]

Json = dict[str, Any]

_EMPTY: Json = {}
_NO_NODES = "no nodes available to schedule pods"
_NOT_OURS = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
_AFFINITY = "node(s) didn't match Pod's node affinity/selector"
_CORDONED = "node(s) were unschedulable"
_TAINTED = "node(s) had untolerated taint(s)"
_HOPELESS = "Preemption is not helpful for scheduling"
_NO_VICTIMS = "No preemption victims found for incoming pod"
_UNSCHEDULABLE = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
# A container without a request counts as this when nodes are compared, as the real scheduler does.
_ASSUMED = {"cpu": 100, "memory": 200 * 2**20}


@attrs.frozen
class ScheduleResult:
    """The node's name, or an empty one and why there is none."""

    node: str
    message: str = ""


@attrs.frozen(kw_only=True)
class NodeView:
    """The fields of a node that scheduling depends on; equal views: nothing changed for it."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Json, ...]
    unschedulable: bool
    allocatable: Mapping[str, int]
    """Thousandths for cpu, else whole units."""

    @classmethod
    def of(cls, node: Json) -> NodeView:
        """Read a Node; raises ValueError where a quantity is not one."""
        spec, status = node.get("spec") or _EMPTY, node.get("status") or _EMPTY
        return cls(
            name=node["metadata"]["name"],
            labels=node["metadata"].get("labels") or _EMPTY,
            taints=tuple(spec.get("taints") or ()),
            unschedulable=bool(spec.get("unschedulable")),
            allocatable={
                resource: to_milli(str(text)) if resource == "cpu" else to_integer(str(text))
                for resource, text in (status.get("allocatable") or _EMPTY).items()
            },
        )


@attrs.frozen
class _Obstacle:
    """Why a node does not fit; ``resolvable`` where fewer pods on it would change that."""

    reasons: tuple[str, ...]
    resolvable: bool = False


def is_ours(pod: Json) -> bool:
    """Return whether the default scheduler has to find a node for the pod now."""
    spec = pod.get("spec") or _EMPTY
    return (
        not spec.get("nodeName")
        and spec.get("schedulerName", "default-scheduler") == "default-scheduler"
        and not spec.get("schedulingGates")
        and not pod["metadata"].get("deletionTimestamp")
    )


def choose(
    pod: Json, nodes: Sequence[NodeView], used: Mapping[str, ReservedResources]
) -> ScheduleResult:
    """Return where ``pod`` goes. ``used`` gives what each node's pods request, by node name.

    Of several nodes that will do, the one with the highest score; of equals the one with the fewest
    pods, then the first by name. Raises ValueError where a request is not a quantity.
    """
    if not nodes:
        return ScheduleResult("", _NO_NODES)
    requests = effective_requests(pod)
    named = _named(_required(pod))
    obstacles: list[_Obstacle] = []
    fitting: list[NodeView] = []
    for node in nodes:
        obstacle = _obstacle(pod, node, named, requests, used.get(node.name) or ReservedResources())
        if obstacle is None:
            fitting.append(node)
        else:
            obstacles.append(obstacle)
    if not fitting:
        return ScheduleResult("", _message(obstacles))
    return ScheduleResult(_best(pod, fitting, requests, used))


def _obstacle(
    pod: Json,
    node: NodeView,
    named: set[str] | None,
    requests: Mapping[str, int],
    used: ReservedResources,
) -> _Obstacle | None:
    """Return the message of the first filter that refuses the node; None: it fits."""
    tolerations = pod["spec"].get("tolerations") or ()
    if named is not None and node.name not in named:
        return _Obstacle((_NOT_OURS,))
    if node.unschedulable and not _tolerated(_UNSCHEDULABLE, tolerations):
        return _Obstacle((_CORDONED,))
    hard = (taint for taint in node.taints if taint.get("effect") in ("NoSchedule", "NoExecute"))
    if not all(_tolerated(taint, tolerations) for taint in hard):
        return _Obstacle((_TAINTED,))
    if not _selected(pod, node):
        return _Obstacle((_AFFINITY,))
    return _lack(node, requests, used)


def _tolerated(taint: Json, tolerations: Iterable[Json]) -> bool:
    return any(_tolerates(toleration, taint) for toleration in tolerations)


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator") == "Exists":
        return True
    equal = (toleration.get("value") or "") == (taint.get("value") or "")
    return toleration.get("operator") in (None, "", "Equal") and bool(toleration["key"]) and equal


def _required(pod: Json) -> Json | None:
    required: Json | None = _affinity(pod).get("requiredDuringSchedulingIgnoredDuringExecution")
    return required


def _affinity(pod: Json) -> Json:
    affinity = (pod["spec"].get("affinity") or _EMPTY).get("nodeAffinity")
    return affinity or _EMPTY


def _named(required: Json | None) -> set[str] | None:
    """Return the only nodes that a required affinity names by name; None where it names none."""
    found: set[str] = set()
    for term in (required or _EMPTY).get("nodeSelectorTerms") or ():
        names = [
            set(field.get("values") or ())
            for field in term.get("matchFields") or ()
            if field.get("key") == "metadata.name" and field.get("operator") == "In"
        ]
        if not names:
            return None
        found |= set.intersection(*names)
    return found or None


def _selected(pod: Json, node: NodeView) -> bool:
    selector, required = pod["spec"].get("nodeSelector") or _EMPTY, _required(pod)
    if any(node.labels.get(key) != value for key, value in selector.items()):
        return False
    return required is None or _matches(required.get("nodeSelectorTerms") or (), node)


def _matches(terms: Sequence[Json], node: NodeView) -> bool:
    return node_selector_matches(terms, node.labels, {"metadata.name": node.name})


def _lack(node: NodeView, requests: Mapping[str, int], used: ReservedResources) -> _Obstacle | None:
    """Return what the node has too little of; more than it has in all is never resolvable."""
    lacking = [
        resource
        for resource, amount in requests.items()
        if amount > 0 and amount > node.allocatable.get(resource, 0) - used.of(resource)
    ]
    reasons = [f"Insufficient {resource}" for resource in lacking]
    if used.pods + 1 > node.allocatable.get("pods", 0):
        reasons.append("Too many pods")
    if not reasons:
        return None
    beyond = any(requests[resource] > node.allocatable.get(resource, 0) for resource in lacking)
    return _Obstacle(tuple(reasons), resolvable=not beyond)


def _message(obstacles: Sequence[_Obstacle]) -> str:
    total = f"0/{len(obstacles)} nodes are available"
    reasons = Counter(reason for obstacle in obstacles for reason in obstacle.reasons)
    help_ = Counter(_NO_VICTIMS if obstacle.resolvable else _HOPELESS for obstacle in obstacles)
    preemption = f"no new claims to deallocate, preemption: {total}: {_histogram(help_)}."
    return f"{total}: {_histogram(reasons)}. {preemption}"


def _histogram(counts: Counter[str]) -> str:
    return ", ".join(sorted(f"{count} {text}" for text, count in counts.items()))


def _best(
    pod: Json,
    nodes: Sequence[NodeView],
    requests: Mapping[str, int],
    used: Mapping[str, ReservedResources],
) -> str:
    if len(nodes) == 1:
        return nodes[0].name
    usages = [used.get(node.name) or ReservedResources() for node in nodes]
    avoided = _normalised([_avoided(pod, node) for node in nodes])
    preferred = _normalised([_preference(pod, node) for node in nodes])
    scores = [
        3 * (100 - avoid) + 2 * prefer + _room(node, requests, usage)
        for avoid, prefer, node, usage in zip(avoided, preferred, nodes, usages, strict=True)
    ]
    ranked = zip(scores, usages, nodes, strict=True)
    return min((-score, usage.pods, node.name) for score, usage, node in ranked)[2]


def _normalised(values: Sequence[int]) -> list[int]:
    """Scale to 0..100, the largest being 100."""
    largest = max(values)
    return [value * 100 // largest if largest > 0 else 0 for value in values]


def _avoided(pod: Json, node: NodeView) -> int:
    tolerations = pod["spec"].get("tolerations") or ()
    soft = (taint for taint in node.taints if taint.get("effect") == "PreferNoSchedule")
    return sum(not _tolerated(taint, tolerations) for taint in soft)


def _preference(pod: Json, node: NodeView) -> int:
    preferred = _affinity(pod).get("preferredDuringSchedulingIgnoredDuringExecution") or ()
    return sum(
        int(one.get("weight") or 0)
        for one in preferred
        if _matches([one.get("preference") or _EMPTY], node)
    )


def _room(node: NodeView, requests: Mapping[str, int], used: ReservedResources) -> int:
    """Return how much of cpu and memory would stay free, 0..100."""
    shares = []
    for resource, assumed in _ASSUMED.items():
        all_ = node.allocatable.get(resource, 0)
        free = all_ - used.of(resource) - (requests.get(resource) or assumed)
        shares.append(max(0, free) * 100 // all_ if all_ else 0)
    return sum(shares) // len(shares)
