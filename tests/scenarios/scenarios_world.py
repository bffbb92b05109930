"""The nodes and the cluster that the scenarios see."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
from kubectl_process import Kubectl

import vk
from vk.cluster.config import load_access
from vk.kubelet import VirtualKubelet
from vk.settings import Settings
from vk.testing.control_plane import CommandError
from vk_providers.mock.config import MockConfig
from vk_providers.mock.provider import MockProvider

NODE = "scenarios"
PROCESSES = "scenarios-process"
TAINT = "virtual-kubelet.io/provider"


@attrs.define(eq=False)
class Node:
    """The node; `start` and `stop` may be repeated."""

    account: Path
    folder: Path
    name: str = NODE
    provider: type[vk.Provider] = MockProvider
    config: Any = attrs.field(
        default=attrs.Factory(
            lambda self: MockConfig(state=str(self.folder / "mock-state")), takes_self=True
        )
    )
    _running: asyncio.Task[None] | None = attrs.field(default=None, init=False)

    async def start(self) -> None:
        """Start it; it is Ready when this returns."""
        settings = Settings(
            provider="scenario",
            node_name=self.name,
            internal_ip="127.0.0.1",
            kubelet_port=0,
            serving_signer="",
            taints=(vk.Taint(TAINT, "mock", "NoSchedule"),),
            state_folder=self.folder / self.name,
        )
        access = await load_access(str(self.account))
        kubelet = VirtualKubelet(self.provider, self.config, settings, access=access)
        self._running = asyncio.create_task(kubelet.run())
        async with asyncio.timeout(30):
            await kubelet.ready.wait()

    async def stop(self) -> None:
        """Stop it in order."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


@attrs.frozen
class World:
    """A cluster with the node; ``kubectl`` is an administrator."""

    kubectl: Kubectl
    node: Node
    controllers: bool
    """Whether those of Kubernetes run."""

    async def apply(self, manifest: str, namespace: str) -> None:
        """Apply one manifest."""
        await self.kubectl("apply", f"-n={namespace}", "-f", "-", input=manifest)

    async def wait(self, what: str, condition: str, namespace: str = "default") -> None:
        """Wait for a condition, as ``kubectl wait`` has it."""
        await self.kubectl("wait", what, f"--for={condition}", f"-n={namespace}", "--timeout=25s")

    async def path(self, path: str, *what: str) -> str:
        """Return what a JSONPath finds."""
        return await self.kubectl("get", *what, f"-o=jsonpath={path}")

    async def until(self, probe: Callable[[], Awaitable[bool]], seconds: float = 25) -> None:
        """Ask again and again until it is so; a command that fails counts as not yet."""
        async with asyncio.timeout(seconds):
            while True:
                with suppress(CommandError):
                    if await probe():
                        return
