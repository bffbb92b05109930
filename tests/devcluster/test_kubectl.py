"""Stock kubectl, of two versions, against the embedded cluster: what a newcomer types."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest
import yaml
from cluster_api import CONFIG_MAPS, MERGE, PODS, Api, config_map, pod
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kubectl_process import CONTROL_PLANE, WHEEL, Kubectl, line_of, program
from scripted_kubelet import Asked, Connection, make_node, make_pod, scripted_kubelet

from vk.devcluster.cluster import DevCluster

pytestmark = pytest.mark.slow

NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}


@pytest.fixture(params=[WHEEL, CONTROL_PLANE])
def kubectl(request: pytest.FixtureRequest, dev_cluster: DevCluster, tmp_path: Path) -> Kubectl:
    path = program(request.param)
    if path is None:
        pytest.skip(f"no kubectl of the {request.param} on this machine")
    return Kubectl(path, dev_cluster.kubeconfig, tmp_path / "cache")


async def ready_pod(api: Api, name: str = "a") -> None:
    await api.ok("POST", PODS, pod(name, nodeName="n1", labels={"app": "web"}))
    condition = {"type": "Ready", "status": "True"}
    status = {"phase": "Running", "podIP": "10.1.2.3", "conditions": [condition]}
    await api.ok("PATCH", f"{PODS}/{name}/status", {"status": status}, form=MERGE)


async def test_get_prints_tables_and_every_other_form(kubectl: Kubectl, api: Api) -> None:
    await ready_pod(api)
    await api.ok("POST", PODS, pod("b"))
    header, first, second = (await kubectl("get", "pods")).splitlines()
    assert header.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert first.split()[:3] == ["a", "0/1", "Running"]
    assert second.split()[:3] == ["b", "0/1", "Pending"]
    wide = await kubectl("get", "pod", "a", "-o", "wide")
    assert {"NODE", "n1", "10.1.2.3"} <= set(wide.split())
    assert yaml.safe_load(await kubectl("get", "pod", "a", "-o", "yaml"))["kind"] == "Pod"
    listed = await kubectl.get("pods")
    assert [one["metadata"]["name"] for one in listed["items"]] == ["a", "b"]
    path = "jsonpath={.items[*].status.phase}"
    assert await kubectl("get", "pods", "-o", path) == "Running Pending"
    assert await kubectl("get", "pods", "-o", "name") == "pod/a\npod/b\n"
    assert "app=web" in await kubectl("get", "pods", "--show-labels")


async def test_get_selects_and_reports_what_is_missing(kubectl: Kubectl, api: Api) -> None:
    await ready_pod(api)
    await api.ok("POST", PODS, pod("b"))
    assert await kubectl("get", "pods", "-l", "app=web", "-o", "name") == "pod/a\n"
    chosen = await kubectl("get", "pods", "--field-selector=status.phase=Pending", "-o", "name")
    assert chosen == "pod/b\n"
    everywhere = await kubectl("get", "services", "-A")
    assert {"kube-system", "kube-dns", "10.96.0.10"} <= set(everywhere.split())
    missing = await kubectl("get", "pod", "c", code=1)
    assert missing == 'Error from server (NotFound): pods "c" not found\n'
    unknown = await kubectl("get", "deployments", code=1)
    assert 'the server doesn\'t have a resource type "deployments"' in unknown
    assert "No resources found in default namespace." in await kubectl("get", "leases")


async def test_get_pages_through_long_lists(kubectl: Kubectl, api: Api) -> None:
    for number in range(25):
        await api.ok("POST", CONFIG_MAPS, config_map(f"c{number:02}"))
    names = await kubectl("get", "configmaps", "--chunk-size=10", "-o", "name")
    expected = [f"configmap/c{number:02}" for number in range(25)]
    assert names.split() == [*expected, "configmap/kube-root-ca.crt"]


async def test_get_watch_shows_each_change(kubectl: Kubectl, api: Api) -> None:
    await api.ok("POST", PODS, pod("a"))
    async with kubectl.running("get", "pods", "--watch") as child:
        assert (await line_of(child)).split()[0] == "NAME"
        assert (await line_of(child)).split()[:3] == ["a", "0/1", "Pending"]
        running = {"status": {"phase": "Running"}}
        await api.ok("PATCH", f"{PODS}/a/status", running, form=MERGE)
        assert (await line_of(child)).split()[:3] == ["a", "0/1", "Running"]
    async with kubectl.running("get", "pods", "-w", "-o", "json", "-l", "app=x") as child:
        await api.ok("PATCH", f"{PODS}/a", {"metadata": {"labels": {"app": "x"}}}, form=MERGE)
        lines = [await line_of(child)]
        while lines[-1] != "}":
            lines.append(await line_of(child))
        assert json.loads("\n".join(lines))["metadata"]["labels"] == {"app": "x"}


async def test_describe_shows_a_pod_with_its_events(kubectl: Kubectl, api: Api) -> None:
    await ready_pod(api)
    found = await api.ok("GET", f"{PODS}/a")
    event = {
        "metadata": {"name": "a.1"},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": "default",
            "name": "a",
            "uid": found["metadata"]["uid"],
        },
        "reason": "Started",
        "message": "the container is up",
        "type": "Normal",
        "count": 1,
        "lastTimestamp": "2026-01-31T12:00:00Z",
    }
    await api.ok("POST", "/api/v1/namespaces/default/events", event)
    text = await kubectl("describe", "pod", "a")
    for part in ("Name:             a", "Node:             n1", "10.1.2.3", "the container is up"):
        assert part in text
    assert "the container is up" in await kubectl("events", "--for", "pod/a")
    assert "the container is up" in await kubectl("get", "events")


MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: applied}
data: {k: v1}
---
apiVersion: v1
kind: Pod
metadata: {name: applied}
spec:
  containers: [{name: c, image: "app:1"}]
"""


