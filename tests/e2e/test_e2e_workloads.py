"""What users run works on the node: pods, controllers of workloads, services, deletions."""

from __future__ import annotations

from collections.abc import Callable

import manifests
import pytest
from node_process import ROOT, NodeProcess

from vk.testing.control_plane import ControlPlane, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

Kubectl = Callable[..., str]


@pytest.fixture
def kubectl(control_plane: ControlPlane, namespace: str) -> Kubectl:
    """Run kubectl in the test's namespace."""

    def run(*arguments: str, input: str | None = None) -> str:
        return control_plane.kubectl(f"--namespace={namespace}", *arguments, input=input)

    return run


def is_gone(control_plane: ControlPlane, *arguments: str) -> bool:
    """Return whether ``kubectl get`` finds nothing."""
    return not control_plane.kubectl("get", *arguments, "--ignore-not-found", "-o=name").strip()


def test_example_pod_runs(node: NodeProcess, kubectl: Kubectl) -> None:
    """The pod of examples/nginx.yaml is scheduled to the node, runs, and goes when deleted."""
    kubectl("apply", "-f", str(ROOT / "examples" / "nginx.yaml"))
    kubectl("wait", "--for=condition=Ready", "pod/nginx", "--timeout=60s")
    fields = kubectl("get", "pod", "nginx", "-o=jsonpath={.status.phase} {.spec.nodeName}")
    assert fields.split() == ["Running", node.name]
    kubectl("delete", "pod", "nginx", "--timeout=60s")


def test_deployment_scales_up_and_down(node: NodeProcess, kubectl: Kubectl) -> None:
    """A Deployment goes from 0 to 50 ready pods and back to none."""
    kubectl("apply", "-f", "-", input=manifests.workload("Deployment", "web", node.name, 0))
    kubectl("scale", "deployment/web", "--replicas=50")
    kubectl("rollout", "status", "deployment/web", "--timeout=90s")
    kubectl("scale", "deployment/web", "--replicas=0")
    kubectl("wait", "--for=delete", "pod", "-l=app=web", "--timeout=90s")


def test_job_completes(node: NodeProcess, kubectl: Kubectl) -> None:
    """A Job whose pod ends with exit code 0 is complete."""
    job = manifests.thing("batch/v1", "Job", "once", spec=manifests.job_spec(node.name))
    kubectl("apply", "-f", "-", input=job)
    kubectl("wait", "--for=condition=Complete", "job/once", "--timeout=60s")


def test_stateful_set_replaces_a_deleted_pod_of_the_same_name(
    node: NodeProcess, kubectl: Kubectl
) -> None:
    """The new pod of the old name is another pod, and runs."""
    kubectl("apply", "-f", "-", input=manifests.workload("StatefulSet", "db", node.name, 1))
    kubectl("rollout", "status", "statefulset/db", "--timeout=60s")
    uid = kubectl("get", "pod", "db-0", "-o=jsonpath={.metadata.uid}")
    kubectl("delete", "pod", "db-0", "--timeout=60s")
    kubectl("wait", "--for=create", "pod/db-0", "--timeout=60s")
    kubectl("wait", "--for=condition=Ready", "pod/db-0", "--timeout=60s")
    assert kubectl("get", "pod", "db-0", "-o=jsonpath={.metadata.uid}") != uid


def test_service_gets_the_pods_as_endpoints(
    control_plane: ControlPlane, node: NodeProcess, kubectl: Kubectl, namespace: str
) -> None:
    """The endpoint slices of a Service hold the addresses of the ready pods."""
    kubectl("apply", "-f", "-", input=manifests.workload("Deployment", "web", node.name, 2))
    kubectl("expose", "deployment/web", "--port=80")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    path = "-o=jsonpath={.items[*].status.podIP}"
    addresses = sorted(kubectl("get", "pods", "-l=app=web", path).split())
    assert len(set(addresses)) == 2

    def ready_addresses() -> list[str]:
        selector = "kubernetes.io/service-name=web"
        slices = control_plane.get("endpointslices", f"-n={namespace}", f"-l={selector}")
        endpoints = [end for one in slices["items"] for end in one["endpoints"] or ()]
        ready = [end for end in endpoints if end["conditions"]["ready"]]
        return sorted(address for end in ready for address in end["addresses"])

    eventually(lambda: ready_addresses() == addresses, "the Service has both pods as endpoints")


def test_namespace_deletion_ends(
    control_plane: ControlPlane, node: NodeProcess, kubectl: Kubectl, namespace: str
) -> None:
    """A namespace with pods can be deleted; none of them hangs in Terminating."""
    kubectl("apply", "-f", "-", input=manifests.workload("Deployment", "web", node.name, 5))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    control_plane.kubectl("delete", "namespace", namespace, "--timeout=90s")
    assert is_gone(control_plane, "namespace", namespace)


def test_a_refused_pod_of_a_daemon_set_stays_pending_and_is_not_replaced(
    node: NodeProcess, kubectl: Kubectl
) -> None:
    """And its owner is told once, also of the pods of a later rollout."""
    selector = {"matchLabels": {"app": "web"}}
    spec = {"selector": selector, "template": manifests.template(node.name)}
    kubectl("apply", "-f", "-", input=manifests.thing("apps/v1", "DaemonSet", "agent", spec=spec))
    refused = ("pods", "-l=app=web", "--for=condition=DaemonSetRefused", "--timeout=60s")
    kubectl("wait", "--for=create", "pods", "-l=app=web", "--timeout=60s")
    kubectl("wait", *refused)
    of_pods = (
        "get",
        "pods",
        "-l=app=web",
        "-o=jsonpath={.items[*]['metadata.uid','status.phase']}",
    )
    before = kubectl(*of_pods).split()
    assert before[1:] == ["Pending"]

    def settle(change: str) -> None:
        """Change the DaemonSet, and wait until its controller has acted on it."""
        kubectl("patch", "daemonset", "agent", "--type=merge", "-p", change)
        wanted = kubectl("get", "daemonset", "agent", "-o=jsonpath={.metadata.generation}")
        seen = f"--for=jsonpath={{.status.observedGeneration}}={wanted}"
        kubectl("wait", "daemonset/agent", seen, "--timeout=60s")

    settle('{"spec": {"minReadySeconds": 1}}')
    counts = "{.status.desiredNumberScheduled} {.status.numberUnavailable}"
    assert kubectl("get", "daemonset", "agent", f"-o=jsonpath={counts}") == "1 1"
    assert kubectl(*of_pods).split() == before

    settle('{"spec": {"template": {"metadata": {"annotations": {"rollout": "second"}}}}}')

    def pod_is_new() -> bool:
        after = kubectl(*of_pods).split()
        return len(after) == 2 and after[0] != before[0]

    eventually(pod_is_new, "the rollout goes on")
    kubectl("wait", *refused)
    events = ("get", "events", "--field-selector=reason=DaemonSetRefused")
    eventually(lambda: kubectl(*events, "-o=name"), "the owner is told")
    assert kubectl(*events, "-o=jsonpath={.items[*].count}") == "1"
    assert "type NotIn [virtual-kubelet]" in kubectl(*events, "-o=jsonpath={.items[*].message}")
