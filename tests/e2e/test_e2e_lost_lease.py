"""The lease is lost while a call to the provider is in flight: nothing is done twice."""

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


def test_a_lease_lost_in_the_middle_of_a_create_ends_the_term_and_creates_nothing_twice(
    control_plane: ControlPlane, make_node: StartNode, namespace: str, eci: Emulator
) -> None:
    """The call ends, nothing is written to the API server, and the process is a standby again.

    The thief never renews: after a whole duration the process holds the lease again, and adopts the
    group that the call in flight has made.
    """
    flags = ("--node-lease-duration", "3s", *eci.flags())
    node = make_node("", *flags, provider="alibabacloud", replica="loser")
    node.start()
    node.wait_ready()
    eci.set_faults(SLOW)
    manifest = manifests.pod("one", node.name)
    control_plane.kubectl("apply", f"-n={namespace}", "-f", "-", input=manifest)
    eventually(lambda: eci.calls(CREATE), "the create is on its way")

    thief = json.dumps({"spec": {"holderIdentity": "thief"}})
    one = ("lease", node.name, "--namespace=kube-node-lease")
    control_plane.kubectl("patch", *one, "--type=merge", f"--patch={thief}")
    assert eci.living() == []
    eventually(lambda: node.said("lease lost"), "the lease is seen to be lost")
    eventually(lambda: len(node.said("waiting for the node's lease")) == 2, "it is a standby")
    assert len(eci.living()) == 1  # the call in flight was not cut off
    status = control_plane.get("pod", "one", f"-n={namespace}")["status"]
    assert status["phase"] == "Pending"
    assert "startTime" not in status

    ready = ("--for=condition=Ready", "pod/one", "--timeout=60s")
    control_plane.kubectl("wait", *ready, f"-n={namespace}")
    node.check()
    holder = control_plane.get(*one)["spec"]["holderIdentity"]
    assert holder == "loser"
    assert len(eci.calls(CREATE)) == len(eci.living()) == 1
    control_plane.kubectl("delete", "pod", "one", f"-n={namespace}", "--timeout=60s")
    assert eci.living() == []
