"""The scheduler of the embedded cluster: finds a node for each pod, as a client of the API server.

In: nodes and unfinished pods, watched. Out: bindings; for a pod that no node will do for, the
condition PodScheduled=False and an event, with kube-scheduler's texts. `vk dev` runs it; a test may
run it against any API server that has no scheduler. What goes where is decided in `scheduling`.

A pod counts on its node from the moment it is chosen, not only once the watch shows the binding;
so two pods never share one free place. Pods that wait for a node are looked at again when a node
changes in what matters, and when a pod leaves one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import Any

import attrs

from vk.aio.tasks import supervise
from vk.cluster.client import Client
from vk.cluster.events import EventRecorder
from vk.cluster.reflector import Reflector
from vk.cluster.resources import NODES, PODS
from vk.cluster.store import ObjectKey, Store, object_key
from vk.devcluster.controllers.scheduling import NodeView, choose, is_ours
from vk.errors import ClusterError, ConflictError, ObjectNotFoundError
from vk.models.api_object import condition_of, spec_of
from vk.models.time import format_time, now
from vk.pods.admission import ReservedResources
from vk.workqueue import WorkQueue

__all__ = ["Scheduler"]

log = logging.getLogger(__name__)

Json = dict[str, Any]

_BINDINGS = 16  # in flight
_REGROUP = 0.1  # s between a change and the next look at waiting pods: many changes, one look
_UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"
_SPEC = (
    "affinity",
    "containers",
    "initContainers",
    "nodeName",
    "nodeSelector",
    "overhead",
    "resources",
    "schedulerName",
    "schedulingGates",
    "tolerations",
)


@attrs.define(eq=False)
class Scheduler:
    """Schedules the pods of one cluster; ``client`` is open as long as `run` runs."""

    _client: Client = attrs.field(repr=False)
    _events: EventRecorder = attrs.field(init=False, repr=False)
    _pods: Store = attrs.field(factory=Store, init=False, repr=False)
    _nodes: dict[str, NodeView] = attrs.field(factory=dict, init=False, repr=False)
    _used: defaultdict[str, ReservedResources] = attrs.field(
        factory=lambda: defaultdict(ReservedResources), init=False, repr=False
    )
    _assumed: dict[str, str] = attrs.field(factory=dict, init=False, repr=False)
    """By UID, the node of a pod that was bound and is not yet seen with it."""
    _waiting: set[ObjectKey] = attrs.field(factory=set, init=False, repr=False)
    """Pods that no node will do for."""
    _queue: WorkQueue[ObjectKey] = attrs.field(factory=WorkQueue, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._events = EventRecorder(self._client, "default-scheduler", "")

    async def run(self) -> None:
        """Schedule until cancelled. Failures of the API server are waited out."""
        nodes = Reflector(self._client, NODES, Store(), self._node_changed)
        pods = Reflector(
            self._client,
            PODS,
            self._pods,
            self._pod_changed,
            field_selector=_UNFINISHED,
            transform=_slim,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(supervise("scheduler's nodes", nodes.run))
            tasks.create_task(supervise("scheduler's pods", pods.run))
            tasks.create_task(supervise("scheduler's events", self._events.run))
            await nodes.synced.wait()
            await pods.synced.wait()
            await self._dispatch(tasks)

    async def _dispatch(self, tasks: asyncio.TaskGroup) -> None:
        free = asyncio.Semaphore(_BINDINGS)
        while True:
            await free.acquire()
            key = await self._queue.get()
            task = tasks.create_task(self._attempt(key))
            task.add_done_callback(lambda _: free.release())

    async def _attempt(self, key: ObjectKey) -> None:
        """Do what the pod needs now, later again where that failed. Raises nothing."""
        try:
            await self._schedule(key)
        except (ConflictError, ObjectNotFoundError):
            self._queue.forget(key)  # bound, deleted or replaced: the watch shows it
        except ClusterError as error:
            log.warning("pod not scheduled", extra={"pod": "/".join(key), "error": str(error)})
            self._queue.retry(key)
        except Exception:  # one pod's trouble must not stop the others
            log.exception("pod not scheduled", extra={"pod": "/".join(key)})
            self._queue.retry(key)
        else:
            self._queue.forget(key)
        finally:
            self._queue.done(key)

    async def _schedule(self, key: ObjectKey) -> None:
        pod = self._pods.get(*key)
        if pod is None or not is_ours(pod) or _uid(pod) in self._assumed:
            return
        decision = choose(pod, list(self._nodes.values()), self._used)
        if decision.node:
            await self._bind(key, pod, decision.node)
        else:
            self._waiting.add(key)
            await self._refuse(key, pod, decision.message)

    async def _bind(self, key: ObjectKey, pod: Json, node: str) -> None:
        self._used[node].add(pod)
        self._assumed[_uid(pod)] = node
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": key[1], "namespace": key[0], "uid": _uid(pod)},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self._client.create(
                PODS, binding, namespace=key[0], name=key[1], subresource="binding"
            )
        except BaseException:
            # Unless the watch has shown the binding meanwhile: then it did take effect.
            if self._assumed.pop(_uid(pod), None) is not None:
                self._used[node].remove(pod)
            raise
        text = f"Successfully assigned {'/'.join(key)} to {node}"
        self._events.emit(_reference(pod), "Normal", "Scheduled", text)

    async def _refuse(self, key: ObjectKey, pod: Json, message: str) -> None:
        before = condition_of(pod, "PodScheduled")
        if before.get("status") == "False" and before.get("message") == message:
            return
        since = before.get("lastTransitionTime") if before.get("status") == "False" else None
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "lastProbeTime": None,
            "lastTransitionTime": since or format_time(now()),
            "observedGeneration": pod["metadata"].get("generation"),
        }
        self._events.emit(_reference(pod), "Warning", "FailedScheduling", message)
        patch = {"metadata": {"uid": _uid(pod)}, "status": {"conditions": [condition]}}
        await self._client.patch(PODS, key[1], patch, namespace=key[0], subresource="status")

    def _node_changed(self, old: Json | None, new: Json | None) -> None:
        if new is None:
            self._nodes.pop((old or {})["metadata"]["name"], None)
            return
        view = NodeView.of(new)
        if self._nodes.get(view.name) != view:
            self._nodes[view.name] = view
            self._look_again()

    def _pod_changed(self, old: Json | None, new: Json | None) -> None:
        raw = new or old or {}
        key, node = object_key(raw), raw["spec"].get("nodeName")
        if new is None:
            self._forget(key, raw, node)
        elif node:
            self._waiting.discard(key)
            self._assumed.pop(_uid(raw), None)
            if old is None or old["spec"] != raw["spec"] or not self._used[node].counts(raw):
                self._used[node].add(raw)
        elif is_ours(raw):
            self._queue.add(key)

    def _forget(self, key: ObjectKey, raw: Json, node: str | None) -> None:
        """Free the place of a pod that ended or is gone."""
        self._waiting.discard(key)
        node = self._assumed.pop(_uid(raw), None) or node
        if node:
            self._used[node].remove(raw)
            self._look_again()

    def _look_again(self) -> None:
        for key in self._waiting:
            self._queue.add(key, _REGROUP)
        self._waiting.clear()


def _slim(raw: Json) -> Json:
    """Return what is looked at of a pod, so that thousands cost little."""
    metadata, spec = raw["metadata"], spec_of(raw)
    kept = {key: spec[key] for key in _SPEC if key in spec}
    for kind in ("containers", "initContainers"):
        if kind in kept:
            kept[kind] = [
                {key: one[key] for key in ("resources", "restartPolicy") if key in one}
                for one in kept[kind]
            ]
    return {
        "metadata": {
            key: metadata[key]
            for key in (
                "name",
                "namespace",
                "uid",
                "resourceVersion",
                "generation",
                "deletionTimestamp",
            )
            if key in metadata
        },
        "spec": kept,
        "status": {"conditions": [found]} if (found := condition_of(raw, "PodScheduled")) else {},
    }


def _uid(pod: Json) -> str:
    return str(pod["metadata"]["uid"])


def _reference(pod: Json) -> dict[str, str]:
    metadata = pod["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
