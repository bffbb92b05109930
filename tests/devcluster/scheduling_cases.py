"""What the real scheduler (kube-scheduler 1.36) does with a pod, case by case.

`test_scheduling` holds the rules of the embedded cluster to it, and asks the real one again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

Json = dict[str, Any]

NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"


@attrs.frozen
class Case:
    """One pod, the nodes, and the pods that are on them already; one of the two outcomes."""

    nodes: Sequence[Json]
    pod: Json
    bound: Sequence[Json] = ()
    node: str = ""
    message: str = ""


def node(
    name: str,
    *,
    allocatable: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    taints: Sequence[Json] = (),
    unschedulable: bool = False,
) -> Json:
    """Return a ready Node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": dict(labels or {})},
        "spec": {"taints": list(taints), "unschedulable": unschedulable},
        "status": {
            "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10", **(allocatable or {})},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod(name: str = "p", requests: Mapping[str, str] | None = None, **spec: Any) -> Json:
    """Return a Pod; ``spec`` goes into its spec as it is."""
    container = {"name": "main", "image": "nginx", "resources": {"requests": dict(requests or {})}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
    }


def taint(key: str, effect: str = "NoSchedule", value: str = "") -> Json:
    """Return a taint."""
    return {"key": key, "effect": effect, **({"value": value} if value else {})}


def required(*terms: Json) -> Json:
    """Return an affinity for nodes that match one of ``terms``."""
    rule = {"nodeSelectorTerms": list(terms)}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": rule}}


def preferred(key: str, value: str) -> Json:
    """Return an affinity that prefers nodes with a label."""
    term = {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}
    rule = [{"weight": 1, "preference": term}]
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": rule}}


def refused(reasons: str, *helps: str, nodes: int = 1) -> str:
    """Return the whole message for ``reasons``."""
    total, preemption = f"0/{nodes} nodes are available", ", ".join(helps)
    return f"{total}: {reasons}. no new claims to deallocate, preemption: {total}: {preemption}."


def named(name: str) -> Json:
    """Return the term for the node of that name."""
    return {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}


_CORDON = taint("node.kubernetes.io/unschedulable")
_TOLERATE_ALL = [{"operator": "Exists"}]
_HELPLESS = f"1 {NOT_HELPFUL}"
_HALF = pod("b", {"cpu": "1500m"}, nodeName="n1")

