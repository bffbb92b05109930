"""SampleProvider: one method for each thing that Kubernetes wants of the backend."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import vk

__all__ = ["SampleProvider"]


@attrs.define(eq=False)
class SampleProvider(vk.Provider):
    """Runs pods in the memory of this process."""

    # Pods end with this process. A backend that keeps them says True: that is the default.
    durable = False

    _pods: dict[vk.PodKey, vk.PodStatus] = attrs.field(factory=dict, init=False)

    async def describe_node(self) -> vk.NodeInfo:
        """Say what the node offers; the scheduler places pods by it."""
        return vk.NodeInfo(capacity={"cpu": "4", "memory": "8Gi", "pods": "100"})

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        """Start the pod, or find the one that an earlier call for its UID has started."""
        return self._pods.setdefault(pod.key, vk.PodStatus.running(pod))

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> None:
        """Ask for the pod's end. NotFoundError says that nothing of it is left."""
        if self._pods.pop(key, None) is None:
            raise vk.NotFoundError(key)

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        """Say how every pod of this node is; vk asks each `poll_interval`."""
        return list(self._pods.values())
