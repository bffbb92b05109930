"""The whole node in one process: embedded cluster, core, provider, emulator; time is simulated."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from vk.cli.provider_config import load
from vk.cluster.client import Client
from vk.cluster.kubeconfig import read_access
from vk.cluster.resources import EVENTS, NODES, PODS, SECRETS
from vk.devcluster.cluster import DevCluster
from vk.kubelet import VirtualKubelet
from vk.settings import Settings
from vk_providers.alibabacloud.config import EciConfig
from vk_providers.alibabacloud.development import settings_for
from vk_providers.alibabacloud.emulator import EmulatorSettings as Emulated
from vk_providers.alibabacloud.emulator import RunningEmulator, billed_twice, serve
from vk_providers.alibabacloud.provider import AlibabaCloudProvider

pytestmark = [pytest.mark.slow, pytest.mark.looptime]
NODE = "eci"


@attrs.define(eq=False)
class Site:
    """A node that runs, and a client of its cluster."""

    client: Client
    emulator: RunningEmulator

    async def run(self, name: str, **spec: Any) -> None:
        """Create a pod on the node."""
        containers = [{"name": "c", "image": "nginx", **spec.pop("container", {})}]
        body = {
            "metadata": {"name": name},
            "spec": {"nodeName": NODE, "containers": containers, **spec},
        }
        await self.client.create(PODS, body, namespace="default")

    async def pods(self) -> list[dict[str, Any]]:
        return (await self.client.list(PODS)).items

    async def phases(self) -> list[str]:
        return [pod["status"].get("phase", "") for pod in await self.pods()]

    async def living(self) -> int:
        groups = (await self.emulator.ledger())["groups"]
        return sum(group["ended"] is None for group in groups)

    async def until(self, holds: Callable[[], Any], seconds: float = 120.0) -> None:
        """Wait, in simulated time, until ``holds()`` is true."""
        async with asyncio.timeout(seconds):
            while not await holds():  # noqa: ASYNC110 # it asks another process's like
                await asyncio.sleep(1.0)


@asynccontextmanager
async def site(
    cluster: DevCluster, folder: Path, emulated: Emulated, **more: Any
) -> AsyncIterator[Site]:
    """Run a node; ``more`` are fields of its provider's configuration."""
    settings = Settings(
        provider="alibabacloud",
        node_name=NODE,
        internal_ip="127.0.0.1",
        kubelet_port=0,
        serving_signer="",
        state_folder=folder / "node",
    )
    async with serve(emulated) as emulator:
        chosen = {**settings_for(emulator), "quota_share": "1", "poll": "3", "list_lag": "10"}
        given: EciConfig = load(EciConfig, provider="alibabacloud", overrides=chosen)
        config = attrs.evolve(given, **more)
        access = read_access(cluster.kubeconfig)
        node = VirtualKubelet(AlibabaCloudProvider, config, settings, access=access)
        async with Client(access, user_agent="test") as client, asyncio.TaskGroup() as tasks:
            running = tasks.create_task(node.run())
            async with asyncio.timeout(120):
                await node.ready.wait()
            yield Site(client, emulator)
            running.cancel()


@pytest.mark.parametrize("count", [1, 3, 100])
async def test_fifteen_minutes_of_denied_lists_end_no_pod(
    dev_cluster: DevCluster, tmp_path: Path, count: int
) -> None:
    async with site(dev_cluster, tmp_path, Emulated(rates=0)) as here:
        for number in range(count):
            await here.run(f"p{number}")

        async def all_run() -> bool:
            return await here.phases() == ["Running"] * count

        await here.until(all_run)
        await here.emulator.set_faults({"kind": "denied"})
        await asyncio.sleep(15 * 60)
        assert await all_run()
        assert await here.living() == count
        await here.emulator.set_faults()
        await asyncio.sleep(5 * 60)
        assert await all_run()
        assert await here.living() == count
        calls = (await here.emulator.ledger())["calls"]
        assert [call for call in calls if call["action"] == "DeleteContainerGroup"] == []


