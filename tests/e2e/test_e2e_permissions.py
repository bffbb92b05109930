"""A node that may not do what it must says which verb and resource it lacks, and waits for it."""

from __future__ import annotations

import json
from functools import partial

import manifests
import pytest
from accounts import Account
from eci_emulator import Emulator
from node_process import StartNode
from recorder import REPLICA

from vk.testing.control_plane import ControlPlane, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_a_missing_permission_is_named_with_verb_and_resource(
    control_plane: ControlPlane, make_node: StartNode
) -> None:
    """One each, all at once; none of them ends the process, and a signal still does."""
    lacking = {
        ("namespaces", "get"): "get namespaces kube-system: 403 Forbidden",
        ("leases", "get"): "get leases {node}: 403 Forbidden",
        ("pods", "list"): "list pods: 403 Forbidden",
        ("nodes", "create"): "create nodes: 403 Forbidden",
    }
    nodes = {}
    for (resource, verb), told in lacking.items():
        account = Account(control_plane).without(resource, verb)
        nodes[resource, verb, told] = node = make_node(kubeconfig=account)
        node.start()
    for (resource, verb, told), node in nodes.items():
        text = told.format(node=node.name)
        (line, *_) = eventually(partial(node.said, text), text)
        assert f'cannot {verb} resource \\"{resource}\\"' in line
        assert json.loads(line)["level"] in ("WARNING", "ERROR")
        assert node.stop() == 0


def test_no_pod_is_created_before_the_services_are_known(
    control_plane: ControlPlane, make_node: StartNode, namespace: str, eci: Emulator
) -> None:
    """B6: else it would lack the services' variables for good, without a word."""
    account = Account(control_plane)
    node = make_node(
        "",
        *("--node-lease-duration", "3s", *eci.flags(exec_exit_code="wrap")),
        kubeconfig=account.without("services", "list", "watch"),
        provider="alibabacloud",
    )
    control_plane.kubectl("create", "service", "clusterip", "db", "--tcp=5432", f"-n={namespace}")
    node.start()
    eventually(lambda: node.said("list services: 403 Forbidden"), "the missing right is named")
    eventually(lambda: holder(control_plane, node.name), "the node's lease is held")
    # Without a token, for which the account would need another right.
    pod = json.loads(manifests.pod("one", node.name, automountServiceAccountToken=False))
    pod["spec"]["nodeName"] = node.name
    control_plane.kubectl("apply", f"-n={namespace}", "-f", "-", input=json.dumps(pod))
    # It tries again, so it is past its start; and still there is no node, and nothing was created.
    tries = len(node.said("list services: 403 Forbidden"))
    eventually(lambda: len(node.said("list services: 403 Forbidden")) > tries + 1, "it tries again")
    assert eci.calls("CreateContainerGroup") == []

    account.grant()
    ready = ("--for=condition=Ready", "pod/one", "--timeout=90s")
    control_plane.kubectl("wait", *ready, f"-n={namespace}")
    shown = control_plane.kubectl("exec", "one", f"-n={namespace}", "--", "env").splitlines()
    assert "DB_SERVICE_PORT=5432" in shown
    assert any(line.startswith("KUBERNETES_SERVICE_HOST=") for line in shown)


def holder(control_plane: ControlPlane, node: str) -> str:
    """Return who holds the node's lease."""
    path = f"-o=jsonpath={REPLICA}"
    return control_plane.kubectl("get", "lease", node, "-n=kube-node-lease", path)
