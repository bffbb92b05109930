"""What a provider raises, and what becomes of it: one backend that goes wrong in every way.

The image's name says how: ``sold-out`` comes back in two seconds, ``too-big`` never fits, and
``flaky`` fails once with an unforeseen error.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

import vk


@attrs.define(eq=False)
class MoodyProvider(vk.Provider):
    """Runs pods in memory, if its backend lets it."""

    durable = False
    poll_interval = 0.5

    _pods: dict[str, vk.PodStatus] = attrs.field(factory=dict, init=False)
    _tries: dict[str, int] = attrs.field(factory=dict, init=False)

    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "4", "memory": "8Gi", "pods": "200"})

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        uid = pod.key.uid
        if uid not in self._pods:
            tries = self._tries[uid] = self._tries.get(uid, 0) + 1
            self._order(pod.containers[0].image, tries)
            self._pods[uid] = vk.PodStatus.running(pod)
        return self._pods[uid]

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> None:
        self._tries.pop(key.uid, None)
        if self._pods.pop(key.uid, None) is None:
            raise vk.NotFoundError(key)

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        return list(self._pods.values())

    def _order(self, image: str, tries: int) -> None:
        """Ask the backend for a place; it knows three ways to say no."""
        if image == "sold-out" and tries == 1:
            raise vk.TemporaryError("no machine is free, one comes back soon", retry_after=2.0)
        if image == "too-big":
            raise vk.PermanentError("no machine is that large", reason="NoSuchSize")
        if image == "flaky" and tries == 1:
            raise ConnectionResetError("the connection broke: did the order arrive?")


@vk.hookimpl
def vk_register_providers(register: vk.Register) -> None:
    register("moody", MoodyProvider)
