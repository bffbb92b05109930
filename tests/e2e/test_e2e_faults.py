"""The node survives what goes wrong around it: lost objects, dead processes, a dead API server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import manifests
import pytest
from node_process import NodeProcess, StartNode
from recorder import REPLICA

from vk.testing.control_plane import ControlPlane, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(240)]


def apply(control_plane: ControlPlane, namespace: str, manifest: str) -> None:
    """Apply one manifest in the namespace."""
    control_plane.kubectl("apply", f"--namespace={namespace}", "-f", "-", input=manifest)


def wait_for_pod(control_plane: ControlPlane, namespace: str, name: str) -> None:
    """Wait until the pod is ready."""
    pod, timeout = f"pod/{name}", "--timeout=60s"
    control_plane.kubectl("wait", "--for=condition=Ready", pod, f"-n={namespace}", timeout)


def identities(control_plane: ControlPlane, namespace: str) -> dict[str, Any]:
    """Return what must stay the same of each pod over a restart of the node, by UID."""
    pods = control_plane.get("pods", f"--namespace={namespace}")["items"]
    return {
        pod["metadata"]["uid"]: (
            pod["status"]["phase"],
            pod["status"].get("startTime"),
            pod["status"].get("podIP"),
            [one["restartCount"] for one in pod["status"].get("containerStatuses", ())],
            [one["state"] for one in pod["status"].get("containerStatuses", ())],
        )
        for pod in pods
    }


def holder(control_plane: ControlPlane, node: str) -> str:
    """Return who holds the node's lease."""
    path = f"-o=jsonpath={REPLICA}"
    return control_plane.kubectl("get", "lease", node, "-n=kube-node-lease", path)


def test_deleted_node_comes_back(control_plane: ControlPlane, node: NodeProcess) -> None:
    """A Node object that another writer deletes is there again, and Ready, within 10 s."""
    uid = control_plane.get("node", node.name)["metadata"]["uid"]
    control_plane.kubectl("delete", "node", node.name)

    def back() -> bool:
        found = control_plane.get("node", node.name)
        conditions = {one["type"]: one["status"] for one in found["status"]["conditions"]}
        return bool(found["metadata"]["uid"] != uid and conditions["Ready"] == "True")

    eventually(back, "the node is back", timeout=10.0)


def test_what_another_writer_removes_from_the_node_is_put_back(
    control_plane: ControlPlane, node: NodeProcess
) -> None:
    """A label that pods are bound by, and the taint that keeps others away."""
    labels = control_plane.get("node", node.name)["metadata"]["labels"]
    taints = control_plane.get("node", node.name)["spec"]["taints"]
    control_plane.kubectl("label", "node", node.name, "kubernetes.io/hostname-", "type-")
    control_plane.kubectl("taint", "node", node.name, "virtual-kubelet.io/provider-")

    def back() -> bool:
        found = control_plane.get("node", node.name)
        return bool(found["metadata"]["labels"] == labels and found["spec"].get("taints") == taints)

    eventually(back, "labels and taint are back", timeout=10.0)


def test_restart_of_the_api_server_changes_no_pod(
    control_plane: ControlPlane, node: NodeProcess, namespace: str
) -> None:
    """Pods stay as they were, and new ones run, after the API server was away."""
    apply(control_plane, namespace, manifests.pod("before", node.name))
    wait_for_pod(control_plane, namespace, "before")
    earlier = identities(control_plane, namespace)
    control_plane.restart_api_server()
    apply(control_plane, namespace, manifests.pod("after", node.name))
    wait_for_pod(control_plane, namespace, "after")
    node.check()
    assert earlier.items() <= identities(control_plane, namespace).items()


def test_killed_process_recreates_nothing(
    control_plane: ControlPlane, make_node: StartNode, namespace: str, tmp_path: Path
) -> None:
    """After SIGKILL and a restart all 50 pods are the same ones, with no restart counted.

    The new process does not wait for the old one's lease of 30 s to run out.
    """
    node = make_node("", "--set", f"state={tmp_path / 'mock-state'}")
    node.start()
    node.wait_ready()
    apply(control_plane, namespace, manifests.workload("Deployment", "web", node.name, 50))
    status = ("rollout", "status", "deployment/web", "--timeout=90s")
    control_plane.kubectl(*status, f"--namespace={namespace}")
    earlier = identities(control_plane, namespace)
    node.kill()
    began = time.monotonic()
    node.start()
    # A pod of after the restart runs only once the new process works; and it is one of its queue.
    apply(control_plane, namespace, manifests.pod("after", node.name))
    wait_for_pod(control_plane, namespace, "after")
    assert time.monotonic() - began < 25.0
    later = identities(control_plane, namespace)
    assert len(earlier) == 50
    assert all(counts == [0] for _, _, _, counts, _ in later.values())
    assert earlier.items() <= later.items()
    assert len(later) == 51


def test_clean_stop_leaves_pods_alone_and_gives_the_lease_free(
    control_plane: ControlPlane, make_node: StartNode, namespace: str, tmp_path: Path
) -> None:
    """SIGTERM ends the process with 0; pods and the node's Ready stay, the lease has no holder."""
    node = make_node("", "--set", f"state={tmp_path / 'mock-state'}")
    node.start()
    node.wait_ready()
    apply(control_plane, namespace, manifests.pod("stays", node.name))
    wait_for_pod(control_plane, namespace, "stays")
    earlier = identities(control_plane, namespace)
    assert node.stop() == 0
    assert holder(control_plane, node.name) == ""
    assert identities(control_plane, namespace) == earlier
    conditions = control_plane.get("node", node.name)["status"]["conditions"]
    assert [one["status"] for one in conditions if one["type"] == "Ready"] == ["True"]


def test_standby_waits_and_takes_over_from_a_killed_holder(
    control_plane: ControlPlane, make_node: StartNode, namespace: str
) -> None:
    """Only one of two replicas acts; when it dies the other one, at another address, takes over."""
    lease = ("--node-lease-duration", "5s")
    first = make_node("", *lease, replica="first")
    first.start()
    first.wait_ready()
    second = make_node(first.name, *lease, replica="second")
    second.address = "127.0.0.2"
    second.start()
    eventually(
        lambda: "waiting for the node's lease" in second.log.read_text(), "the standby waits"
    )
    assert "first" in holder(control_plane, first.name)
    first.kill()

    def second_holds() -> bool:
        second.check()
        return "second" in holder(control_plane, first.name)

    eventually(second_holds, "the standby holds the lease", timeout=20.0)
    apply(control_plane, namespace, manifests.pod("one", first.name))
    wait_for_pod(control_plane, namespace, "one")
    addresses = control_plane.get("node", first.name)["status"]["addresses"]
    assert [one["address"] for one in addresses if one["type"] == "InternalIP"] == ["127.0.0.2"]