@pytest.mark.parametrize("side", ["client", "server"])
async def test_apply_creates_leaves_and_changes(kubectl: Kubectl, side: str) -> None:
    flags = ("apply", "-f", "-", f"--server-side={str(side == 'server').lower()}")
    done = "serverside-applied" if side == "server" else "created"
    first = await kubectl(*flags, input=MANIFEST)
    assert first == f"configmap/applied {done}\npod/applied {done}\n"
    versions = [await version(kubectl, kind) for kind in ("configmap", "pod")]
    again = await kubectl(*flags, input=MANIFEST)
    done = "serverside-applied" if side == "server" else "unchanged"
    assert again == f"configmap/applied {done}\npod/applied {done}\n"
    assert versions == [await version(kubectl, kind) for kind in ("configmap", "pod")]
    changed = MANIFEST.replace("{k: v1}", "{key: v2}").replace("app:1", "app:2")
    done = "serverside-applied" if side == "server" else "configured"
    assert f"pod/applied {done}" in await kubectl(*flags, input=changed)
    assert (await kubectl.get("configmap", "applied"))["data"] == {"key": "v2"}
    image = "jsonpath={.spec.containers[0].image}"
    assert await kubectl("get", "pod", "applied", "-o", image) == "app:2"


async def version(kubectl: Kubectl, kind: str) -> str:
    return await kubectl("get", kind, "applied", "-o", "jsonpath={.metadata.resourceVersion}")


