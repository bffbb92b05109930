"""Settings from the command line on: what the pods of a running node and its Node then have."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

import attrs
import pytest

import vk
from vk.cli.options import build_settings
from vk.cluster.client import Client
from vk.cluster.kubeconfig import read_access
from vk.cluster.resources import NODES, PODS, SERVICES
from vk.devcluster.cluster import DevCluster
from vk.testing.nodes import running_node

pytestmark = [pytest.mark.slow]


class Shown(vk.Provider):
    """Runs pods in name only; ``pods`` are those of the test's node."""

    pods: ClassVar[dict[str, vk.Pod]] = {}

    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "8", "memory": "8Gi", "pods": "10"})

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        self.pods[pod.key.name] = pod
        return vk.PodStatus.running(pod)

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> None:
        self.pods.pop(key.name, None)

    async def list_pods(self) -> list[vk.PodStatus]:
        return [vk.PodStatus.running(pod) for pod in self.pods.values()]


@pytest.fixture(autouse=True)
def _empty() -> None:
    Shown.pods.clear()


def settings(**flags: str) -> Mapping[str, Any]:
    """Return what the command line makes of the flags, as far as it was given."""
    plain = build_settings({"provider": "x"}, {})
    given = {name.replace("_", "-"): text for name, text in flags.items()}
    made = build_settings({"provider": "x", **given}, {})
    fields = (field.name for field in attrs.fields(vk.Settings))
    return {
        name: getattr(made, name) for name in fields if getattr(made, name) != getattr(plain, name)
    }


async def start(client: Client, name: str) -> None:
    """Put a pod on the node."""
    containers = [{"name": "main", "image": "nginx"}]
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"nodeName": "vk", "containers": containers},
    }
    await client.create(PODS, body, namespace="default")


async def until(probe: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the probe says yes."""
    async with asyncio.timeout(10):
        while True:
            if await probe():
                return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("flags", "servers", "api_server"),
    [
        ({}, (), None),
        (
            {"cluster_dns": "10.9.0.10", "pod_api_server": "api.example:6443"},
            ("10.9.0.10",),
            "api.example",
        ),
    ],
    ids=["the address of Service kube-dns", "as the flags say"],
)
async def test_a_pod_gets_resolver_and_api_server(
    dev_cluster: DevCluster,
    flags: dict[str, str],
    servers: tuple[str, ...],
    api_server: str | None,
) -> None:
    async with Client(read_access(dev_cluster.kubeconfig), user_agent="test") as client:
        service = await client.get(SERVICES, "kube-dns", namespace="kube-system")
        async with running_node(dev_cluster, Shown, **settings(**flags)):
            await start(client, "web")

            async def created() -> bool:
                return "web" in Shown.pods

            await until(created)
            pod = Shown.pods["web"]
            assert pod.dns.servers == (servers or (service["spec"]["clusterIP"],))
            if api_server is not None:
                assert pod.containers[0].env["KUBERNETES_SERVICE_HOST"] == api_server
                assert pod.containers[0].env["KUBERNETES_SERVICE_PORT"] == "6443"


async def test_a_create_beyond_the_budget_of_the_minute_waits_and_says_so(
    dev_cluster: DevCluster,
) -> None:
    flags = settings(max_creates_per_minute="2")
    async with (
        Client(read_access(dev_cluster.kubeconfig), user_agent="test") as client,
        running_node(dev_cluster, Shown, **flags),
    ):

        async def told() -> bool:
            pods = (await client.list(PODS, namespace="default")).items
            return [("CreateRateLimited" in str(pod["status"])) for pod in pods].count(True) == 1

        for name in ("a", "b", "c"):
            await start(client, name)
        await until(told)
        assert len(Shown.pods) == 2


async def test_a_stopped_node_is_not_ready_where_that_is_asked_for(
    dev_cluster: DevCluster,
) -> None:
    async with Client(read_access(dev_cluster.kubeconfig), user_agent="test") as client:
        async with running_node(dev_cluster, Shown, **settings(not_ready_on_exit="true")):
            pass
        node = await client.get(NODES, "vk")
    (ready,) = [one for one in node["status"]["conditions"] if one["type"] == "Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "KubeletStopped")


async def test_requests_keep_to_the_limit_that_is_asked_for(dev_cluster: DevCluster) -> None:
    """Joining takes five requests or more, of which the burst lets one go at once."""
    clock = asyncio.get_running_loop().time
    began = clock()
    async with running_node(dev_cluster, Shown, **settings(kube_api_qps="5", kube_api_burst="1")):
        assert clock() - began >= 4 / 5
