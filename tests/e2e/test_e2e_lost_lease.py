"""The lease is lost while a call to the provider is on its way: nothing is done twice."""

from __future__ import annotations

import json
from pathlib import Path

import manifests
import pytest
from ledger import Ledger
from node_process import StartNode

from vk.testing.control_plane import ControlPlane, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_a_lease_lost_in_the_middle_of_a_create_ends_the_process_and_creates_nothing_twice(
    control_plane: ControlPlane, make_node: StartNode, namespace: str, tmp_path: Path
) -> None:
    """The call ends, exit code 1, not a word to the API server; the successor adopts the pod."""
    ledger = Ledger(tmp_path)
    lease = ("--node-lease-duration", "3s")
    common = {"provider": "ledger", "environment": ledger.environment()}
    loser = make_node("", *lease, *ledger.flags(hold=True), replica="loser", **common)
    loser.start()
    loser.wait_ready()
    manifest = manifests.pod("one", loser.name)
    control_plane.kubectl("apply", f"-n={namespace}", "-f", "-", input=manifest)
    eventually(lambda: ledger.lines("create"), "the create is on its way")
    assert ledger.lines("runs") == []

    thief = json.dumps({"spec": {"holderIdentity": "thief"}})
    one = ("lease", loser.name, "--namespace=kube-node-lease")
    control_plane.kubectl("patch", *one, "--type=merge", f"--patch={thief}")
    assert loser.wait_end() == 1
    assert loser.lines()[-1] == (f"vk: error: lost the lease of node {loser.name}: thief holds it")
    assert len(ledger.lines("runs")) == 1  # the call in flight was not cut off
    status = control_plane.get("pod", "one", f"-n={namespace}")["status"]
    assert status["phase"] == "Pending"
    assert "startTime" not in status
    assert control_plane.get(*one)["spec"]["holderIdentity"] == "thief"

    successor = make_node(loser.name, *lease, *ledger.flags(), replica="successor", **common)
    successor.start()
    ready = ("--for=condition=Ready", "pod/one", "--timeout=60s")
    control_plane.kubectl("wait", *ready, f"-n={namespace}")
    successor.check()
    assert len(ledger.lines("create")) == 1
    control_plane.kubectl("delete", "pod", "one", f"-n={namespace}", "--timeout=60s")
    assert len(ledger.lines("delete")) == 1
