"""Names of nodes at their limits, judged by the real API server."""

from __future__ import annotations

import json

import attrs
import pytest
from node_process import StartNode

from vk.testing.control_plane import ControlPlane

pytestmark = [pytest.mark.e2e, pytest.mark.field, pytest.mark.slow, pytest.mark.timeout(240)]


def test_a_node_whose_name_no_label_can_hold_runs_pods(
    control_plane: ControlPlane, make_node: StartNode, lasting_namespace: str
) -> None:
    node = attrs.evolve(make_node(), name="n" * 70)
    spec = {"nodeName": node.name, "containers": [{"name": "c", "image": "i"}]}
    spec["tolerations"] = [{"operator": "Exists"}]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    kubectl = control_plane.kubectl
    try:
        node.start()
        node.wait_ready()
        kubectl("apply", "-n", lasting_namespace, "-f", "-", input=json.dumps(pod))
        kubectl("wait", "-n", lasting_namespace, "--for=condition=Ready", "pod/p", "--timeout=60s")
        found = json.loads(kubectl("get", "node", node.name, "-o", "json"))
        assert "kubernetes.io/hostname" not in found["metadata"]["labels"]
    finally:
        node.kill()
        kubectl("delete", "node", node.name, "--ignore-not-found")
