"""The lease is lost, or cannot be renewed: nothing is done twice, and no pod is lost."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import manifests
import pytest
from eci_emulator import Emulator
from forwarder import Forwarder
from node_process import NodeProcess, StartNode

from vk.node.lease import REPLICA, replica_of
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

    thief = json.dumps({"metadata": {"annotations": {REPLICA: "thief"}}})
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
    lease = control_plane.get(*one)
    assert (lease["spec"]["holderIdentity"], replica_of(lease)) == (node.name, "loser")
    assert len(eci.calls(CREATE)) == len(eci.living()) == 1
    control_plane.kubectl("delete", "pod", "one", f"-n={namespace}", "--timeout=60s")
    assert eci.living() == []


@pytest.mark.field
@pytest.mark.parametrize("durable", [True, False])
def test_an_outage_longer_than_the_lease_changes_no_pod(
    control_plane: ControlPlane,
    make_node: StartNode,
    namespace: str,
    tmp_path: Path,
    durable: bool,
) -> None:
    """The process goes on; it leaves a durable provider: leaving another would end its pods."""
    address = urlsplit(control_plane.url)
    assert address.hostname is not None and address.port is not None
    state = ("--set", f"state={tmp_path / 'state'}") if durable else ()
    node = make_node("", "--node-lease-duration", "3s", *state)
    with Forwarder((address.hostname, address.port)) as forwarder:
        text = node.kubeconfig.read_text().replace(str(address.port), str(forwarder.port))
        node.kubeconfig = tmp_path / "kubeconfig"
        node.kubeconfig.write_text(text)
        forwarder.open()
        node.start()
        node.wait_ready()
        one = ("pod", "one", f"-n={namespace}")
        manifest = manifests.pod("one", node.name)
        control_plane.kubectl("apply", f"-n={namespace}", "-f", "-", input=manifest)
        control_plane.kubectl("wait", "--for=condition=Ready", "--timeout=60s", *one)
        before = control_plane.get(*one)["status"]["containerStatuses"]

        forwarder.cut()
        eventually(lambda: outage(node) > 60, "the outage lasts longer than the lease")
        assert bool(node.said("lease lost")) == durable
        forwarder.open()
        manifest = manifests.pod("two", node.name)
        control_plane.kubectl("apply", f"-n={namespace}", "-f", "-", input=manifest)
        two = ("pod", "two", f"-n={namespace}")
        control_plane.kubectl("wait", "--for=condition=Ready", "--timeout=60s", *two)
        node.check()
        assert control_plane.get(*one)["status"]["containerStatuses"] == before


def outage(node: NodeProcess) -> int:
    """Return how often the lease could not be reached."""
    return len(node.said("cannot renew the node's lease")) + len(
        node.said("cannot reach the node's lease")
    )
