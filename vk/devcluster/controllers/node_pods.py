"""The pods of one node of the embedded cluster: when they may be scheduled, and how they end.

`vk.cli.dev.session` and the fixtures of `vk.testing` use it around the life of a node, so that
no workload outlives the cluster of its pod.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import attrs

from vk.cluster.client import Client
from vk.cluster.resources import NODES, PODS
from vk.devcluster.controllers.node_taints import taints_for
from vk.devcluster.kinds import stored_kind
from vk.devcluster.storage.storage import Entry, Storage
from vk.errors import ClusterError

__all__ = ["NodePods"]

_GRACE = 1  # s that pods get at the end
_NODE, _POD = stored_kind("nodes"), stored_kind("pods")


@attrs.frozen
class NodePods:
    """Looks into the storage, and deletes as a client of the API server."""

    storage: Storage
    node_name: str

    async def wait_until_schedulable(self) -> None:
        """Return once the node has the taints of its conditions: a pod before that is refused."""
        storage = self.storage
        while (node := storage.get(_NODE, "", self.node_name)) is None or (
            taints_for(node) != (node["spec"].get("taints") or [])
        ):
            await storage.wait(_NODE, storage.revision)

    def entries(self) -> list[Entry]:
        """Return the pods that are bound to the node."""
        pods = self.storage.entries(_POD)
        return [entry for entry in pods if entry.fields.get("spec.nodeName") == self.node_name]

    async def end(self, client: Client, *, patience: float) -> list[Entry]:
        """Cordon the node, delete its pods, also those that still come, until all are gone.

        Return those that are left once none has ended for ``patience`` seconds.
        """
        clock = asyncio.get_running_loop().time
        deleted: set[str] = set()
        fewest, late = len(self.entries()), clock() + patience
        await _cordon(client, self.node_name)
        revision = self.storage.revision
        while pods := self.entries():
            new = [pod for pod in pods if pod.uid not in deleted]
            await asyncio.gather(*(_delete(client, pod) for pod in new))
            deleted |= {pod.uid for pod in new}
            if len(pods) < fewest:
                fewest, late = len(pods), clock() + patience
            try:
                # Not `asyncio.timeout`: Python 3.11.2 loses it on a task that Ctrl-C cancelled.
                await asyncio.wait_for(self.storage.wait(_POD, revision), late - clock())
            except TimeoutError:
                break
            revision = self.storage.revision
        return self.entries()


async def _cordon(client: Client, node_name: str) -> None:
    with suppress(ClusterError):  # without it pods may come, and are deleted like the others
        await client.patch(NODES, node_name, {"spec": {"unschedulable": True}}, form="merge")


async def _delete(client: Client, pod: Entry) -> None:
    with suppress(ClusterError):  # it may be gone already; what is left is seen afterwards
        await client.delete(PODS, pod.name, namespace=pod.namespace, grace_period=_GRACE)
