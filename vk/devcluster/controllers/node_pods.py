"""The pods of one node, as the embedded cluster has them: when they may come, and how they end.

`vk.cli.dev.session` and the fixtures of `vk.testing` use it around the life of a node, so that
no workload outlives the cluster that asked for it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import attrs

from vk.cluster.client import Client
from vk.cluster.resources import PODS
from vk.devcluster.controllers.node_taints import taints_for
from vk.devcluster.kinds import KINDS
from vk.devcluster.storage.storage import Entry, Storage
from vk.errors import ClusterError

__all__ = ["NodePods"]

_GRACE = 1  # s that pods get at the end
_NODE = next(kind for kind in KINDS if kind.name == "Node")
_POD = next(kind for kind in KINDS if kind.name == "Pod")


@attrs.frozen
class NodePods:
    """Looks into the storage, and deletes as a client of the API server."""

    storage: Storage
    node_name: str

    async def welcome(self) -> None:
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
        """Delete the pods and wait until they are gone; return those left after ``patience`` s."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await asyncio.gather(*(_delete(client, entry) for entry in self.entries()))
                while self.entries():
                    await self.storage.wait(_POD, self.storage.revision)
        return self.entries()


async def _delete(client: Client, pod: Entry) -> None:
    with suppress(ClusterError):  # it may have gone by itself; who is left is seen afterwards
        await client.delete(PODS, pod.name, namespace=pod.namespace, grace_period=_GRACE)
