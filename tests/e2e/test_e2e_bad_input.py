"""What a cluster may put in a node's way: none of it stops the node or its other pods."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from forwarder import Forwarder
from node_process import NodeProcess, StartNode
from recorder import READY, Recorder

from vk.testing.control_plane import ControlPlane, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_an_api_server_that_is_away_at_the_start_is_waited_for(
    control_plane: ControlPlane, make_node: StartNode, kubeconfig: Path, tmp_path: Path
) -> None:
    """It is tried again and again, said once, and the node is Ready soon after it is there."""
    address = urlsplit(control_plane.url)
    assert address.hostname is not None and address.port is not None
    with Forwarder((address.hostname, address.port)) as forwarder:
        text = kubeconfig.read_text()
        assert str(address.port) in text
        path = tmp_path / "kubeconfig"
        path.write_text(text.replace(str(address.port), str(forwarder.port)))
        node = make_node(kubeconfig=path)
        node.start()
        eventually(lambda: node.said("cannot reach the cluster"), "the node says what it lacks")
        forwarder.open()
        node.wait_ready(timeout=40.0)
        assert len(node.said("cannot reach the cluster")) == 1
        assert node.stop() == 0


def test_a_node_that_somebody_calls_unknown_is_ready_again_within_two_seconds(
    control_plane: ControlPlane, node: NodeProcess, tmp_path: Path
) -> None:
    """As the node controller does it to a node whose lease it missed."""
    recorder = Recorder(control_plane, tmp_path / "readiness", READY, ("node", node.name))
    condition = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}
    patch = json.dumps({"status": {"conditions": [condition]}})
    with recorder:
        control_plane.kubectl(
            *("patch", "node", node.name, "--subresource=status", "--type=strategic"),
            f"--patch={patch}",
        )
        wanted = ["True", "Unknown", "True"]
        eventually(
            lambda: changes(recorder.states()) == wanted, "the node is Ready again", timeout=2.0
        )
    (ready,) = [
        one
        for one in control_plane.get("node", node.name)["status"]["conditions"]
        if one["type"] == "Ready"
    ]
    assert ready["reason"] == "KubeletReady"


def changes(states: list[str]) -> list[str]:
    """Return the states without those that equal the one before."""
    return [one for number, one in enumerate(states) if states[number - 1 : number] != [one]]
