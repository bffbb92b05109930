"""A cluster with one node whose pods are processes of this machine, and a kubectl for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import attrs
import orjson
import pytest
from isolation_here import needs_bubblewrap
from kubectl_process import Kubectl

from vk.cluster.config import load_access
from vk.kubelet import VirtualKubelet
from vk.settings import Settings
from vk_providers.process.config import ProcessConfig
from vk_providers.process.provider import ProcessProvider

NODE = "streams"
SERVERS = ("embedded", pytest.param("real", marks=pytest.mark.e2e))
everywhere = pytest.mark.parametrize(
    "world", [*SERVERS, pytest.param("isolated", marks=needs_bubblewrap)], indirect=True
)
"""For what differs where pods are isolated: also there, on the embedded API server."""
NO_WEBSOCKETS = {
    "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false",
    "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false",
}


@attrs.frozen
class World:
    """kubectl as administrator, and a folder for what pods and tests tell each other."""

    kubectl: Kubectl
    folder: Path
    server: str
    """``embedded`` or ``real``."""
    way: str = "websocket"

    def on(self, way: str) -> World:
        """Return the world with a kubectl that speaks as ``way`` has it."""
        environment = NO_WEBSOCKETS if way == "spdy" else {}
        kubectl = attrs.evolve(self.kubectl, environment=environment)
        return attrs.evolve(self, kubectl=kubectl, way=way)

    async def run_pod(self, name: str, script: str, *, ready: bool = True, **spec: Any) -> None:
        """Create a pod of one container that runs a shell script; wait until it is Ready.

        It works in a volume, so a file there is the same one for all its runs and commands.
        """
        container = {
            "name": "main",
            "image": "none",
            "command": ["sh", "-c", script],
            "workingDir": "/work",
            "volumeMounts": [{"name": "work", "mountPath": "/work"}],
            **spec.pop("container", {}),
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"name": name}},
            "spec": {
                "nodeName": NODE,
                "terminationGracePeriodSeconds": 0,
                "containers": [container],
                "volumes": [{"name": "work", "emptyDir": {}}],
                **spec,
            },
        }
        await self.kubectl("apply", "-f", "-", input=orjson.dumps(pod).decode())
        if ready:
            await self.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=20s")


@asynccontextmanager
async def a_world(
    kubectl: Kubectl,
    *,
    account: Path,
    address: str,
    folder: Path,
    server: str,
    isolation: Literal["none", "bubblewrap"] = "none",
) -> AsyncIterator[World]:
    """Run the node with the kubeconfig ``account`` and a pod ``web`` on it, which prints lines."""
    settings = Settings(
        provider="process",
        node_name=NODE,
        internal_ip=address,
        kubelet_port=0,
        serving_signer="",
        state_folder=folder / "node",
    )
    async with ProcessProvider.development() as state:
        config = ProcessConfig(**state, isolation=isolation)
        access = await load_access(str(account))
        node = VirtualKubelet(ProcessProvider, config, settings, access=access)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(node.run())
            async with asyncio.timeout(30):
                await node.ready.wait()
            world = World(kubectl, folder, server)
            await world.run_pod("web", "for i in 1 2 3; do echo line $i; done; exec sleep 1000")
            yield world
            await kubectl("delete", "pods", "--all", "--grace-period=0", "--force")
            running.cancel()
    await kubectl("delete", "node", NODE)
