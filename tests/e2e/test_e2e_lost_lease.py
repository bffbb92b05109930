"""The lease is lost while a call to the provider is on its way: nothing is done twice."""

from __future__ import annotations

import json

import manifests
import pytest
from eci_emulator import Emulator
from node_process import StartNode

from vk.testing.control_plane import ControlPlane, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

CREATE = "CreateContainerGroup"
SLOW = {"kind": "delay", "actions": [CREATE], "seconds": 5.0, "done": False}
"""Longer than a lease: neither the group nor an answer is there before."""


def test_a_lease_lost_in_the_middle_of_a_create_ends_the_process_and_creates_nothing_twice(
    control_plane: ControlPlane, make_node: StartNode, namespace: str, eci: Emulator
) -> None:
    """The call ends, exit code 1, not a word to the API server; the successor adopts the pod."""
    flags = ("--node-lease-duration", "3s", *eci.flags())
    loser = make_node("", *flags, provider="alibabacloud", replica="loser")
    loser.start()
    loser.wait_ready()
    eci.set_faults(SLOW)
    manifest = manifests.pod("one", loser.name)
    control_plane.kubectl("apply", f"-n={namespace}", "-f", "-", input=manifest)
    eventually(lambda: eci.calls(CREATE), "the create is on its way")

    thief = json.dumps({"spec": {"holderIdentity": "thief"}})
    one = ("lease", loser.name, "--namespace=kube-node-lease")
    control_plane.kubectl("patch", *one, "--type=merge", f"--patch={thief}")
    assert eci.living() == []
    assert loser.wait_end() == 1
    assert loser.lines()[-1] == (f"vk: error: lost the lease of node {loser.name}: thief holds it")
    assert len(eci.living()) == 1  # the call in flight was not cut off
    status = control_plane.get("pod", "one", f"-n={namespace}")["status"]
    assert status["phase"] == "Pending"
    assert "startTime" not in status
    assert control_plane.get(*one)["spec"]["holderIdentity"] == "thief"

    successor = make_node(loser.name, *flags, provider="alibabacloud", replica="successor")
    successor.start()
    ready = ("--for=condition=Ready", "pod/one", "--timeout=60s")
    control_plane.kubectl("wait", *ready, f"-n={namespace}")
    successor.check()
    assert len(eci.calls(CREATE)) == len(eci.living()) == 1
    control_plane.kubectl("delete", "pod", "one", f"-n={namespace}", "--timeout=60s")
    assert eci.living() == []
