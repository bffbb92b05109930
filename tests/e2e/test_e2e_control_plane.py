"""The test control plane itself: what the other end-to-end tests take for granted."""

from __future__ import annotations

from pathlib import Path

import pytest

from vk.testing.control_plane import CommandError, ControlPlane

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_controllers_work(control_plane: ControlPlane, namespace: str) -> None:
    """The controller manager gives each namespace its service account and the cluster's CA."""
    for thing in ("serviceaccount/default", "configmap/kube-root-ca.crt"):
        control_plane.kubectl("wait", "--for=create", thing, f"--namespace={namespace}")


def test_rights_are_the_documented_ones(control_plane: ControlPlane, kubeconfig: Path) -> None:
    """The node's ServiceAccount may patch nodes, and reads no secrets it was not given."""
    account = f"--kubeconfig={kubeconfig}"
    assert control_plane.kubectl(account, "auth", "can-i", "patch", "nodes").strip() == "yes"
    with pytest.raises(CommandError):  # which is how it says no
        control_plane.kubectl(account, "auth", "can-i", "list", "secrets", "-n=kube-system")


def test_api_server_comes_back_with_its_data(control_plane: ControlPlane, namespace: str) -> None:
    """A restart loses nothing."""
    control_plane.restart_api_server()
    assert namespace in control_plane.kubectl("get", "namespaces")
