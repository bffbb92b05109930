"""`vk drain` on an embedded cluster: what is left of a node, and who may not be drained."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from vk.cli.drain import Drain
from vk.cli.main import command
from vk.cluster.client import Client
from vk.cluster.config import load_access
from vk.cluster.resources import LEASES, NODES, PODS
from vk.devcluster.cluster import DevCluster
from vk.errors import ObjectNotFoundError, VkError
from vk.kubelet import VirtualKubelet
from vk.plugins import Plugins
from vk.settings import Settings

pytestmark = [pytest.mark.slow]


@asynccontextmanager
async def client_of(cluster: DevCluster) -> AsyncIterator[Client]:
    """Give an administrator's client."""
    async with Client(await load_access(str(cluster.kubeconfig)), user_agent="test") as client:
        yield client


@asynccontextmanager
async def mock_node(cluster: DevCluster, folder: Path) -> AsyncIterator[asyncio.Task[None]]:
    """Run node n1 with the mock provider; its task may be cancelled, which is a clean stop."""
    settings = Settings(
        provider="mock",
        node_name="n1",
        internal_ip="127.0.0.1",
        kubelet_port=0,
        serving_signer="",
        state_folder=folder / "state",
    )
    provider = Plugins.load().provider_class("mock")
    config = provider.config_class() if provider.config_class else None
    access = await load_access(str(cluster.kubeconfig))
    node = VirtualKubelet(provider, config, settings, access=access)
    task = asyncio.create_task(node.run())
    try:
        async with asyncio.timeout(20):
            await node.ready.wait()
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    """Return a pod that is on n1 and tolerates everything."""
    spec = {
        "nodeName": "n1",
        "terminationGracePeriodSeconds": 1,
        "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": "main", "image": "nginx"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }


async def phase(client: Client, name: str) -> str:
    """Return the phase of a pod, once it has left Pending."""
    async with asyncio.timeout(20):
        while True:
            found = await client.get(PODS, name, namespace="default")
            if found["status"].get("phase", "Pending") != "Pending":
                return str(found["status"]["phase"])
            await asyncio.sleep(0.05)


async def test_pods_end_then_the_node_goes_once_its_process_has_stopped(
    dev_cluster: DevCluster, tmp_path: Path
) -> None:
    """And what a DaemonSet sends meanwhile is not run: it would be billed after the drain."""
    said: list[str] = []
    async with client_of(dev_cluster) as client, mock_node(dev_cluster, tmp_path) as process:
        for name in ("a", "b"):
            await client.create(PODS, pod(name), namespace="default")
            assert await phase(client, name) == "Running"
        drain = Drain(client, "n1", said.append)
        await drain.empty()
        assert (await client.list(PODS)).items == []
        assert said[0] == "node n1 takes no new pods" and said[-1] == "nothing runs on node n1"
        owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "d-1"}
        await client.create(PODS, pod("late", ownerReferences=[owner]), namespace="default")
        assert await phase(client, "late") == "Failed"
        await Drain(client, "n1", said.append).empty()

        asked = asyncio.Event()
        drain.say = lambda text: asked.set() if "stop the process" in text else said.append(text)
        deletion = asyncio.create_task(drain.delete())
        async with asyncio.timeout(10):
            await asked.wait()
        assert (await client.get(NODES, "n1"))["spec"]["unschedulable"] is True
        process.cancel()
        async with asyncio.timeout(10):
            await deletion
        for resource, namespace in ((NODES, ""), (LEASES, "kube-node-lease")):
            with pytest.raises(ObjectNotFoundError):
                await client.get(resource, "n1", namespace=namespace)
        assert said[-1] == "node n1 is gone"


async def test_pods_that_nobody_can_end_are_said_at_once(dev_cluster: DevCluster) -> None:
    """Waiting would not help: the process must be started again first."""
    async with client_of(dev_cluster) as client:
        await client.create(NODES, node("n1", {"virtual-kubelet.io/owned": "{}"}))
        await client.create(PODS, pod("a"), namespace="default")
        with pytest.raises(VkError, match="no process acts for node n1: start it again"):
            await Drain(client, "n1", lambda text: None).empty()


async def test_a_node_of_another_program_is_left_alone(dev_cluster: DevCluster) -> None:
    async with client_of(dev_cluster) as client:
        await client.create(NODES, node("real", {}))
        with pytest.raises(VkError, match="node real is not run by vk"):
            await Drain(client, "real", lambda text: None).empty()
        assert "unschedulable" not in (await client.get(NODES, "real"))["spec"]


async def test_a_node_that_is_not_there_is_no_error(dev_cluster: DevCluster) -> None:
    """So an uninstall may be repeated."""
    flags = ["drain", "n1", "--delete-node", "--kubeconfig", str(dev_cluster.kubeconfig)]
    result = await asyncio.to_thread(CliRunner().invoke, command, flags)
    assert (result.exit_code, result.output) == (0, "there is no node n1\nnode n1 is gone\n")


def test_a_wrong_timeout_is_one_line() -> None:
    result = CliRunner().invoke(command, ["drain", "n1", "--timeout", "soon"])
    assert result.exit_code == 2
    assert result.output == (
        "vk: error: --timeout: expected a duration such as 30s, 1m or 0, not 'soon'\n"
    )


def node(name: str, annotations: dict[str, str]) -> dict[str, Any]:
    """Return a Node that no process of this test runs."""
    metadata = {"name": name, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
