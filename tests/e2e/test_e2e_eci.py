"""A node of Alibaba Cloud on a real control plane, with the emulator for the service."""

from __future__ import annotations

import json
import os
import random
import time
from typing import Any

import manifests
import pytest
from eci_emulator import Emulator, emulator
from node_process import ROOT, NodeProcess, StartNode

from vk.testing.control_plane import ControlPlane, eventually
from vk_providers.alibabacloud.emulator import billed_twice

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

CREATE, DELETE = "CreateContainerGroup", "DeleteContainerGroup"
CREATES = int(os.environ.get("VK_ECI_CREATES", "150"))
KILLS = int(os.environ.get("VK_ECI_KILLS", "6"))
"""The whole run has 2000 creates and 20 kills: VK_ECI_CREATES=2000 VK_ECI_KILLS=20."""


def start(make_node: StartNode, eci: Emulator, *flags: str, **more: str) -> NodeProcess:
    settings = eci.flags(quota_share="1", **more)
    node: NodeProcess = make_node("", *settings, *flags, provider="alibabacloud")
    node.start()
    node.wait_ready()
    return node


def kept(node: NodeProcess) -> bool:
    """Start the process again where it ended by itself, as a Deployment would."""
    try:
        node.check()
    except RuntimeError:  # with a lease of 3 s a busy machine is enough to lose it
        node.start()
    return True


def pods(control_plane: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = control_plane.get("pods", f"--namespace={namespace}")["items"]
    return found


def running(control_plane: ControlPlane, namespace: str) -> int:
    return sum(pod["status"].get("phase") == "Running" for pod in pods(control_plane, namespace))


def apply(control_plane: ControlPlane, namespace: str, *things: str) -> None:
    for thing in things:
        control_plane.kubectl("apply", f"--namespace={namespace}", "-f", "-", input=thing)


def job(name: str, node: str, command: str) -> str:
    container = {"name": "main", "image": "busybox", "command": [command]}
    spec = manifests.pod_spec(node, restartPolicy="Never", containers=[container])
    fields = {"backoffLimit": 0, "template": {"spec": spec}}
    return manifests.thing("batch/v1", "Job", name, spec=fields)


def test_workloads_of_every_kind_run(
    control_plane: ControlPlane, make_node: StartNode, namespace: str, eci: Emulator
) -> None:
    """Scheduled by kube-scheduler, with files, tokens and names; deleted without a trace."""
    node = start(make_node, eci)
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    files = [
        {"name": "c", "configMap": {"name": "c"}},
        {"name": "s", "secret": {"secretName": "s"}},
    ]
    mounts = [{"name": "c", "mountPath": "/c"}, {"name": "s", "mountPath": "/s"}]
    container = {"name": "main", "image": "nginx", "volumeMounts": mounts}
    apply(
        control_plane,
        namespace,
        json.dumps({**config, "data": {"key": "from-config"}}),
        json.dumps({**secret, "stringData": {"key": "from-secret"}}),
        manifests.pod("files", node.name, volumes=files, containers=[container]),
        manifests.workload("Deployment", "web", node.name, 200),
        manifests.workload("StatefulSet", "db", node.name, 2),
        job("good", node.name, "true"),
        job("bad", node.name, "false"),
    )
    wait = ("wait", f"-n={namespace}", "--timeout=120s")
    control_plane.kubectl(*wait, "--for=condition=Ready", "pod/files")
    control_plane.kubectl(*wait, "--for=condition=Available", "deployment/web")
    control_plane.kubectl(*wait, "--for=condition=Complete", "job/good")
    control_plane.kubectl(*wait, "--for=condition=Failed", "job/bad")
    control_plane.kubectl("rollout", "status", "statefulset/db", f"-n={namespace}")
    control_plane.kubectl("delete", "all", "--all", f"-n={namespace}", "--timeout=120s")
    eventually(lambda: not eci.living(), "nothing is billed", timeout=60.0)
    ledger = eci.ledger()
    assert billed_twice(ledger) == []
    assert {call["code"] for call in ledger["calls"]} <= {None, "", "InvalidParameter.NotFound"}


def test_ambiguity(control_plane: ControlPlane, make_node: StartNode, namespace: str) -> None:
    """Lost answers, kills at random points and lagging lists: one group a pod, and no leak."""
    lottery = random.Random(7)
    with emulator("--speed=10", "--rates=0", "--list-lag=10") as eci:
        eci.set_faults({"kind": "lost_reply", "actions": [CREATE], "probability": 0.3})
        flags = ("--node-lease-duration", "3s", "--orphans", "delete")
        node = start(make_node, eci, *flags, pods="5000")
        apply(
            control_plane,
            namespace,
            manifests.workload("Deployment", "web", node.name, CREATES),
        )
        for _ in range(KILLS):
            time.sleep(lottery.uniform(1.0, 6.0))
            node.kill()
            node.start()
        eventually(
            lambda: kept(node) and running(control_plane, namespace) == CREATES,
            "all pods run",
            timeout=600.0,
        )
        ledger = eci.ledger()
        assert billed_twice(ledger) == []
        assert len(eci.living()) == CREATES
        assert [call for call in ledger["calls"] if call["action"] == DELETE] == []
        eci.set_faults()
        control_plane.kubectl("delete", "deployment", "web", f"-n={namespace}")
        eventually(lambda: kept(node) and not eci.living(), "nothing is billed", timeout=300.0)
        assert billed_twice(eci.ledger()) == []
        eventually(
            lambda: kept(node) and not pods(control_plane, namespace),
            "no pod is left",
            timeout=120.0,
        )
        node.stop()  # its last events must not meet a namespace that is going
        creates = [call for call in eci.ledger()["calls"] if call["action"] == CREATE]
        lost = sum(call["fault"] == "lost_reply" for call in creates)
        print(f"{CREATES} pods, {KILLS} kills: {len(creates)} creates, {lost} answers lost")


@pytest.mark.parametrize("name", ["role.yaml", "access-key.yaml", "virtual-nodes-2018.yaml"])
def test_the_api_server_takes_the_manifests(control_plane: ControlPlane, name: str) -> None:
    """Strictly: a field that it does not know is an error."""
    path = ROOT / "examples" / "deploy" / "alibabacloud" / name
    control_plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(path))
