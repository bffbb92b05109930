"""A node of Alibaba Cloud on a real control plane, with the emulator for the service."""

from __future__ import annotations

import json

import manifests
import pytest
from eci_emulator import Emulator
from eci_node import apply, start
from node_process import ROOT, StartNode

from vk.testing.control_plane import ControlPlane, eventually
from vk_providers.alibabacloud.emulator import billed_twice

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]


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


@pytest.mark.parametrize("name", ["role.yaml", "access-key.yaml", "virtual-nodes-2018.yaml"])
def test_the_api_server_takes_the_manifests(control_plane: ControlPlane, name: str) -> None:
    """Strictly: a field that it does not know is an error."""
    path = ROOT / "examples" / "deploy" / "alibabacloud" / name
    control_plane.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(path))
