"""metrics.k8s.io: announced, and answered with what kubelets measure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio
from cluster_api import MERGE, METADATA, PODS, TABLE, Api, api_of
from scripted_kubelet import (
    Asked,
    Connection,
    ScriptedKubelet,
    make_node,
    make_pod,
    scripted_kubelet,
)

from vk.devcluster.cluster import DevCluster

GROUP = "/apis/metrics.k8s.io/v1beta1"
AT, START = 1769860800250, 1769860700.25
MEASURED = f"""
node_cpu_usage_seconds_total 30 {AT}
node_memory_working_set_bytes 3000000 {AT}
container_cpu_usage_seconds_total{{container="main",pod="web",namespace="default"}} 5 {AT}
container_memory_working_set_bytes{{container="main",pod="web",namespace="default"}} 2049 {AT}
container_start_time_seconds{{container="main",pod="web",namespace="default"}} {START} {AT}
container_memory_working_set_bytes{{container="a",pod="partly",namespace="default"}} 2049 {AT}
"""
SUMMARY = b'{"node":{"cpu":{"usageNanoCores":250000000}},"pods":[]}'


@pytest_asyncio.fixture
async def kubelet(dev_cluster: DevCluster, api: Api) -> AsyncIterator[ScriptedKubelet]:
    async def script(asked: Asked, connection: Connection) -> None:
        known = {"/metrics/resource": MEASURED.encode(), "/stats/summary": SUMMARY}
        await connection.answer(200, known[asked.target])

    async with scripted_kubelet(dev_cluster) as kubelet:
        kubelet.script = script
        await make_node(api, kubelet.port)
        await make_pod(api, labels={"app": "web"})
        yield kubelet


async def test_the_group_is_announced(api: Api) -> None:
    groups = await api.ok("GET", "/apis")
    assert "metrics.k8s.io" in [group["name"] for group in groups["groups"]]
    listed = await api.ok("GET", GROUP)
    assert [(one["name"], one["kind"], one["verbs"]) for one in listed["resources"]] == [
        ("nodes", "NodeMetrics", ["get", "list"]),
        ("pods", "PodMetrics", ["get", "list"]),
    ]


async def test_pods_are_shown_with_their_containers(kubelet: ScriptedKubelet, api: Api) -> None:
    listed = await api.ok("GET", f"{GROUP}/pods")
    assert (listed["kind"], listed["apiVersion"]) == ("PodMetricsList", "metrics.k8s.io/v1beta1")
    (shown,) = listed["items"]
    assert shown["metadata"].pop("creationTimestamp")
    assert shown == {
        "kind": "PodMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
        "timestamp": "2026-01-31T12:00:00Z",
        "window": "100s",
        "containers": [{"name": "main", "usage": {"cpu": "50000000n", "memory": "3Ki"}}],
    }
    one = await api.ok("GET", f"{GROUP}/namespaces/default/pods/web")
    assert one["containers"] == shown["containers"]


async def test_nodes_are_shown_with_the_rate_that_was_measured(
    kubelet: ScriptedKubelet, api: Api
) -> None:
    await make_node(api, 1, name="silent")
    (shown,) = (await api.ok("GET", f"{GROUP}/nodes"))["items"]
    assert shown["metadata"]["name"] == "n1"
    assert shown["usage"] == {"cpu": "250000000n", "memory": "2930Ki"}
    assert (await api.ok("GET", f"{GROUP}/nodes/n1"))["usage"] == shown["usage"]


async def test_what_was_not_measured_is_not_found(kubelet: ScriptedKubelet, api: Api) -> None:
    containers = [{"name": name, "image": "app:1"} for name in ("a", "b")]
    await make_pod(api, "partly", containers=containers)
    reply = await api("GET", f"{GROUP}/namespaces/default/pods/partly")
    assert (reply.status, reply.body["reason"]) == (404, "NotFound")
    assert reply.body["message"] == 'podmetrics.metrics.k8s.io "default/partly" not found'
    reply = await api("GET", f"{GROUP}/nodes/n2")
    assert reply.body["message"] == 'nodemetrics.metrics.k8s.io "n2" not found'


async def test_selectors_and_namespaces_choose(kubelet: ScriptedKubelet, api: Api) -> None:
    async def count(path: str) -> int:
        return len((await api.ok("GET", f"{GROUP}/{path}"))["items"])

    assert await count("pods?labelSelector=app%3Dweb") == 1
    assert await count("pods?labelSelector=app%3Ddb") == 0
    assert await count("pods?fieldSelector=metadata.name%3Dweb") == 1
    assert await count("namespaces/kube-system/pods") == 0
    assert await count("nodes?labelSelector=x") == 0
    assert (await api("GET", f"{GROUP}/pods?labelSelector=%3D")).status == 400
    assert (await api("GET", f"{GROUP}/pods?watch=true")).status == 405
    assert (await api("POST", f"{GROUP}/nodes", {})).status == 405


async def test_a_pod_that_has_ended_uses_nothing(kubelet: ScriptedKubelet, api: Api) -> None:
    ended = {"status": {"phase": "Succeeded"}}
    await api.ok("PATCH", f"{PODS}/web/status", ended, form=MERGE)
    assert (await api.ok("GET", f"{GROUP}/pods"))["items"] == []


async def test_a_kubelet_is_not_scraped_again_at_once(kubelet: ScriptedKubelet, api: Api) -> None:
    await asyncio.gather(*(api.ok("GET", f"{GROUP}/{kind}") for kind in ("pods", "nodes") * 5))
    assert [asked.target for asked in kubelet.asked] == ["/metrics/resource", "/stats/summary"]


async def test_a_table_and_metadata_are_written_on_request(
    kubelet: ScriptedKubelet, api: Api
) -> None:
    table = await api.ok("GET", f"{GROUP}/nodes", headers={"Accept": TABLE})
    assert table["kind"] == "Table"
    assert [row["cells"][0] for row in table["rows"]] == ["n1"]
    metadata = await api.ok("GET", f"{GROUP}/nodes", headers={"Accept": METADATA})
    assert metadata["kind"] == "PartialObjectMetadataList"
    assert [one["metadata"]["name"] for one in metadata["items"]] == ["n1"]


async def test_a_kubelet_without_statistics_is_left_out(kubelet: ScriptedKubelet, api: Api) -> None:
    async def script(asked: Asked, connection: Connection) -> None:
        await connection.answer(501, b"no statistics")

    kubelet.script = script
    assert (await api.ok("GET", f"{GROUP}/nodes"))["items"] == []


async def test_metrics_need_a_right(dev_cluster: DevCluster, kubelet: ScriptedKubelet) -> None:
    async with api_of(dev_cluster, dev_cluster.kubeconfig_for("someone")) as someone:
        reply = await someone("GET", f"{GROUP}/nodes")
    assert reply.status == 403
    assert 'cannot list resource "nodes" in API group "metrics.k8s.io"' in reply.body["message"]
