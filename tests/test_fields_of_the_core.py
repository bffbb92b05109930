"""Fields that the cluster or the core sees to, whatever the backend does: no table lists them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vk
from vk.cluster.client import Client
from vk.cluster.kubeconfig import read_access
from vk.cluster.resources import PODS
from vk.devcluster.cluster import DevCluster
from vk.fields import FieldTable
from vk.testing.nodes import running_node
from vk_providers.alibabacloud.fields import FIELDS as ALIBABACLOUD
from vk_providers.mock.fields import FIELDS as MOCK
from vk_providers.process.fields import FIELDS as PROCESS

TABLES = [FieldTable(), FieldTable(unlisted="refused"), ALIBABACLOUD, MOCK, PROCESS]
SPEC: dict[str, Any] = {
    "activeDeadlineSeconds": 60,
    "automountServiceAccountToken": True,
    "os": {"name": "linux"},
    "readinessGates": [{"conditionType": "example.org/gate"}],
    "schedulingGroup": {"podGroupName": "g"},
    "tolerations": [{"operator": "Exists"}],
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("field", list(SPEC))
def test_no_provider_ignores_or_refuses_what_is_not_its_business(
    table: FieldTable, field: str
) -> None:
    assert list(table.findings({field: SPEC[field]})) == []


def test_a_provider_may_still_refuse_it() -> None:
    table = FieldTable(refused={"spec.os": "runs every system"})
    assert [found.place for found in table.refusals(SPEC)] == ["spec.os"]


class Plain(vk.Provider):
    """Runs pods in name only; its table says nothing."""

    fields = FieldTable()

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.pods: dict[vk.PodKey, vk.PodStatus] = {}

    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "8", "memory": "8Gi", "pods": "10"})

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        self.pods[pod.key] = vk.PodStatus.running(pod)
        return self.pods[pod.key]

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> None:
        self.pods.pop(key, None)

    async def list_pods(self) -> list[vk.PodStatus]:
        return list(self.pods.values())


class Punctual(Plain):
    """Its backend ends pods by itself, late enough for this test."""

    fields = FieldTable(honoured=("spec.activeDeadlineSeconds",))


async def until(client: Client, name: str, holds: Callable[[dict[str, Any]], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            pod = await client.get(PODS, name, namespace="default")
            if holds(pod.get("status") or {}):
                return
            await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_the_core_keeps_a_deadline_unless_the_provider_says_that_it_does(
    tmp_path: Path,
) -> None:
    async with (
        DevCluster(tmp_path) as cluster,
        Client(read_access(cluster.kubeconfig), user_agent="test") as client,
        running_node(cluster, Punctual, node_name="punctual", state_folder=tmp_path / "punctual"),
        running_node(cluster, Plain, node_name="plain", state_folder=tmp_path / "plain"),
    ):
        for name, seconds in (("punctual", 1), ("plain", 2)):
            spec = {
                "nodeName": name,
                "activeDeadlineSeconds": seconds,
                "containers": [{"name": "main", "image": "x"}],
            }
            body = {"metadata": {"name": name}, "spec": spec}
            await client.create(PODS, body, namespace="default")
            await until(client, name, lambda status: status.get("phase") == "Running")
        await until(client, "plain", lambda status: status.get("reason") == "DeadlineExceeded")
        await until(client, "punctual", lambda status: status.get("phase") == "Running")
