"""A chart-like pod: what it refers to is there, and follows what changes, on a real control plane.

The process provider mounts everything; the mock keeps the files and shows them.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import chart
import manifests
import pytest
from accounts import Account
from node_process import NodeProcess, StartNode

from vk.testing.control_plane import CommandError, ControlPlane, eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed"),
]

Kubectl = Callable[..., str]
TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    """A folder for pods and claims that is not below /tmp, which containers have for themselves."""
    folder = Path(tempfile.mkdtemp(prefix="vk-e2e-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def account(control_plane: ControlPlane) -> Account:
    """The account of a node that watches what its pods refer to; its roles name the node."""
    flags = ("--provider=process", "--nodename=vk-watching", "--watch-references")
    return Account(control_plane, flags, "vk-watching")


@pytest.fixture(scope="module")
def process_node(make_lasting_node: StartNode, account: Account, state: Path) -> NodeProcess:
    """A node of processes that watches what its pods refer to."""
    settings = ("--set", f"state={state / 'pods'}", "--set", "isolation=bubblewrap")
    flags, more = (*settings, "--watch-references"), {"kubeconfig": account.grant()}
    node = make_lasting_node("vk-watching", *flags, provider="process", **more)
    node.start()
    node.wait_ready()
    return node


@pytest.fixture
def kubectl(control_plane: ControlPlane, namespace: str) -> Kubectl:
    """Run kubectl in the test's namespace."""

    def run(*arguments: str, input: str | None = None) -> str:
        return control_plane.kubectl(f"--namespace={namespace}", *arguments, input=input)

    return run


def inside(kubectl: Kubectl, name: str, script: str) -> str:
    """Return what a script in the pod's main container prints."""
    return kubectl("exec", name, "-c", "main", "--", "sh", "-c", script)


def wait_ready(kubectl: Kubectl, name: str) -> None:
    try:
        kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    except CommandError:
        print(kubectl("describe", "pod", name))
        raise


def test_a_chart_like_pod_has_all_that_it_refers_to(
    process_node: NodeProcess, account: Account, kubectl: Kubectl, state: Path, namespace: str
) -> None:
    account.bind_references(namespace)
    data = state / f"data-{namespace}"
    kubectl("apply", "-f", "-", input=chart.objects(data))
    kubectl("apply", "-f", "-", input=chart.pod("web", process_node.name))
    wait_ready(kubectl, "web")

    assert inside(kubectl, "web", "cat /conf/conf/app.conf /etc/app.conf") == "v1\nv1\n"
    assert inside(kubectl, "web", "ls /conf") == "conf\n"
    assert inside(kubectl, "web", "cat /hush/password; echo $PASSWORD") == "geheimgeheim\n"
    assert inside(kubectl, "web", "stat -L -c %a /conf/conf/app.conf /hush/password") == (
        "640\n400\n"
    )
    assert inside(kubectl, "web", "cat /info/name; echo; cat /info/cpu") == "web\n2"
    assert (data / "seen-first").read_text() == "v1\n"
    assert (data / "post-start").read_text() == "after\n"
    token, ca, space = (
        inside(kubectl, "web", f"cat {TOKENS}/{name}") for name in ("token", "ca.crt", "namespace")
    )
    assert "BEGIN CERTIFICATE" in ca
    assert space == namespace
    review = manifests.thing("authentication.k8s.io/v1", "TokenReview", "x", spec={"token": token})
    said = json.loads(kubectl("create", "-f", "-", "-o", "json", input=review))["status"]
    assert said["authenticated"]
    uid = kubectl("get", "pod", "web", "-o=jsonpath={.metadata.uid}")
    assert said["user"]["extra"]["authentication.kubernetes.io/pod-uid"] == [uid]

    kubectl("delete", "pod", "web", "--timeout=60s")
    assert (data / "pre-stop").read_text() == "before\n"


