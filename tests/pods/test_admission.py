"""A pod that cannot run here is turned away with the kubelet's reason."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from vk.fields import FieldTable
from vk.models.node import Taint
from vk.models.requests import effective_requests
from vk.pods.admission import AdmissionNode, Rejection, ReservedResources, admit

NODE = AdmissionNode(
    allocatable={"cpu": "2", "memory": "1Gi", "pods": "2", "example.org/card": "1"},
    labels={"zone": "a", "size": "5"},
    taints=(Taint("dedicated", "x", "NoSchedule"), Taint("full", "yes", "NoExecute")),
)
TOLERANT = [{"key": "full", "operator": "Exists"}]
FIELDS = FieldTable(refused={"spec.hostPID": "no host", "spec.hostIPC": "no host either"})


def asks(restart: str | None = None, **requests: str) -> dict[str, Any]:
    return {"name": "c", "restartPolicy": restart, "resources": {"requests": requests}}


def pod(uid: str = "u1", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"uid": uid}, "spec": {"tolerations": TOLERANT, **spec}}


def required(*expressions: dict[str, Any], fields: Any = None) -> dict[str, Any]:
    term = {"matchExpressions": list(expressions), "matchFields": fields}
    key = "requiredDuringSchedulingIgnoredDuringExecution"
    return {"nodeAffinity": {key: {"nodeSelectorTerms": [term]}}}


def match(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values) or None}


def reason(raw: dict[str, Any], used: ReservedResources | None = None) -> str:
    rejection = admit(raw, fields=FIELDS, node=NODE, used=used or ReservedResources())
    return rejection.reason if rejection else ""


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, ""),
        ({"os": None, "nodeSelector": None, "affinity": None, "containers": None}, ""),
        ({"os": {"name": "linux"}}, ""),
        ({"os": {"name": "windows"}}, "PodOSNotSupported"),
        ({"hostPID": True}, "UnsupportedField"),
        ({"nodeSelector": {"zone": "a", "kubernetes.io/os": "linux"}}, ""),
        ({"nodeSelector": {"zone": "b"}}, "NodeAffinity"),
        ({"nodeSelector": {"kubernetes.io/arch": "arm64"}}, "NodeAffinity"),
        ({"affinity": required()}, "NodeAffinity"),
        ({"affinity": required(match("zone", "In", "a", "b"), match("size", "Gt", "4"))}, ""),
        ({"affinity": required(match("zone", "NotIn", "a"))}, "NodeAffinity"),
        ({"affinity": required(match("none", "NotIn", "a"))}, ""),
        ({"affinity": required(match("none", "Exists"))}, "NodeAffinity"),
        ({"affinity": required(match("none", "DoesNotExist"))}, ""),
        ({"affinity": required(match("size", "Lt", "5"))}, "NodeAffinity"),
        ({"affinity": required(match("zone", "Gt", "1"))}, "NodeAffinity"),
        ({"nodeName": "n", "affinity": required(fields=[match("metadata.name", "In", "n")])}, ""),
        (
            {"nodeName": "n", "affinity": required(fields=[match("metadata.name", "In", "m")])},
            "NodeAffinity",
        ),
        ({"tolerations": None}, "TaintToleration"),
        ({"tolerations": [{"operator": "Exists"}]}, ""),
        ({"tolerations": [{"key": "full", "value": "yes", "effect": "NoExecute"}]}, ""),
        ({"tolerations": [{"key": "full", "value": "no"}]}, "TaintToleration"),
        (
            {"tolerations": [{"key": "full", "operator": "Exists", "effect": "NoSchedule"}]},
            "TaintToleration",
        ),
        ({"containers": [asks(cpu="2", memory="1Gi")]}, ""),
        ({"containers": [asks(cpu="1"), asks(cpu="1001m")]}, "OutOfcpu"),
        ({"containers": [asks(memory="1025Mi", cpu="1")]}, "OutOfmemory"),
        ({"containers": [asks(**{"example.org/card": "2"})]}, "OutOfexample.org/card"),
        ({"containers": [asks(**{"example.org/unknown": "2"})]}, ""),
    ],
)
def test_each_check_has_its_reason(spec: dict[str, Any], expected: str) -> None:
    assert reason(pod(**spec)) == expected


def refusal(raw: dict[str, Any], fields: FieldTable) -> str:
    rejection = admit(raw, fields=fields, node=NODE, used=ReservedResources())
    assert rejection is not None and rejection.reason == "UnsupportedField"
    return rejection.message


def test_the_message_names_each_refused_field_with_its_index_and_why() -> None:
    volumes = [{"name": "a", "emptyDir": {}}, {"name": "b", "hostPath": {"path": "/"}}]
    fields = attrs.evolve(FIELDS, refused={**FIELDS.refused, "spec.volumes[].hostPath": "no disk"})
    message = "spec.hostPID: no host; spec.volumes[1].hostPath: no disk"
    assert refusal(pod(hostPID=True, volumes=volumes), fields) == message


def test_a_reason_that_several_fields_share_is_given_once() -> None:
    fields = FieldTable(refused=dict.fromkeys(("spec.hostPID", "spec.hostIPC"), "no host"))
    assert refusal(pod(hostPID=True, hostIPC=True), fields) == "spec.hostPID, spec.hostIPC: no host"


def test_many_containers_that_are_refused_for_one_reason_make_no_long_message() -> None:
    fields = FieldTable(
        refused={"spec.containers[].tty": "no terminals", "spec.containers[].stdin": "no input"}
    )
    several = [{"name": f"c{number}", "tty": True} for number in range(20)]
    several[1] = {"name": "c1", "stdin": True}
    assert refusal(pod(containers=several), fields) == (
        "spec.containers[0].tty, spec.containers[2].tty, spec.containers[3].tty and 16 more: "
        "no terminals; spec.containers[1].stdin: no input"
    )


def test_what_other_pods_use_is_not_there() -> None:
    used = ReservedResources()
    used.add(pod("other", containers=[asks(cpu="1500m")]))
    rejection = admit(pod(containers=[asks(cpu="1")]), fields=FIELDS, node=NODE, used=used)
    assert rejection == Rejection(
        "OutOfcpu",
        "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000",
    )
    used.remove(pod("other"))
    assert (used.pods, used.of("cpu")) == (0, 0)
    assert reason(pod(containers=[asks(cpu="1")]), used) == ""


def test_a_pod_that_counts_already_does_not_stand_in_its_own_way() -> None:
    used = ReservedResources()
    mine = pod(containers=[asks(cpu="2")])
    used.add(mine)
    used.add(mine)
    used.add(pod("other"))
    assert used.of("cpu") == 2000
    assert reason(mine, used) == ""
    assert reason(pod("third"), used) == "OutOfpods"


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": [asks(cpu="1"), asks(cpu="2")]}, 3000),
        ({"containers": [asks(cpu="1")], "initContainers": [asks(cpu="2"), asks(cpu="3")]}, 3000),
        ({"containers": [asks(cpu="1")], "initContainers": [asks("Always", cpu="2")]}, 3000),
        (
            {
                "containers": [asks(cpu="1")],
                "initContainers": [asks(cpu="4"), asks("Always", cpu="2"), asks(cpu="3")],
            },
            5000,
        ),
        ({"containers": [asks(cpu="1")], "overhead": {"cpu": "100m"}}, 1100),
        ({"containers": [asks(cpu="1")], "resources": {"requests": {"cpu": "5"}}}, 5000),
        ({"containers": [{"name": "c", "resources": {"limits": {"cpu": "7"}}}]}, 7000),
        ({"containers": [{"name": "c", "resources": None}]}, 0),
    ],
)
def test_a_pods_request_is_its_largest_moment(spec: dict[str, Any], cpu: int) -> None:
    assert effective_requests(pod(**spec)).get("cpu", 0) == cpu


def test_a_node_that_is_drained_takes_no_new_pod_whatever_it_tolerates() -> None:
    everything = pod(tolerations=[{"operator": "Exists"}])
    rejection = admit(
        everything, fields=FIELDS, node=attrs.evolve(NODE, draining=True), used=ReservedResources()
    )
    assert rejection is not None and rejection.reason == "NodeDraining"
