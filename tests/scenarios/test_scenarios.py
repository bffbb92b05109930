"""What users see of a node that needs no controller and no killed process, on both API servers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from scenarios_world import NODE, World

from vk.node.lease import replica_of

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).parents[2]
READY = '{.status.conditions[?(@.type=="Ready")].status}'


def pod(name: str, *, annotations: dict[str, str] | None = None, **spec: Any) -> str:
    """Return a pod that only our node runs."""
    wanted = {
        "nodeSelector": {"kubernetes.io/hostname": NODE},
        "tolerations": [{"key": "virtual-kubelet.io/provider", "operator": "Exists"}],
        "containers": [{"name": "main", "image": "nginx"}],
        **spec,
    }
    metadata = {"name": name, "annotations": annotations or {}}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": wanted})


async def test_the_node_is_a_ready_agent_that_keeps_ordinary_pods_away(world: World) -> None:
    line = (await world.kubectl("get", "node", NODE, "--no-headers")).split()
    assert line[:3] == [NODE, "Ready", "agent"]
    assert "vk" in line[4]
    found = await world.kubectl.get("node", NODE)
    labels = found["metadata"]["labels"]
    assert labels["type"] == "virtual-kubelet"
    assert labels["kubernetes.io/hostname"] == NODE
    taint = {"key": "virtual-kubelet.io/provider", "value": "mock", "effect": "NoSchedule"}
    assert taint in found["spec"]["taints"]


async def test_the_example_pod_is_scheduled_runs_and_goes(world: World, namespace: str) -> None:
    await world.apply((ROOT / "examples" / "nginx.yaml").read_text(), namespace)
    await world.wait("pod/nginx", "condition=Ready", namespace)
    where = await world.path("{.status.phase} {.spec.nodeName}", "pod", "nginx", f"-n={namespace}")
    assert where.split() == ["Running", NODE]
    await world.kubectl("delete", "pod", "nginx", f"-n={namespace}", "--timeout=20s")


async def test_a_pod_that_ends_is_succeeded(world: World, namespace: str) -> None:
    short = {"mock.vk/run-for": "0.2s"}
    await world.apply(pod("once", annotations=short, restartPolicy="Never"), namespace)
    await world.wait("pod/once", "jsonpath={.status.phase}=Succeeded", namespace)


async def test_a_forced_deletion_is_obeyed(world: World, namespace: str) -> None:
    """A new pod of the same name runs: nothing clings to the old."""
    for _ in range(2):
        await world.apply(pod("one"), namespace)
        await world.wait("pod/one", "condition=Ready", namespace)
        force = ("--force", "--grace-period=0", "--timeout=20s")
        await world.kubectl("delete", "pod", "one", f"-n={namespace}", *force)


async def test_a_namespace_with_pods_can_be_deleted(world: World, namespace: str) -> None:
    for number in range(5):
        await world.apply(pod(f"p{number}"), namespace)
    await world.wait("pod/p4", "condition=Ready", namespace)
    await world.kubectl("delete", "namespace", namespace, "--timeout=25s")
    assert "not found" in await world.kubectl("get", "namespace", namespace, code=1)


async def test_a_pod_waits_for_its_config_map(world: World, namespace: str) -> None:
    """It is looked for again within 10 s."""
    source = [{"configMapRef": {"name": "settings"}}]
    containers = [{"name": "main", "image": "nginx", "envFrom": source}]
    await world.apply(pod("one", containers=containers), namespace)
    reason = "{.status.containerStatuses[0].state.waiting.reason}=CreateContainerConfigError"
    await world.wait("pod/one", f"jsonpath={reason}", namespace)
    await world.kubectl("create", "configmap", "settings", f"-n={namespace}", "--from-literal=a=b")
    await world.wait("pod/one", "condition=Ready", namespace)


async def test_a_pod_that_asks_for_too_much_says_so(world: World, namespace: str) -> None:
    """Past the scheduler."""
    much = [{"name": "main", "image": "a", "resources": {"requests": {"cpu": "1000"}}}]
    await world.apply(pod("huge", containers=much, nodeName=NODE), namespace)
    await world.wait("pod/huge", "jsonpath={.status.phase}=Failed", namespace)
    status = (await world.kubectl.get("pod", "huge", f"-n={namespace}"))["status"]
    assert status["reason"] == "OutOfcpu"
    assert "cpu" in status["message"]


async def test_a_resize_reaches_the_status_of_the_container(world: World, namespace: str) -> None:
    sized = {"requests": {"cpu": "1", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "64Mi"}}
    containers = [{"name": "main", "image": "nginx", "resources": sized}]
    await world.apply(pod("one", containers=containers), namespace)
    await world.wait("pod/one", "condition=Ready", namespace)
    wanted = {"requests": {"cpu": "1500m", "memory": "64Mi"}, "limits": sized["limits"]}
    spec = {"containers": [{"name": "main", "resources": wanted}]}
    how = ("--subresource=resize", "-p", json.dumps({"spec": spec}))
    await world.kubectl("patch", "pod", "one", f"-n={namespace}", *how)
    given = "{.status.containerStatuses[0].resources.requests.cpu}=1500m"
    await world.wait("pod/one", f"jsonpath={given}", namespace)
    status = (await world.kubectl.get("pod", "one", f"-n={namespace}"))["status"]
    (container,) = status["containerStatuses"]
    assert container["allocatedResources"] == wanted["requests"]
    assert (container["restartCount"], status["observedGeneration"]) == (0, 2)


async def test_init_containers_can_be_resized(world: World, namespace: str) -> None:
    """API servers allow it where the node declares it; for sidecars they do not ask."""
    sized = {"requests": {"cpu": "1", "memory": "64Mi"}}
    first = {"name": "first", "image": "nginx", "resources": sized}
    side = {**first, "name": "side", "restartPolicy": "Always"}
    await world.apply(pod("one", initContainers=[first, side]), namespace)
    await world.wait("pod/one", "condition=Ready", namespace)
    wanted = {"requests": {"cpu": "1500m", "memory": "64Mi"}}
    spec = {"initContainers": [{"name": name, "resources": wanted} for name in ("first", "side")]}
    how = ("--subresource=resize", "-p", json.dumps({"spec": spec}))
    await world.kubectl("patch", "pod", "one", f"-n={namespace}", *how)
    given = "{.status.initContainerStatuses[1].resources.requests.cpu}=1500m"
    await world.wait("pod/one", f"jsonpath={given}", namespace)


async def test_the_largest_pods_run_beside_others(world: World, namespace: str) -> None:
    """As much as the API server takes: 256 KiB of annotations, and 1 MiB in all."""
    env = [{"name": f"V{number}", "value": "x" * 64 * 1024} for number in range(12)]
    containers = [{"name": "main", "image": "nginx", "env": env}]
    large = pod("big", annotations={"a/b": "\x01" * (255 * 1024)}, containers=containers)
    for manifest in (large, pod("small")):
        await world.kubectl("create", f"-n={namespace}", "-f", "-", input=manifest)
    for name in ("small", "big"):
        await world.wait(f"pod/{name}", "condition=Ready", namespace)
    await world.kubectl("delete", "pod", "big", "small", f"-n={namespace}", "--timeout=20s")


async def test_a_stop_in_order_leaves_pods_alone_and_gives_the_lease_free(
    world: World, namespace: str
) -> None:
    """And the next start creates nothing again, and takes new pods."""
    await world.apply(pod("stays"), namespace)
    await world.wait("pod/stays", "condition=Ready", namespace)
    before = await world.kubectl.get("pod", "stays", f"-n={namespace}")
    await world.node.stop()
    lease = ("leases", NODE, "-n=kube-node-lease")
    assert replica_of(await world.kubectl.get(*lease)) == ""
    assert await _ready(world) == "True"
    await world.node.start()
    await world.apply(pod("after"), namespace)
    await world.wait("pod/after", "condition=Ready", namespace)
    after = await world.kubectl.get("pod", "stays", f"-n={namespace}")
    assert after["status"] == before["status"]


async def test_a_deleted_node_comes_back(world: World) -> None:
    uid = await world.path("{.metadata.uid}", "node", NODE)
    await world.kubectl("delete", "node", NODE)
    async with asyncio.timeout(10):
        while await _ready(world) != "True":
            pass
    assert await world.path("{.metadata.uid}", "node", NODE) != uid


async def test_a_node_that_somebody_calls_unknown_is_ready_within_two_seconds(
    world: World,
) -> None:
    """As the node controller does it to a node whose lease it missed."""
    condition = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}
    patch = json.dumps({"status": {"conditions": [condition]}})
    how = ("--subresource=status", "--type=strategic", "-p", patch)
    await world.kubectl("patch", "node", NODE, *how)
    async with asyncio.timeout(2):
        while await _ready(world) != "True":
            pass


async def _ready(world: World) -> str:
    return await world.path(READY, "node", NODE, "--ignore-not-found")
