"""The smallest provider: a pod runs from the moment it is created; nothing else happens."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

import vk


@attrs.define(eq=False)
class MinimalProvider(vk.Provider):
    """Keeps pods in memory."""

    durable = False  # its pods end with this process
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


@vk.hookimpl
def vk_register_providers(register: vk.Register) -> None:
    register("minimal", MinimalProvider)