def test_the_status_has_what_a_kubelet_writes(
    process_node: NodeProcess, account: Account, kubectl: Kubectl, state: Path, namespace: str
) -> None:
    account.bind_references(namespace)
    kubectl("apply", "-f", "-", input=chart.objects(state / f"data-{namespace}"))
    kubectl("apply", "-f", "-", input=chart.pod("web", process_node.name))
    wait_ready(kubectl, "web")
    status = json.loads(kubectl("get", "pod", "web", "-o", "json"))["status"]
    conditions = {one["type"]: one for one in status["conditions"]}
    for name in ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"):
        assert conditions[name]["status"] == "True"
        assert conditions[name]["observedGeneration"] == status["observedGeneration"] == 1
    assert status["qosClass"] == "Burstable"
    assert status["hostIPs"] == [{"ip": status["hostIP"]}]
    (main,) = status["containerStatuses"]
    assert (main["started"], main["ready"]) == (True, True)
    assert main["resources"]["limits"] == {"cpu": "1500m"}
    assert main["allocatedResources"] == {"cpu": "1500m"}
    first, sidecar = status["initContainerStatuses"]
    assert first["state"]["terminated"]["exitCode"] == 0
    assert sidecar["started"]

    resize = {"containers": [{"name": "main", "resources": {"limits": {"cpu": "1"}}}]}
    resize["containers"][0]["resources"]["requests"] = {"cpu": "1"}
    patch = ("patch", "pod", "web", "--subresource=resize", "-p", json.dumps({"spec": resize}))
    kubectl(*patch)
    path = "-o=jsonpath={.status.containerStatuses[0].allocatedResources.cpu}"
    eventually(lambda: kubectl("get", "pod", "web", path) == "1", "the resize is granted")


def test_a_change_reaches_a_running_process_within_ten_seconds_of_a_watch(
    process_node: NodeProcess, account: Account, kubectl: Kubectl, state: Path, namespace: str
) -> None:
    account.bind_references(namespace)
    kubectl("apply", "-f", "-", input=chart.objects(state / f"data-{namespace}"))
    kubectl("apply", "-f", "-", input=chart.pod("web", process_node.name))
    wait_ready(kubectl, "web")
    began = time.monotonic()
    kubectl("patch", "configmap", "settings", "-p", '{"data": {"app.conf": "v2\\n"}}')
    kubectl("label", "pod", "web", "colour=green")
    eventually(
        lambda: inside(kubectl, "web", "cat /conf/conf/app.conf") == "v2\n",
        "the change is there",
        timeout=10.0,
    )
    print("seconds until the change was there:", time.monotonic() - began)
    eventually(
        lambda: 'colour="green"' in inside(kubectl, "web", "cat /info/labels"),
        "the label is there",
        timeout=10.0,
    )
    assert inside(kubectl, "web", "cat /etc/app.conf") == "v1\n"  # a subPath stays, as with kubelet


def test_without_the_right_to_watch_a_change_comes_within_seventy_seconds(
    process_node: NodeProcess, account: Account, kubectl: Kubectl, state: Path, namespace: str
) -> None:
    account.bind_references(namespace, "vk-references")
    kubectl("apply", "-f", "-", input=chart.objects(state / f"data-{namespace}"))
    kubectl("apply", "-f", "-", input=chart.pod("web", process_node.name))
    wait_ready(kubectl, "web")
    kubectl("patch", "secret", "hush", "-p", '{"stringData": {"password": "neu"}}')
    eventually(
        lambda: inside(kubectl, "web", "cat /hush/password") == "neu",
        "the change is there",
        timeout=70.0,
    )


def test_the_mock_shows_the_files_of_its_pods(node: NodeProcess, kubectl: Kubectl) -> None:
    """Whatever a container would find; a claim is no file, so nothing of it is shown."""
    kubectl("apply", "-f", "-", input=chart.objects(Path("/var/tmp/unused")))
    kubectl("apply", "-f", "-", input=chart.pod("web", node.name))
    wait_ready(kubectl, "web")

    def cat(*paths: str) -> str:
        return kubectl("exec", "web", "-c", "main", "--", "cat", *paths)

    assert cat("/conf/conf/app.conf", "/hush/password") == "v1\ngeheim"
    assert cat("/info/name") == "web"
    assert cat(f"{TOKENS}/token").count(".") == 2
    kubectl("delete", "pv", "unused", "--wait=false")


def test_a_pod_waits_for_what_it_requires_and_says_what(
    node: NodeProcess, kubectl: Kubectl
) -> None:
    volume = {"name": "late", "configMap": {"name": "late"}}
    kubectl("apply", "-f", "-", input=manifests.pod("waits", node.name, volumes=[volume]))
    reason = "-o=jsonpath={.status.containerStatuses[0].state.waiting.reason}"
    eventually(
        lambda: kubectl("get", "pod", "waits", reason) == "FailedMount", "the reason is there"
    )
    eventually(
        lambda: "volume 'late': ConfigMap 'late' not found" in kubectl("describe", "pod", "waits"),
        "the event is there",
    )
    events = (
        "get",
        "events",
        "--field-selector=reason=FailedMount",
        "-o=jsonpath={.items[*].count}",
    )
    eventually(lambda: int(kubectl(*events)) > 1, "the one event counts each try")
    kubectl("create", "configmap", "late", "--from-literal=a=b")
    kubectl("wait", "--for=condition=Ready", "pod/waits", "--timeout=30s")
