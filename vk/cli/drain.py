"""`vk drain`: end everything that a node runs, and with ``--delete-node`` the node itself.

In: the name of a node and the caller's own rights. Out: lines, and the exit code. Everything goes
through the API server, so it works from any machine; the node's process must be running, for it
ends the workloads: a pod is gone only once the provider has confirmed that. Each step may be
repeated, so a drain that was interrupted is just started again.

A running process makes its Node again when that is deleted. So the Node is deleted last, once the
lease is no longer renewed: to drain for good, stop the process in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import click

from vk._version import __version__
from vk.cluster.client import Client
from vk.cluster.config import load_access
from vk.cluster.resources import LEASES, NODES, PODS
from vk.errors import ClusterError, ConflictError, ObjectNotFoundError, ThrottledError, VkError
from vk.models.node import DRAINING
from vk.models.pod import Json
from vk.node.document import OWNED, is_draining
from vk.node.lease import replica_of

__all__ = ["Drain", "drain"]

_LEASES = "kube-node-lease"
_POLL = 1.0
_TRIES = 5


def drain(node: str, *, kubeconfig: str, delete_node: bool, timeout: float) -> int:
    """Drain ``node`` and return the exit code; ``timeout`` in seconds, 0: none. Raises VkError."""
    asyncio.run(_run(node, kubeconfig=kubeconfig, delete_node=delete_node, timeout=timeout))
    return 0


async def _run(node: str, *, kubeconfig: str, delete_node: bool, timeout: float) -> None:
    access = await load_access(kubeconfig)
    async with Client(access, user_agent=f"vk-drain/{__version__}", connections=16) as client:
        one = Drain(client, node, click.echo)
        try:
            async with asyncio.timeout(timeout or None):
                await one.empty()
                if delete_node:
                    await one.delete()
        except TimeoutError:
            raise VkError(f"not done after {timeout:g} s: {one.waiting}") from None


@attrs.define(eq=False)
class Drain:
    """One node on its way out. First `empty`, then `delete`; both may be repeated."""

    client: Client
    node: str
    say: Callable[[str], object]
    waiting: str = attrs.field(default="the API server does not answer", init=False)
    """What is waited for now, for people."""
    _lease: object = attrs.field(default=None, init=False)
    _since: float = attrs.field(default=0.0, init=False)

    async def empty(self) -> None:
        """Let no pod come any more, evict those that are there, and return once all have ended.

        Raises VkError where the node is another program's, or where no process can end its pods.
        """
        if not await self._cordon():
            return
        self.say(f"node {self.node} takes no new pods")
        pods = await self._pods()
        first = {pod["metadata"]["uid"] for pod in pods}
        while left := [pod for pod in pods if not _refused(pod, first)]:
            self._tell(f"{len(left)} pods have not ended, {_names(left)}")
            blocked = [pod for pod in left if not await self._evict(pod)]
            if blocked:
                self._tell(f"a PodDisruptionBudget keeps {_names(blocked)}")
            await self._check_alive()
            await asyncio.sleep(_POLL)
            pods = await self._pods()
        await self._confirm()
        self.say(f"nothing runs on node {self.node}")

    async def delete(self) -> None:
        """Delete lease and Node once no process acts for the node any more."""
        while not await self._is_free():
            self._tell(f"stop the process of node {self.node}: it would make its Node again")
            await asyncio.sleep(_POLL)
        for resource, namespace in ((LEASES, _LEASES), (NODES, "")):
            try:
                await self.client.delete(resource, self.node, namespace=namespace)
            except ObjectNotFoundError:
                continue
        self.say(f"node {self.node} is gone")

    async def _cordon(self) -> bool:
        """Mark the Node; False: there is none."""
        for _ in range(_TRIES):
            try:
                node = await self.client.get(NODES, self.node)
                if OWNED not in (node["metadata"].get("annotations") or {}):
                    raise VkError(f"node {self.node} is not run by vk")
                patch = _cordoned(node)
                await self.client.patch(NODES, self.node, patch, form="merge")
            except ObjectNotFoundError:
                self.say(f"there is no node {self.node}")
                return False
            except ConflictError:
                continue
            return True
        raise VkError(f"node {self.node} changed {_TRIES} times while it was marked: try again")

    async def _pods(self) -> Sequence[Json]:
        selector = f"spec.nodeName={self.node}"
        return (await self.client.list(PODS, field_selector=selector)).items

    async def _evict(self, pod: Json) -> bool:
        """Ask for the end of a pod, with its own grace period; False: a budget forbids it now."""
        metadata = pod["metadata"]
        if metadata.get("deletionTimestamp"):
            return True
        name, namespace = metadata["name"], metadata["namespace"]
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": metadata["uid"]}},
        }
        where = {"namespace": namespace, "subresource": "eviction", "name": name}
        try:
            await self.client.create(PODS, body, **where, timeout=_POLL)
        except (ObjectNotFoundError, ConflictError):
            return True  # it has gone, or is another one: the next list tells
        except ThrottledError:
            return False
        return True

    async def _check_alive(self) -> None:
        """Raise VkError when no process is there that could end the pods."""
        if await self._is_free():
            raise VkError(
                f"{self.waiting}, and no process acts for node {self.node}: "
                "start it again, so that it ends them, and drain then"
            )

    async def _confirm(self) -> None:
        """Ask the node what its provider still has; where it cannot be asked, say so."""
        try:
            while (document := await self._status()).get("orphans"):
                self._tell(f"the provider still has {document['orphans']} that no pod asks for")
                await asyncio.sleep(_POLL)
        except ClusterError as error:
            self.say(f"what the provider still has is not known: {error}")

    async def _status(self) -> Json:
        return await self.client.get(NODES, self.node, subresource="proxy/vk/status")

    async def _is_free(self) -> bool:
        """Return whether the lease is free: released, or seen unchanged for its whole duration."""
        try:
            lease = await self.client.get(LEASES, self.node, namespace=_LEASES)
        except ObjectNotFoundError:
            return True
        if replica_of(lease) == "":
            return True
        spec, clock = lease["spec"], asyncio.get_running_loop().time()
        mark = (lease["metadata"].get("annotations"), spec.get("renewTime"))
        if mark != self._lease:
            self._lease, self._since = mark, clock
        return clock - self._since > float(spec.get("leaseDurationSeconds") or 0)

    def _tell(self, what: str) -> None:
        if what != self.waiting:
            self.waiting = what
            self.say(what)


def _cordoned(node: Json) -> dict[str, Any]:
    """Return the patch; the resourceVersion, since taints are one atomic list."""
    taints = (node.get("spec") or {}).get("taints") or []
    if not is_draining(node):
        taints = [*taints, {"key": DRAINING.key, "effect": DRAINING.effect}]
    return {
        "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
        "spec": {"unschedulable": True, "taints": taints},
    }


def _refused(pod: Json, first: set[str]) -> bool:
    """Whether it is a DaemonSet's that came after the mark, so that the node has not run it."""
    metadata = pod["metadata"]
    owners = metadata.get("ownerReferences") or ()
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    runs = any("running" in (one.get("state") or {}) for one in statuses)
    late = metadata["uid"] not in first and not runs
    return late and any(owner["kind"] == "DaemonSet" for owner in owners)


def _names(pods: Sequence[Json]) -> str:
    names = [f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pods]
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
