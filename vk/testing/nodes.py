"""A node in the test's own process, on an embedded cluster, with a scheduler.

In: the cluster, a provider's class and its configuration. Out: a `VirtualKubelet` that is ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from vk.cluster.client import Client
from vk.cluster.kubeconfig import read_access
from vk.devcluster.cluster import DevCluster
from vk.devcluster.controllers.node_pods import NodePods
from vk.devcluster.controllers.scheduler import Scheduler
from vk.kubelet import VirtualKubelet
from vk.provider import Provider
from vk.settings import Settings

__all__ = ["RunNode", "running_node"]

_PATIENCE = 10.0


class RunNode(Protocol):
    """The fixture ``run_node``."""

    async def __call__(
        self, provider_class: type[Provider], config: Any = None, **settings: Any
    ) -> VirtualKubelet:
        """Return a node that is ready; it ends with the test."""
        ...


@asynccontextmanager
async def running_node(
    cluster: DevCluster,
    provider_class: type[Provider],
    config: Any = None,
    *,
    node_name: str = "vk",
    **settings: Any,
) -> AsyncIterator[VirtualKubelet]:
    """Run a node until the block ends; inside it the node is Ready and pods are scheduled.

    ``settings`` are fields of `vk.Settings`. Raises what the node ends with, also at the end of the
    block. Its pods are deleted first.
    """
    kubelet = VirtualKubelet(
        provider_class,
        config,
        Settings(
            node_name=node_name,
            **{
                "internal_ip": "127.0.0.1",
                "kubelet_port": 0,
                "serving_signer": "",  # there is no signer
                "state_folder": cluster.folder / "node",
                **settings,
            },
        ),
        access=read_access(cluster.kubeconfig),
    )
    pods = NodePods(cluster.storage, node_name)
    async with Client(read_access(cluster.kubeconfig), user_agent="vk-testing") as client:
        task = asyncio.ensure_future(_run(client, kubelet))
        try:
            await _ready(kubelet, pods, task)
            yield kubelet
            if not task.done():
                await pods.end(client, patience=_PATIENCE)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _run(client: Client, kubelet: VirtualKubelet) -> None:
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Scheduler(client).run())
            tasks.create_task(kubelet.run())
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


async def _ready(kubelet: VirtualKubelet, pods: NodePods, task: asyncio.Future[None]) -> None:
    """Return once the node is ready, or has ended."""

    async def ready() -> None:
        await kubelet.ready.wait()
        await pods.wait_until_schedulable()

    waiting = asyncio.ensure_future(ready())
    try:
        await asyncio.wait({waiting, task}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if task.done():
        task.result()