async def test_a_pod_whose_group_somebody_else_deleted_fails(
    dev_cluster: DevCluster, tmp_path: Path
) -> None:
    async with site(dev_cluster, tmp_path, Emulated()) as here:
        await here.run("web")

        async def is_in(phase: str) -> bool:
            return await here.phases() == [phase]

        await here.until(lambda: is_in("Running"))
        ((group),) = (await here.emulator.ledger())["groups"]
        await here.emulator.delete(group["id"])
        await here.until(lambda: is_in("Failed"), 600)


async def test_a_pod_without_stock_waits_with_the_reason_and_runs_when_there_is_some(
    dev_cluster: DevCluster, tmp_path: Path
) -> None:
    async with site(dev_cluster, tmp_path, Emulated()) as here:
        await here.emulator.set_faults({"kind": "schedule_failed"})
        await here.run("web")

        async def says() -> bool:
            (pod,) = await here.pods()
            return pod["status"].get("phase") == "Pending" and "NoStock" in str(pod["status"])

        await here.until(says)
        await asyncio.sleep(300)
        assert await says()
        await here.emulator.set_faults()

        async def runs() -> bool:
            return await here.phases() == ["Running"]

        await here.until(runs, 900)
        (pod,) = await here.pods()
        assert int(pod["metadata"]["annotations"]["k8s.aliyun.com/eci-create-attempt"]) >= 2
        assert billed_twice(await here.emulator.ledger()) == []


async def test_a_deleted_pod_is_gone_in_both_places(
    dev_cluster: DevCluster, tmp_path: Path
) -> None:
    async with site(dev_cluster, tmp_path, Emulated()) as here:
        await here.run("web", container={"command": ["sleep", "3600"]})

        async def runs() -> bool:
            return await here.phases() == ["Running"]

        await here.until(runs)
        await here.client.delete(PODS, "web", namespace="default")

        async def gone() -> bool:
            return await here.pods() == []

        await here.until(gone)
        assert await here.living() == 0


async def test_no_secret_is_seen_anywhere(dev_cluster: DevCluster, tmp_path: Path) -> None:
    """In no log, event, status, node or call's line, whatever the service answers."""
    canary, log = "canary-5f2c71", io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        async with site(dev_cluster, tmp_path, Emulated()) as here:
            secret = {"metadata": {"name": "s"}, "stringData": {"key": canary}}
            await here.client.create(SECRETS, secret, namespace="default")
            reference = {"secretKeyRef": {"name": "s", "key": "key"}}
            uses = {
                "container": {"env": [{"name": "KEY", "valueFrom": reference}]},
                "volumes": [{"name": "v", "secret": {"secretName": "s"}}],
            }
            faults = ["lost_reply", "html", "truncated", "server_error", "no_stock", "throttle"]
            for kind in faults:
                fault = {"kind": kind, "actions": ["CreateContainerGroup"], "count": 1}
                await here.emulator.set_faults(fault)
                await here.run(f"pod-{kind.replace('_', '-')}", **uses)
                await asyncio.sleep(15)
            long = {**uses, "container": {"env": [{"name": "LONG", "value": canary + "x" * 300}]}}
            await here.run("refused", **long)
            await asyncio.sleep(120)
            assert "Running" in await here.phases()
            seen = [await here.client.list(kind) for kind in (EVENTS, NODES)]
            statuses = [pod["status"] for pod in await here.pods()]
            ledger = await here.emulator.ledger()
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(logging.WARNING)
    text = orjson.dumps([[one.items for one in seen], statuses, ledger]).decode() + log.getvalue()
    assert "CreateContainerGroup" in text
    assert canary not in text
    assert "emulator-secret" not in text


@pytest.mark.field
async def test_the_node_offers_ephemeral_storage_and_what_else_is_configured(
    dev_cluster: DevCluster, tmp_path: Path
) -> None:
    """Without them the scheduler has no node for a pod that asks for storage or a GPU."""
    others = {"nvidia.com/gpu": "8"}
    async with site(dev_cluster, tmp_path, Emulated(), others=others) as here:
        capacity = (await here.client.get(NODES, NODE))["status"]["capacity"]
    assert capacity["ephemeral-storage"] == "30000Gi"
    assert capacity["nvidia.com/gpu"] == "8"
