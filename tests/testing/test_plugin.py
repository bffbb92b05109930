"""The pytest plugin as other projects meet it: what it costs, and what its fixtures give."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import attrs
import pytest

import vk
from vk.testing.kubectl import Kubectl
from vk.testing.nodes import RunNode


@attrs.define(eq=False)
class Timer(vk.Provider):
    durable = False
    _pods: dict[vk.PodKey, vk.PodStatus] = attrs.field(factory=dict, init=False)

    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "4", "memory": "8Gi", "pods": "20"})

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        return self._pods.setdefault(pod.key, vk.PodStatus.running(pod))

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> None:
        if self._pods.pop(key, None) is None:
            raise vk.NotFoundError(key)

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        return list(self._pods.values())


class Broken(Timer):
    async def __aenter__(self) -> Broken:
        raise vk.ConfigError("region: expected one that exists")


def loaded(code: str) -> set[str]:
    """The modules that a fresh interpreter has after ``code``."""
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


@pytest.mark.slow
def test_the_plugin_imports_only_pytest() -> None:
    """Beside itself, and the packages that it lies in: they load their names on first use."""
    added = loaded("import pytest, vk.testing.plugin") - loaded("import pytest")
    assert added == {"vk", "vk.testing", "vk.testing.plugin"}


@pytest.mark.slow
def test_the_asynchronous_fixtures_import_only_pytest_asyncio() -> None:
    added = loaded("import pytest_asyncio, vk.testing.fixtures") - loaded("import pytest_asyncio")
    assert added == {"vk", "vk.testing", "vk.testing.fixtures"}


@pytest.mark.slow
async def test_a_ready_node_runs_pods_through_a_real_kubectl(
    run_node: RunNode, kubectl: Kubectl
) -> None:
    node = await run_node(Timer, node_name="mine")
    assert node.ready.is_set()
    await kubectl("run", "hello", "--image=any")
    await kubectl("wait", "--for=condition=Ready", "pod/hello", "--timeout=20s")
    (pod,) = (await kubectl.get("pods"))["items"]
    assert pod["spec"]["nodeName"] == "mine"


async def test_a_node_that_cannot_start_raises_its_reason(run_node: RunNode) -> None:
    with pytest.raises(vk.ConfigError, match="region: expected one that exists"):
        await run_node(Broken)