async def test_apply_goes_over_from_the_client_s_to_the_server_s_side(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", input=MANIFEST)
    applied = await kubectl("apply", "-f", "-", "--server-side", input=MANIFEST)
    assert "Warning" not in applied
    changed = MANIFEST.replace("{k: v1}", "{key: v2}")
    await kubectl("apply", "-f", "-", "--server-side", input=changed)
    assert (await kubectl.get("configmap", "applied"))["data"] == {"key": "v2"}


async def test_server_side_apply_reports_conflicts(kubectl: Kubectl, api: Api) -> None:
    await api.ok("POST", f"{CONFIG_MAPS}?fieldManager=other", config_map("applied", k="theirs"))
    refused = await kubectl("apply", "-f", "-", "--server-side", input=MANIFEST, code=1)
    assert 'Apply failed with 1 conflict: conflict with "other"' in refused
    await kubectl("apply", "-f", "-", "--server-side", "--force-conflicts", input=MANIFEST)
    assert (await kubectl.get("configmap", "applied"))["data"] == {"k": "v1"}


async def test_a_list_is_applied_item_by_item(kubectl: Kubectl) -> None:
    items = [config_map(name, k="v") | {"apiVersion": "v1", "kind": "ConfigMap"} for name in "ab"]
    several = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    assert "configmap/b created" in await kubectl("create", "-f", "-", input=several)
    for flags in ((), ("--server-side", "--force-conflicts")):
        applied = await kubectl("apply", *flags, "-f", "-", input=several)
        assert "configmap/a" in applied
        assert "configmap/b" in applied
    await kubectl("delete", "-f", "-", input=several)
    typo = several.replace('"data"', '"dta"')
    refused = await kubectl("create", "-f", "-", input=typo, code=1)
    assert 'unknown field "dta"' in refused


async def test_a_manifest_with_mistakes_is_refused_with_their_place(kubectl: Kubectl) -> None:
    typo = MANIFEST.replace("containers:", "continers:")
    refused = await kubectl("apply", "-f", "-", input=typo, code=1)
    assert 'unknown field "spec.continers"' in refused
    empty = MANIFEST.replace('[{name: c, image: "app:1"}]', "[]")
    refused = await kubectl("apply", "-f", "-", input=empty, code=1)
    assert "spec.containers: Required value" in refused


async def test_diff_shows_what_an_apply_would_change(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", input=MANIFEST)
    assert await kubectl("diff", "-f", "-", input=MANIFEST) == ""
    text = await kubectl("diff", "-f", "-", input=MANIFEST.replace("v1}", "v2}"), code=1)
    assert "-  k: v1" in text and "+  k: v2" in text
    assert (await kubectl.get("configmap", "applied"))["data"] == {"k": "v1"}


async def test_create_makes_objects_of_many_kinds(kubectl: Kubectl) -> None:
    for command in (
        "namespace team",
        "configmap c --from-literal=k=v -n team",
        "secret generic s --from-literal=k=v -n team",
        "serviceaccount robot -n team",
        "role reader --verb=get,list --resource=pods -n team",
        "rolebinding readers --role=reader --serviceaccount=team:robot -n team",
        "clusterrole all --verb=* --resource=pods",
        "clusterrolebinding all --clusterrole=all --user=jane",
        "service clusterip web --tcp=80:8080 -n team",
    ):
        assert (await kubectl("create", *command.split())).endswith("created\n")
    assert (await kubectl.get("secret", "s", "-n", "team"))["data"] == {"k": "dg=="}
    token = await kubectl("create", "token", "robot", "-n", "team")
    assert len(token.strip().split(".")) == 3
    again = await kubectl("create", "namespace", "team", code=1)
    assert 'namespaces "team" already exists' in again
    await kubectl("create", "-f", "-", input=MANIFEST)


async def test_auth_can_i_evaluates_the_rules(kubectl: Kubectl) -> None:
    assert await kubectl("auth", "can-i", "create", "pods") == "yes\n"
    assert await kubectl("auth", "can-i", "get", "pods", "--as=jane", code=1) == "no\n"
    await kubectl("create", "role", "reader", "--verb=get", "--resource=pods")
    await kubectl("create", "rolebinding", "readers", "--role=reader", "--user=jane")
    assert await kubectl("auth", "can-i", "get", "pods", "--as=jane") == "yes\n"
    assert "system:masters" in await kubectl("auth", "whoami")


async def test_run_makes_a_pod(kubectl: Kubectl) -> None:
    assert await kubectl("run", "web", "--image=app:1", "--port=80") == "pod/web created\n"
    made = await kubectl.get("pod", "web")
    assert made["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert await kubectl("expose", "pod", "web") == "service/web exposed\n"
    assert (await kubectl.get("service", "web"))["spec"]["selector"] == {"run": "web"}


async def test_patch_label_annotate_and_edit_change_an_object(kubectl: Kubectl, api: Api) -> None:
    await api.ok("POST", PODS, pod("a"))
    await kubectl("label", "pod", "a", "tier=front")
    await kubectl("annotate", "pod", "a", "note=hi")
    image = '{"spec":{"containers":[{"name":"main","image":"app:2"}]}}'
    await kubectl("patch", "pod", "a", "-p", image)
    await kubectl("patch", "pod", "a", "--type=merge", "-p", '{"metadata":{"labels":{"m":"1"}}}')
    operation = '[{"op":"remove","path":"/metadata/labels/m"}]'
    await kubectl("patch", "pod", "a", "--type=json", "-p", operation)
    running = '{"status":{"phase":"Running"}}'
    await kubectl("patch", "pod", "a", "--subresource=status", "--type=merge", "-p", running)
    changed = await kubectl.get("pod", "a")
    assert changed["metadata"]["labels"] == {"tier": "front"}
    assert changed["metadata"]["annotations"] == {"note": "hi"}
    assert changed["spec"]["containers"][0]["image"] == "app:2"
    assert changed["status"]["phase"] == "Running"
    await kubectl("set", "image", "pod/a", "main=app:3")
    taken = await kubectl("label", "pod", "a", "tier=back", code=1)
    assert "already has a value (front)" in taken
    assert "Edit cancelled" in await kubectl("edit", "pod", "a")
    forbidden = '{"spec":{"nodeName":"n2"}}'
    assert "Forbidden: pod updates may not change" in await kubectl(
        "patch", "pod", "a", "-p", forbidden, code=1
    )


async def test_replace_puts_another_object_in_the_place(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", input=MANIFEST)
    changed = MANIFEST.replace("{k: v1}", "{key: v2}").partition("---")[0]
    assert await kubectl("replace", "-f", "-", input=changed) == "configmap/applied replaced\n"
    assert (await kubectl.get("configmap", "applied"))["data"] == {"key": "v2"}


async def test_delete_waits_for_the_kubelet(kubectl: Kubectl, api: Api) -> None:
    await ready_pod(api)
    async with api.watch(f"{PODS}/a?watch=1") as watch:
        deleting = asyncio.ensure_future(kubectl("delete", "pod", "a"))
        while not (await watch.next())["object"]["metadata"].get("deletionTimestamp"):
            pass
        assert not deleting.done()
        await api.ok("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
        assert 'pod "a" deleted' in await deleting
    assert "NotFound" in await kubectl("get", "pod", "a", code=1)


async def test_delete_can_be_forced_and_take_many(kubectl: Kubectl, api: Api) -> None:
    for name in ("a", "b", "c"):
        await ready_pod(api, name)
    assert 'pod "a" force deleted' in await kubectl("delete", "pod", "a", "--force")
    await kubectl("delete", "pods", "-l", "app=web", "--force", "--grace-period=0")
    assert "No resources found" in await kubectl("get", "pods")
    assert "NotFound" in await kubectl("delete", "pod", "a", code=1)
    assert await kubectl("delete", "pod", "a", "--ignore-not-found") == ""
    await kubectl("create", "namespace", "team")
    await kubectl("create", "configmap", "c", "-n", "team")
    await kubectl("delete", "namespace", "team")
    assert "NotFound" in await kubectl("get", "namespace", "team", code=1)


async def test_wait_returns_when_the_pod_is_ready_or_gone(kubectl: Kubectl, api: Api) -> None:
    await api.ok("POST", PODS, pod("a", nodeName="n1"))
    waiting = asyncio.ensure_future(kubectl("wait", "--for=condition=Ready", "pod/a"))
    condition = {"type": "Ready", "status": "True"}
    status = {"status": {"phase": "Running", "conditions": [condition]}}
    await api.ok("PATCH", f"{PODS}/a/status", status, form=MERGE)
    assert await waiting == "pod/a condition met\n"
    phase = "--for=jsonpath={.status.phase}=Running"
    assert await kubectl("wait", phase, "pod/a") == "pod/a condition met\n"
    late = await kubectl("wait", "--for=condition=Other", "pod/a", "--timeout=1s", code=1)
    assert "timed out waiting for the condition" in late
    gone = asyncio.ensure_future(kubectl("wait", "--for=delete", "pod/a"))
    await api.ok("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
    await gone


async def test_cordon_taint_and_drain_empty_a_node(kubectl: Kubectl, api: Api) -> None:
    await api.ok("POST", "/api/v1/nodes", NODE)
    await ready_pod(api)
    await kubectl("cordon", "n1")
    assert "SchedulingDisabled" in await kubectl("get", "nodes")
    assert "Unschedulable:      true" in await kubectl("describe", "node", "n1")
    async with api.watch(f"{PODS}/a?watch=1") as watch:
        draining = asyncio.ensure_future(kubectl("drain", "n1", "--force"))
        while not (await watch.next())["object"]["metadata"].get("deletionTimestamp"):
            pass
        await api.ok("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
    assert "node/n1 drained" in await draining
    await kubectl("uncordon", "n1")
    await kubectl("taint", "node", "n1", "mine=yes:NoSchedule")
    taints = (await kubectl.get("node", "n1"))["spec"]["taints"]
    assert {"key": "mine", "value": "yes", "effect": "NoSchedule"} in taints


async def test_a_certificate_request_is_approved(kubectl: Kubectl, api: Api) -> None:
    path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    spec = {
        "request": base64.b64encode(signing_request()).decode(),
        "signerName": "kubernetes.io/kube-apiserver-client",
        "usages": ["client auth"],
    }
    await api.ok("POST", path, {"metadata": {"name": "mine"}, "spec": spec})
    assert (await kubectl("get", "csr")).split()[-1] == "Pending"
    assert "approved" in await kubectl("certificate", "approve", "mine")
    assert (await kubectl("get", "csr")).split()[-1] == "Approved"
    signed = {"status": {"certificate": base64.b64encode(b"nonsense").decode()}}
    refused = await api("PATCH", f"{path}/mine/status", signed, form=MERGE)
    assert refused.status == 422


def signing_request() -> bytes:
    """Return a PEM request for a certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "jane")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


async def test_debug_adds_an_ephemeral_container(kubectl: Kubectl, api: Api) -> None:
    await ready_pod(api)
    await kubectl("debug", "a", "--image=tools:1", "--attach=false", "--container=look")
    (added,) = (await kubectl.get("pod", "a"))["spec"]["ephemeralContainers"]
    assert (added["name"], added["image"]) == ("look", "tools:1")


async def test_a_missing_kind_is_reported(kubectl: Kubectl) -> None:
    scaled = await kubectl("scale", "--replicas=2", "deployment/web", code=1)
    assert 'the server doesn\'t have a resource type "deployment"' in scaled
    assert "not found in OpenAPI schema" in await kubectl("explain", "pod", code=1)


async def test_raw_paths_versions_and_resources_are_shown(kubectl: Kubectl) -> None:
    assert await kubectl("get", "--raw", "/readyz") == "ok"
    raw = json.loads(await kubectl("get", "--raw", f"{CONFIG_MAPS}/kube-root-ca.crt"))
    assert raw["metadata"]["name"] == "kube-root-ca.crt"
    assert "Server Version: v1.36." in await kubectl("version")
    resources = await kubectl("api-resources", "-o", "name")
    assert {"pods", "leases.coordination.k8s.io", "events.events.k8s.io"} <= set(resources.split())
    assert "coordination.k8s.io/v1" in await kubectl("api-versions")


@pytest.mark.parametrize(
    "how",
    [(), ("-f", "--pod-running-timeout=1ms"), ("-f", "--ignore-errors")],
    ids=["at once", "followed for a moment", "followed with errors ignored"],
)
async def test_a_node_without_logs_reports_it_once(
    dev_cluster: DevCluster, kubectl: Kubectl, api: Api, how: tuple[str, ...]
) -> None:
    """With -f alone kubectl asks again each second, whatever the answer: see the docs' page."""

    async def script(asked: Asked, connection: Connection) -> None:
        await connection.answer(501, b"this provider has no logs\n")

    async with scripted_kubelet(dev_cluster) as kubelet:
        kubelet.script = script
        await make_node(api, kubelet.port)
        await make_pod(api)
        ended = await kubectl.run("logs", "web", *how)
    assert (ended.out + ended.errors).count(b"this provider has no logs") == 1
    assert len(kubelet.asked) == 1
