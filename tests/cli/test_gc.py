"""`vk gc`: what no pod asks for is listed, ended only with proof, and only by who may act."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from plugin_files import write

from vk.cli.main import command
from vk.cluster.client import Client
from vk.cluster.kubeconfig import read_access
from vk.cluster.resources import LEASES, PODS
from vk.devcluster.cluster import DevCluster
from vk.node.lease import replica_of

pytestmark = pytest.mark.slow

BACKEND = """
import json, os, vk
from datetime import datetime
from pathlib import Path

FILE = Path(os.environ["VKT_BACKEND"])

class Fake(vk.Provider):
    async def describe_node(self):
        return vk.NodeInfo(capacity={"cpu": "1", "pods": "1", "memory": "1Gi"})

    async def create_pod(self, pod):
        raise vk.UnsupportedError("it only has what is there")

    async def delete_pod(self, key, *, grace_period):
        self.context.check_lease()
        left = [one for one in json.loads(FILE.read_text()) if one["uid"] != key.uid]
        FILE.write_text(json.dumps(left))

    async def list_pods(self):
        return [
            vk.PodStatus(
                vk.PodKey("default", one["name"], one["uid"]),
                backend_id="b-" + one["name"],
                created_at=datetime.fromisoformat(one["created"]),
                annotations={"example.com/price": "0.5 CNY"},
            )
            for one in json.loads(FILE.read_text())
        ]

@vk.hookimpl
def vk_register_providers(register):
    register("fake", Fake)
"""


async def site(cluster: DevCluster, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a backend's file with an old orphan, a young one, and the workload of a pod."""
    write(folder, "vkt-gc", code=BACKEND)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "vkt_gc", raising=False)
    access = read_access(cluster.kubeconfig)
    body = {
        "metadata": {"name": "kept"},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]},
    }
    async with Client(access, user_agent="test") as client:
        kept = await client.create(PODS, body, namespace="default")
    old, young = (datetime.now(UTC) - timedelta(seconds=age) for age in (600, 10))
    rows = [
        {"name": "lost", "uid": "u-lost", "created": old.isoformat()},
        {"name": "young", "uid": "u-young", "created": young.isoformat()},
        {"name": "kept", "uid": kept["metadata"]["uid"], "created": old.isoformat()},
    ]
    file = folder / "backend.json"
    file.write_text(json.dumps(rows))
    monkeypatch.setenv("VKT_BACKEND", str(file))
    return file


async def run(cluster: DevCluster, folder: Path, *flags: str) -> Result:
    arguments = ["gc", "--provider", "fake", "--nodename", "n", "--state-folder", str(folder / "s")]
    arguments += ["--kubeconfig", str(cluster.kubeconfig), *flags]
    return await asyncio.to_thread(CliRunner().invoke, command, arguments)


def names(file: Path) -> list[str]:
    return [one["name"] for one in json.loads(file.read_text())]


async def test_a_dry_run_lists_and_ends_nothing(
    dev_cluster: DevCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await site(dev_cluster, tmp_path, monkeypatch)
    result = await run(dev_cluster, tmp_path, "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "default/lost b-lost, 10 min old price=0.5 CNY: would be ended",
        "default/young b-young, 0 min old price=0.5 CNY: would be ended",
        "2 orphans of 3 workloads",
    ]
    assert names(file) == ["lost", "young", "kept"]


async def test_what_is_proved_is_ended_and_the_lease_given_back(
    dev_cluster: DevCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await site(dev_cluster, tmp_path, monkeypatch)
    result = await run(dev_cluster, tmp_path)
    assert "default/lost b-lost, 10 min old price=0.5 CNY: ended" in result.output
    assert names(file) == ["kept"]
    async with Client(read_access(dev_cluster.kubeconfig), user_agent="test") as client:
        lease = await client.get(LEASES, "n", namespace="kube-node-lease")
    assert replica_of(lease) == ""


async def test_beside_a_node_that_runs_nothing_is_ended(
    dev_cluster: DevCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await site(dev_cluster, tmp_path, monkeypatch)
    stop = asyncio.Event()
    async with Client(read_access(dev_cluster.kubeconfig), user_agent="test") as client:
        holding = asyncio.create_task(hold(client, stop))
        result = await run(dev_cluster, tmp_path, "--node-lease-duration", "2s")
        stop.set()
        await holding
    assert result.exit_code != 0
    assert names(file) == ["lost", "young", "kept"]


async def hold(client: Client, stop: asyncio.Event) -> None:
    """Renew the node's lease as another process would."""
    lease: dict[str, Any] = {"metadata": {"name": "n"}, "spec": {"holderIdentity": "another"}}
    current = await client.create(LEASES, lease, namespace="kube-node-lease")
    while not stop.is_set():
        moment = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {**current["spec"], "renewTime": moment}
        body = {**current, "spec": spec}
        current = await client.replace(LEASES, "n", body, namespace="kube-node-lease")
        await asyncio.sleep(0.3)
