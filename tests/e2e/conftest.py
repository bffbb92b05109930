"""Fixtures of the end-to-end tests: a cluster with our RBAC applied, namespaces, nodes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from node_process import DEPLOY, NodeProcess, StartNode

from vk.testing.control_plane import ControlPlane

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def kubeconfig(control_plane: ControlPlane) -> Path:
    """Kubeconfig of the ServiceAccount that examples/deploy describes."""
    control_plane.kubectl("apply", "-f", str(DEPLOY / "rbac.yaml"))
    return control_plane.kubeconfig_for_service_account("kube-system", "vk")


@pytest.fixture
def make_node(control_plane: ControlPlane, kubeconfig: Path, tmp_path: Path) -> Iterator[StartNode]:
    """Return a function that makes a NodeProcess; all end with the test, their Nodes go too."""
    made: list[NodeProcess] = []

    def make(name: str = "", *flags: str, replica: str = "first") -> NodeProcess:
        name = name or f"vk-{next(_numbers)}"
        node = NodeProcess(control_plane, name, kubeconfig, tmp_path, flags=flags, replica=replica)
        made.append(node)
        return node

    yield make
    for node in made:
        node.kill()
        print(f"--- log of {node.name}, replica {node.replica}:")
        print(node.log.read_text(errors="replace")[-6000:] if node.log.exists() else "not started")
    for name in {node.name for node in made}:
        control_plane.kubectl("delete", "node", name, "--ignore-not-found")


@pytest.fixture
def node(make_node: StartNode) -> NodeProcess:
    """A running, ready node."""
    one = make_node()
    one.start()
    one.wait_ready()
    return one


@pytest.fixture
def namespace(control_plane: ControlPlane, kubeconfig: Path) -> Iterator[str]:
    """A namespace whose pods may refer to ConfigMaps and Secrets; deleted without a wait."""
    name = f"test-{next(_numbers)}"
    control_plane.kubectl("create", "namespace", name)
    control_plane.kubectl(
        "create", "rolebinding", "vk-references", "--clusterrole=vk-references",
        "--serviceaccount=kube-system:vk", f"--namespace={name}",
    )  # fmt: skip
    control_plane.kubectl("wait", "--for=create", "serviceaccount/default", f"-n={name}")
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
    # A node that has ended can confirm no deletion; force removes what is left at once.
    control_plane.kubectl(
        "delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false", f"-n={name}"
    )
