"""Fixtures of the end-to-end tests: a cluster with our RBAC applied, namespaces, nodes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from eci_emulator import Emulator, emulator
from node_process import DEPLOY, NodeProcess, StartNode

from vk.testing.control_plane import ControlPlane

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def kubeconfig(control_plane: ControlPlane) -> Path:
    """Kubeconfig of the ServiceAccount that examples/deploy describes."""
    control_plane.kubectl("apply", "-f", str(DEPLOY / "rbac.yaml"))
    return control_plane.kubeconfig_for_service_account("kube-system", "vk")


@pytest.fixture
def restored_roles(control_plane: ControlPlane, kubeconfig: Path) -> Iterator[None]:
    """For tests that change or delete what examples/deploy names: at the end it is there again.

    The account's kubeconfig gets a new token.
    """
    yield
    control_plane.kubectl("apply", "-f", str(DEPLOY / "rbac.yaml"))
    assert control_plane.kubeconfig_for_service_account("kube-system", "vk") == kubeconfig


@contextmanager
def nodes(control_plane: ControlPlane, kubeconfig: Path, folder: Path) -> Iterator[StartNode]:
    """Give a function that makes a NodeProcess; at the end all end, their Nodes go too."""
    made: list[NodeProcess] = []

    def make(name: str = "", *flags: str, **more: Any) -> NodeProcess:
        name, account = name or f"vk-{next(_numbers)}", more.pop("kubeconfig", kubeconfig)
        node = NodeProcess(control_plane, name, account, folder, flags=flags, **more)
        made.append(node)
        return node

    try:
        yield make
    finally:
        for node in made:
            node.kill()
            print(f"--- log of {node.name}, replica {node.replica}:")
            print("\n".join(node.lines())[-6000:] or "not started")
        for name in {node.name for node in made}:
            control_plane.kubectl("delete", "node", name, "--ignore-not-found")


@pytest.fixture
def make_node(control_plane: ControlPlane, kubeconfig: Path, tmp_path: Path) -> Iterator[StartNode]:
    """Return a function that makes a NodeProcess; all end with the test, their Nodes go too."""
    with nodes(control_plane, kubeconfig, tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def make_lasting_node(
    control_plane: ControlPlane, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartNode]:
    """As `make_node`, for nodes that live through all tests of a module."""
    with nodes(control_plane, kubeconfig, tmp_path_factory.mktemp("nodes")) as make:
        yield make


@pytest.fixture
def eci() -> Iterator[Emulator]:
    """The service of Alibaba Cloud ECI, ten times as fast."""
    with emulator("--speed=10", "--rates=0") as running:
        yield running


@pytest.fixture
def node(make_node: StartNode) -> NodeProcess:
    """A running, ready node."""
    one = make_node()
    one.start()
    one.wait_ready()
    return one


@contextmanager
def temporary_namespace(control_plane: ControlPlane) -> Iterator[str]:
    """Make a namespace in which vk may read what pods refer to; delete it without a wait."""
    name = f"test-{next(_numbers)}"
    control_plane.kubectl("create", "namespace", name)
    control_plane.kubectl("apply", "-f", str(DEPLOY / "namespace.yaml"), f"--namespace={name}")
    control_plane.kubectl("wait", "--for=create", "serviceaccount/default", f"-n={name}")
    try:
        yield name
    finally:
        delete = ("delete", "namespace", name, "--wait=false", "--ignore-not-found")
        control_plane.kubectl(*delete)
        # A node that has ended can confirm no deletion; force removes what is left at once.
        force = ("--all", "--force", "--grace-period=0", "--wait=false")
        control_plane.kubectl("delete", "pods", *force, f"-n={name}")


@pytest.fixture
def namespace(control_plane: ControlPlane, kubeconfig: Path) -> Iterator[str]:
    """A namespace in which vk may read what pods refer to; deleted without a wait."""
    with temporary_namespace(control_plane) as name:
        yield name


@pytest.fixture(scope="module")
def lasting_namespace(control_plane: ControlPlane, kubeconfig: Path) -> Iterator[str]:
    """As `namespace`, for all tests of a module."""
    with temporary_namespace(control_plane) as name:
        yield name