CASES: dict[str, Case] = {
    "no nodes": Case([], pod(), message="no nodes available to schedule pods"),
    "any node": Case([node("n1")], pod(), node="n1"),
    "taint": Case(
        [node("n1", taints=[taint("a", value="b")])],
        pod(),
        message=refused("1 node(s) had untolerated taint(s)", _HELPLESS),
    ),
    "taint NoExecute": Case(
        [node("n1", taints=[taint("a", "NoExecute")])],
        pod(),
        message=refused("1 node(s) had untolerated taint(s)", _HELPLESS),
    ),
    "several taints are one reason": Case(
        [node("n1", taints=[taint("a"), taint("b")]), node("n2", taints=[taint("c")])],
        pod(),
        message=refused("2 node(s) had untolerated taint(s)", f"2 {NOT_HELPFUL}", nodes=2),
    ),
    "taint tolerated by key and value": Case(
        [node("n1", taints=[taint("a", value="b")])],
        pod(tolerations=[{"key": "a", "value": "b"}]),
        node="n1",
    ),
    "taint with another value": Case(
        [node("n1", taints=[taint("a", value="b")])],
        pod(tolerations=[{"key": "a", "operator": "Equal", "value": "c"}]),
        message=refused("1 node(s) had untolerated taint(s)", _HELPLESS),
    ),
    "taint tolerated for another effect": Case(
        [node("n1", taints=[taint("a")])],
        pod(tolerations=[{"key": "a", "operator": "Exists", "effect": "NoExecute"}]),
        message=refused("1 node(s) had untolerated taint(s)", _HELPLESS),
    ),
    "everything tolerated": Case(
        [node("n1", taints=[taint("a"), taint("b", "NoExecute")])],
        pod(tolerations=_TOLERATE_ALL),
        node="n1",
    ),
    "cordoned": Case(
        [node("n1", unschedulable=True, taints=[_CORDON])],
        pod(),
        message=refused("1 node(s) were unschedulable", _HELPLESS),
    ),
    "cordoned, tolerated": Case(
        [node("n1", unschedulable=True, taints=[_CORDON])],
        pod(tolerations=[{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]),
        node="n1",
    ),
    "nodeSelector": Case(
        [node("n1"), node("n2", labels={"disk": "ssd"})],
        pod(nodeSelector={"disk": "ssd"}),
        node="n2",
    ),
    "nodeSelector of no node": Case(
        [node("n1")],
        pod(nodeSelector={"disk": "ssd"}),
        message=refused("1 node(s) didn't match Pod's node affinity/selector", _HELPLESS),
    ),
    "affinity": Case(
        [node("n1"), node("n2", labels={"disk": "ssd"})],
        pod(affinity=required({"matchExpressions": [{"key": "disk", "operator": "Exists"}]})),
        node="n2",
    ),
    "affinity to no node": Case(
        [node("n1")],
        pod(affinity=required({"matchExpressions": [{"key": "disk", "operator": "Exists"}]})),
        message=refused("1 node(s) didn't match Pod's node affinity/selector", _HELPLESS),
    ),
    "affinity to a name": Case(
        [node("n1"), node("n2")], pod(affinity=required(named("n2"))), node="n2"
    ),
    "affinity to a name that is not there": Case(
        [node("n1"), node("n2")],
        pod(affinity=required(named("n3"))),
        message=refused(
            "2 node(s) didn't satisfy plugin(s) [NodeAffinity]", f"2 {NOT_HELPFUL}", nodes=2
        ),
    ),
    "affinity to a name without room": Case(
        [node("n1", allocatable={"cpu": "1"}), node("n2")],
        pod("p", {"cpu": "2"}, affinity=required(named("n1"))),
        message=refused(
            "1 Insufficient cpu, 1 node(s) didn't satisfy plugin(s) [NodeAffinity]",
            f"2 {NOT_HELPFUL}",
            nodes=2,
        ),
    ),
    "more than the node has": Case(
        [node("n1", allocatable={"cpu": "1", "memory": "1Gi"})],
        pod("p", {"cpu": "2", "memory": "2Gi"}),
        message=refused("1 Insufficient cpu, 1 Insufficient memory", _HELPLESS),
    ),
    "more than is left": Case(
        [node("n1", allocatable={"cpu": "2"})],
        pod("p", {"cpu": "1"}),
        bound=[_HALF],
        message=refused("1 Insufficient cpu", f"1 {NO_VICTIMS}"),
    ),
    "exactly what is left": Case(
        [node("n1", allocatable={"cpu": "2"})], pod("p", {"cpu": "500m"}), bound=[_HALF], node="n1"
    ),
    "a resource that the node does not know": Case(
        [node("n1")],
        pod("p", {"ephemeral-storage": "1Gi"}),
        message=refused("1 Insufficient ephemeral-storage", _HELPLESS),
    ),
    "one pod too many": Case(
        [node("n1", allocatable={"pods": "1"})],
        pod(),
        bound=[pod("b", nodeName="n1")],
        message=refused("1 Too many pods", f"1 {NO_VICTIMS}"),
    ),
    "a node for no pods": Case(
        [node("n1", allocatable={"pods": "0"})],
        pod(),
        message=refused("1 Too many pods", f"1 {NO_VICTIMS}"),
    ),
    "one pod too many that asks too much": Case(
        [node("n1", allocatable={"pods": "1", "cpu": "1"})],
        pod("p", {"cpu": "2"}),
        bound=[pod("b", nodeName="n1")],
        message=refused("1 Insufficient cpu, 1 Too many pods", _HELPLESS),
    ),
    "each node has its own reason": Case(
        [
            node("n1", taints=[taint("a")]),
            node("n2", allocatable={"cpu": "1"}),
            node("n3", unschedulable=True, taints=[_CORDON]),
            node("n4", allocatable={"cpu": "1"}),
        ],
        pod("p", {"cpu": "2"}),
        message=refused(
            "1 node(s) had untolerated taint(s), 1 node(s) were unschedulable, 2 Insufficient cpu",
            f"4 {NOT_HELPFUL}",
            nodes=4,
        ),
    ),
    "preemption would help on one node": Case(
        [node("n1", allocatable={"cpu": "2"}), node("n2", taints=[taint("a")])],
        pod("p", {"cpu": "1"}),
        bound=[_HALF],
        message=refused(
            "1 Insufficient cpu, 1 node(s) had untolerated taint(s)",
            f"1 {NO_VICTIMS}",
            f"1 {NOT_HELPFUL}",
            nodes=2,
        ),
    ),
    "the first filter that refuses is the reason": Case(
        [node("n1", taints=[taint("a")])],
        pod("p", {"cpu": "900"}, nodeSelector={"disk": "ssd"}),
        message=refused("1 node(s) had untolerated taint(s)", _HELPLESS),
    ),
    "the emptier node": Case(
        [node("n1"), node("n2")],
        pod("p", {"cpu": "1"}),
        bound=[pod("b", {"cpu": "3"}, nodeName="n1")],
        node="n2",
    ),
    "the node with fewer pods": Case(
        [node("n1"), node("n2")], pod(), bound=[pod("b", nodeName="n1")], node="n2"
    ),
    "the preferred node, though it is fuller": Case(
        [node("n1"), node("n2", labels={"disk": "ssd"})],
        pod(affinity=preferred("disk", "ssd")),
        bound=[pod("b", {"cpu": "1"}, nodeName="n2")],
        node="n2",
    ),
    "not the node that asks to be avoided": Case(
        [node("n1", taints=[taint("a", "PreferNoSchedule")]), node("n2")],
        pod(),
        bound=[pod("b", {"cpu": "1"}, nodeName="n2")],
        node="n2",
    ),
    "another scheduler's pod": Case([node("n1")], pod(schedulerName="mine")),
    "a gated pod": Case([node("n1")], pod(schedulingGates=[{"name": "example.com/wait"}])),
}
"""By what happens. Neither node nor message: the scheduler leaves the pod alone."""
