"""`vk.run`: one call runs a node from a script, and a signal stops it in order."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

import vk
from vk.aio.tasks import retry_forever
from vk.cluster.client import Client
from vk.cluster.kubeconfig import read_access
from vk.cluster.resources import NODES
from vk.devcluster.cluster import DevCluster
from vk.kubelet import provider_name

pytestmark = pytest.mark.slow

SCRIPT = """
import sys
from pathlib import Path
import vk

class Quiet(vk.Provider):
    durable = False
    async def __aenter__(self):
        self.context.supervise("background", self.work)
        return self
    async def __aexit__(self, *_):
        print("left", flush=True)
    async def work(self):
        print("at work", flush=True)
        raise vk.TemporaryError("it stops working")
    async def describe_node(self):
        return vk.NodeInfo(capacity={"cpu": "1", "memory": "1Gi", "pods": "1"})
    async def create_pod(self, pod): return vk.PodStatus.running(pod)
    async def delete_pod(self, key, *, grace_period): raise vk.NotFoundError(key)
    async def list_pods(self): return []

vk.run(Quiet, kubeconfig=sys.argv[1], node_name="scripted", internal_ip="127.0.0.1",
       kubelet_port=0, serving_signer="", state_folder=Path(sys.argv[2]))
print("stopped", flush=True)
"""


async def node_taints(cluster: DevCluster, name: str) -> list[dict[str, str]]:
    """Return the taints of a Node, once it is there."""
    async with Client(read_access(cluster.kubeconfig), user_agent="test") as client:
        node = await retry_forever("there is no node", lambda: client.get(NODES, name))
    found: list[dict[str, str]] = node["spec"]["taints"]
    return found


async def test_a_script_runs_a_node_until_a_signal(dev_cluster: DevCluster, tmp_path: Path) -> None:
    """Name and taint come from the class; background work is started again, and ends with it."""
    (tmp_path / "script.py").write_text(SCRIPT)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(tmp_path / "script.py")),
        *(str(dev_cluster.kubeconfig), str(tmp_path / "state")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"at work\n"
            assert await process.stdout.readline() == b"at work\n"
        (taint,) = await node_taints(dev_cluster, "scripted")
        assert (taint["key"], taint["value"]) == ("virtual-kubelet.io/provider", "quiet")
        process.send_signal(signal.SIGTERM)
        out, log = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert (process.returncode, out.splitlines()[-2:]) == (0, [b"left", b"stopped"]), log.decode()
    assert b'"component":"background"' in log


def test_a_provider_is_called_after_its_class() -> None:
    class CountingProvider(vk.Provider):
        """Not run."""

    assert provider_name(CountingProvider) == "counting"


def test_a_node_needs_a_class() -> None:
    with pytest.raises(TypeError, match=r"expected a subclass of vk\.Provider"):
        vk.VirtualKubelet(vk.Settings(provider="x"))  # type: ignore[arg-type] # on purpose
