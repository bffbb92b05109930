"""The kubelet's API behind a real API server: node proxy, tokens, rights, a certificate signed.

The node has an address of this machine that is not loopback: an API server proxies to no other.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import manifests
import pytest
from click.testing import CliRunner
from doc_blocks import block
from node_process import NodeProcess, StartNode, own_address

from vk.cli.main import command
from vk.testing.control_plane import ControlPlane, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROUTES = ("pods", "runningpods/", "metrics", "healthz", "readyz", "configz", "vk/status")


@pytest.fixture(scope="module")
def node(make_lasting_node: StartNode) -> Iterator[NodeProcess]:
    one = make_lasting_node(address=own_address())
    one.start()
    one.wait_ready()
    yield one


def port_of(plane: ControlPlane, name: str) -> int:
    status = plane.get("node", name)["status"]
    port: int = status["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    return port


def direct(plane: ControlPlane, name: str, path: str, token: str = "") -> tuple[int, str]:
    """Call the node without an API server between."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = HTTPSConnection(own_address(), port_of(plane, name), timeout=20, context=context)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_the_node_says_where_its_api_is_and_what_it_can(
    control_plane: ControlPlane, node: NodeProcess
) -> None:
    """From 1.36 on an API server keeps the declared features, and passes WebSockets through."""
    status = control_plane.get("node", node.name)["status"]
    assert status["daemonEndpoints"]["kubeletEndpoint"]["Port"] > 0
    assert status["declaredFeatures"] == [
        "ExtendWebSocketsToKubelet",
        "InPlacePodVerticalScalingInitContainers",
    ]


@pytest.mark.parametrize("route", ROUTES)
def test_routes_answer_through_the_node_proxy(
    control_plane: ControlPlane, node: NodeProcess, route: str
) -> None:
    """With nothing set up by hand: the API server is known by the authority it publishes."""
    path = f"/api/v1/nodes/{node.name}/proxy/{route}"
    assert control_plane.kubectl("get", "--raw", path)


def test_pods_of_the_node_are_listed(
    control_plane: ControlPlane, node: NodeProcess, lasting_namespace: str
) -> None:
    control_plane.kubectl(
        "apply", "-n", lasting_namespace, "-f", "-", input=manifests.pod("seen", node.name)
    )
    control_plane.kubectl(
        "wait", "-n", lasting_namespace, "--for=condition=Ready", "pod/seen", "--timeout=60s"
    )

    def names(route: str) -> set[str]:
        raw = control_plane.kubectl("get", "--raw", f"/api/v1/nodes/{node.name}/proxy/{route}")
        return {pod["metadata"]["name"] for pod in json.loads(raw)["items"]}

    eventually(lambda: "seen" in names("pods"), "the pod is listed", timeout=10)
    eventually(lambda: "seen" in names("runningpods/"), "the pod is running", timeout=10)
    raw = control_plane.kubectl("get", "--raw", f"/api/v1/nodes/{node.name}/proxy/metrics")
    assert "kubelet_pod_start_duration_seconds_count 1.0" in raw.splitlines()
    assert 'kubelet_runtime_operations_total{operation_type="create_pod"} 1.0' in raw.splitlines()


def test_tokens_have_the_rights_that_rbac_gives(
    control_plane: ControlPlane, node: NodeProcess
) -> None:
    """No credentials: 401; no permission: 403; with read of metrics: metrics, nothing else."""
    plane = control_plane
    plane.kubectl("create", "serviceaccount", "scraper", "-n=default")
    token = plane.kubectl("create", "token", "scraper", "-n=default").strip()
    assert direct(plane, node.name, "/metrics")[0] == 401
    assert direct(plane, node.name, "/metrics", "made-up")[0] == 401
    assert direct(plane, node.name, "/stats/summary", token)[0] == 403
    plane.kubectl("create", "clusterrole", "scraper", "--verb=get", "--resource=nodes/metrics")
    plane.kubectl(
        "create", "clusterrolebinding", "scraper", "--clusterrole=scraper",
        "--serviceaccount=default:scraper",
    )  # fmt: skip
    eventually(
        lambda: direct(plane, node.name, "/metrics", token)[0] == 200,
        "the right is known, and no denial of before is remembered any more",
        timeout=60,
    )
    assert direct(plane, node.name, "/pods", token)[0] == 403
    assert direct(plane, node.name, "/vk/status", token)[0] == 403


def test_vk_status_shows_the_node(control_plane: ControlPlane, node: NodeProcess) -> None:
    arguments = ["status", node.name, "--kubeconfig", str(control_plane.admin_kubeconfig)]
    result = CliRunner().invoke(command, arguments)
    assert (result.exit_code, result.output.splitlines()[0]) == (
        0,
        f"{node.name}: vk 0.1.0, acts for the node",
    )
    assert "first (this process)" in result.output
    missing = CliRunner().invoke(command, ["status", "missing", *arguments[2:]])
    assert (missing.exit_code, "there is no node missing" in missing.output) == (1, True)


def test_a_serving_certificate_that_is_approved_is_served(
    control_plane: ControlPlane, node: NodeProcess
) -> None:
    """The line in the log names the command; what it does, the real signer accepts."""
    line = eventually(lambda: node.said("waits for approval"), "the request is announced")[0]
    name = line.split("kubectl certificate approve ")[1].split('"')[0].split()[0]
    (approve,) = block("docs/operations/certificates.md", "$ kubectl").commands(NAME=name)
    assert approve in line
    control_plane.kubectl(*approve.split()[1:])
    context = ssl.create_default_context(cafile=str(control_plane.certificate_authority))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    address, port = own_address(), port_of(control_plane, node.name)

    def verified() -> bool:
        with (
            socket.create_connection((address, port), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname=address) as connection,
        ):
            return connection.version() == "TLSv1.3"

    eventually(verified, "the certificate of the cluster's authority is served", timeout=60)


def test_a_standby_serves_and_refuses_what_needs_the_provider(
    make_node: StartNode, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """Its port is its own; the API server goes to the one that acts."""
    first = make_node(address=own_address())
    first.start()
    first.wait_ready()
    second = make_node(first.name, address=own_address(), replica="second")
    second.start()
    eventually(lambda: second.said("another process holds"), "the second one waits")
    eventually(lambda: second.said("listening"), "it listens all the same")
    raw = control_plane.kubectl("get", "--raw", f"/api/v1/nodes/{first.name}/proxy/vk/status")
    assert json.loads(raw)["lease"]["holder"] == "first"
