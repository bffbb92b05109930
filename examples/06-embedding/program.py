"""A program of your own that is a Kubernetes node beside what else it does.

It counts the pods that were started, and stops in order after Ctrl-C.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs

import vk


@attrs.define(eq=False)
class CountingProvider(vk.Provider):
    """Keeps pods in memory, and tells the program how many it has started."""

    durable = False
    _pods: dict[vk.PodKey, vk.PodStatus] = attrs.field(factory=dict, init=False)

    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "4", "memory": "8Gi", "pods": "20"})

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        if pod.key not in self._pods:
            self._pods[pod.key] = vk.PodStatus.running(pod)
            self.context.config.set()
        return self._pods[pod.key]

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> None:
        if self._pods.pop(key, None) is None:
            raise vk.NotFoundError(key)

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        return list(self._pods.values())


async def count(started: asyncio.Event) -> None:
    """The program's own work."""
    number = 0
    while True:
        await started.wait()
        started.clear()
        number += 1
        print(f"{number} started", flush=True)


async def main() -> None:
    """Run the node and the program side by side until Ctrl-C."""
    started = asyncio.Event()
    settings = vk.Settings(
        provider="counting",
        node_name="embedded",
        kubeconfig=os.environ["KUBECONFIG"],
        internal_ip="127.0.0.1",
        kubelet_port=0,  # any that is free
        serving_signer="",  # its certificate stays self-signed
        state_folder=Path(tempfile.gettempdir()) / "vk-embedding",
    )
    node = vk.VirtualKubelet(CountingProvider, started, settings)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(node.run())
        tasks.create_task(count(started))
        await node.ready.wait()
        print("the node is ready", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        print("stopped", flush=True)
