"""A node in this process on the embedded cluster and on a real one, for the same scenarios.

The node has the rights that examples/deploy grants, its provider is the mock with a state file, and
it can be stopped and started again. On the embedded cluster our own scheduler binds the pods.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from kubectl_process import CONTROL_PLANE, WHEEL, Kubectl, program
from scenarios_world import NODE, TAINT, Node, World

from vk.cluster.client import Client
from vk.cluster.kubeconfig import read_access
from vk.devcluster.cluster import DevCluster
from vk.devcluster.controllers.scheduler import Scheduler
from vk.testing.control_plane import ControlPlane

ROLES = Path(__file__).parents[2] / "examples" / "deploy" / "base" / "rbac.yaml"
_numbers = itertools.count(1)


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=["embedded", pytest.param("real", marks=pytest.mark.e2e)],
)
async def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """Give a running node on each API server."""
    folder = tmp_path_factory.mktemp("scenarios")
    async with AsyncExitStack() as stack:
        if request.param == "real":
            plane: ControlPlane = request.getfixturevalue("control_plane")
            kubectl = Kubectl(plane.assets / "kubectl", plane.admin_kubeconfig, folder / "cache")
            await kubectl("apply", "-f", str(ROLES))
            account = await asyncio.to_thread(
                plane.kubeconfig_for_service_account, "kube-system", "vk"
            )
        else:
            path = program(WHEEL) or program(CONTROL_PLANE)
            if path is None:
                pytest.skip("no kubectl on this machine")
            cluster = await stack.enter_async_context(DevCluster(folder / "cluster"))
            kubectl = Kubectl(path, cluster.kubeconfig, folder / "cache")
            await kubectl("apply", "-f", str(ROLES))
            account = cluster.service_account_kubeconfig("kube-system", "vk")
            client = Client(read_access(cluster.kubeconfig), user_agent="scheduler")
            await stack.enter_async_context(client)
            scheduling = asyncio.create_task(Scheduler(client).run())
            stack.callback(scheduling.cancel)
        node = Node(account, folder)
        await node.start()
        stack.push_async_callback(node.stop)
        world = World(kubectl, node, request.param == "real")

        async def only_ours() -> bool:
            return await world.path("{.spec.taints[*].key}", "node", NODE) == TAINT

        await world.until(only_ours)  # a scheduler binds nothing before the other taints go
        yield world
        await node.stop()
        await kubectl("delete", "node", NODE)


@pytest_asyncio.fixture(loop_scope="module")
async def namespace(world: World) -> AsyncIterator[str]:
    """Give a namespace whose pods may name ConfigMaps; it is deleted without a wait."""
    name = f"scenario-{next(_numbers)}"
    kubectl = world.kubectl
    await kubectl("create", "namespace", name)
    await kubectl(
        *("create", "rolebinding", "vk-references", "--clusterrole=vk-references"),
        *("--serviceaccount=kube-system:vk", f"--namespace={name}"),
    )
    await kubectl("wait", "--for=create", "serviceaccount/default", f"-n={name}", "--timeout=20s")
    yield name
    await kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
