"""metrics.k8s.io: how much nodes and pods use, for `kubectl top`.

In: calls for that group. Out: answers, made of what the kubelets of the nodes concerned measured;
each is scraped at most every 10 s, and only on request. What was not measured is
left out: kubectl then shows that it is unknown.

Note: a pod is shown only where each of its containers that runs was measured, since kubectl
adds them up.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import aiohttp
import attrs
import orjson

from vk.aio.memo import Memo
from vk.devcluster import refusals
from vk.devcluster.calls import Answer, Call, json_answer
from vk.devcluster.forms import shown
from vk.devcluster.kinds import Kind, stored_kind
from vk.devcluster.proxy.kubelets import Kubelet, Kubelets, UnreachableError
from vk.devcluster.proxy.samples import ResourceUsage, Sample, node_usage, read_sample, usage_of
from vk.devcluster.storage.history import Entry
from vk.devcluster.storage.selection import selection_of
from vk.devcluster.storage.storage import Storage, parse
from vk.devcluster.tables.table import table
from vk.models.api_object import container_statuses_of
from vk.models.time import format_time, now

__all__ = ["MetricsApi"]

log = logging.getLogger(__name__)

_FRESH = 10.0
_PATIENCE = 10.0
_SINGULAR = {"nodes": "nodemetrics", "pods": "podmetrics"}  # as refusals name them

Object = dict[str, Any]


@attrs.frozen
class _Samples:
    """The newest sample of a kubelet and the one before."""

    newer: Sample
    older: Sample | None


def _keep(samples: _Samples) -> float:
    return _FRESH


@attrs.define(eq=False)
class MetricsApi:
    """Answers get and list of nodes and pods in metrics.k8s.io. `close` it at the end."""

    storage: Storage
    kubelets: Kubelets
    _newest: Memo[str, _Samples] = attrs.field(factory=lambda: Memo(_keep), init=False, repr=False)
    _last: dict[str, _Samples] = attrs.field(factory=dict, init=False, repr=False)

    async def answer(self, call: Call) -> Answer:
        """Answer a call. Raises the refusals not_found and bad_request."""
        kind = call.target.kind
        stored = stored_kind(kind.plural)
        selection = selection_of(call)
        entries = self.storage.entries(stored, call.target.namespace or None)
        chosen = [entry for entry in entries if selection.matches(entry)]
        if kind.namespaced:
            found = await self._pods(stored, chosen)
        else:
            found = await self._nodes(chosen)
        objects = [{"kind": kind.name, "apiVersion": kind.api_version, **one} for one in found]
        if not call.target.name:
            return _list(call, objects)
        if not objects:
            raise _not_found(call)
        return json_answer(shown(kind, objects[0], call.form, call.query.get("includeObject", "")))

    async def close(self) -> None:
        """End questions that are under way."""
        await self._newest.close()

    async def _nodes(self, nodes: Sequence[Entry]) -> list[Object]:
        samples = await self._samples({entry.name for entry in nodes})
        found = []
        for entry in nodes:
            known = samples.get(entry.name)
            usage = node_usage(known.newer, known.older) if known else None
            if usage is not None:
                found.append({**_described(entry, usage), "usage": _quantities(usage)})
        return found

    async def _pods(self, kind: Kind, pods: Sequence[Entry]) -> list[Object]:
        running = [entry for entry in pods if entry.fields.get("status.phase") == "Running"]
        node_names = {entry.fields.get("spec.nodeName", "") for entry in running} - {""}
        samples = await self._samples(node_names)
        found = []
        for entry in running:
            known = samples.get(entry.fields.get("spec.nodeName", ""))
            usages = _containers(parse(kind, entry), known) if known else {}
            if usages:
                oldest = min(usages.values(), key=lambda usage: usage.time)
                containers = [
                    {"name": name, "usage": _quantities(usage)} for name, usage in usages.items()
                ]
                found.append({**_described(entry, oldest), "containers": containers})
        return found

    async def _samples(self, node_names: Iterable[str]) -> dict[str, _Samples]:
        names = list(node_names)
        found = await asyncio.gather(*(self._sample(name) for name in names))
        return {name: one for name, one in zip(names, found, strict=True) if one is not None}

    async def _sample(self, node_name: str) -> _Samples | None:
        try:
            return await self._newest.get(node_name, lambda: self._ask(node_name))
        except (UnreachableError, refusals.Refusal, TimeoutError) as error:
            log.debug("no metrics", extra={"node": node_name, "error": str(error)})
            return None

    async def _ask(self, node_name: str) -> _Samples:
        kubelet = self.kubelets.of(node_name)
        async with asyncio.timeout(_PATIENCE):
            text = await self._get(kubelet, "/metrics/resource")
            summary = await self._get(kubelet, "/stats/summary")
        sample = read_sample(text.decode(errors="replace"), _parsed(summary))
        last = self._last.get(node_name)
        if last is None or last.newer != sample:  # else the kubelet has not measured again
            last = self._last[node_name] = _Samples(sample, last.newer if last else None)
        return last

    async def _get(self, kubelet: Kubelet, target: str) -> bytes:
        async with self.kubelets.request("GET", kubelet, target) as reply:
            if reply.status != 200:
                raise UnreachableError(f"{target}: status {reply.status}")
            try:
                return await reply.read()
            except aiohttp.ClientError as error:
                raise UnreachableError(f"{target}: {error}") from None


def _containers(pod: Object, samples: _Samples) -> dict[str, ResourceUsage]:
    """Return the usage of each running container; nothing where one of them was not measured."""
    place = pod["metadata"]["namespace"], pod["metadata"]["name"]
    older = samples.older.containers if samples.older else {}
    found = {}
    for status in container_statuses_of(pod, ephemeral=True):
        if "running" not in (status.get("state") or {}):
            continue
        name = status["name"]
        reading = samples.newer.containers.get((*place, name))
        usage = usage_of(reading, older.get((*place, name))) if reading else None
        if usage is None:
            return {}
        found[name] = usage
    return found


def _described(entry: Entry, usage: ResourceUsage) -> Object:
    metadata: Object = {"name": entry.name}
    if entry.namespace:
        metadata["namespace"] = entry.namespace
    metadata["creationTimestamp"] = format_time(now())
    if entry.labels:
        metadata["labels"] = dict(entry.labels)
    moment = format_time(usage.time)
    return {"metadata": metadata, "timestamp": moment, "window": _duration(usage.window)}


def _duration(window: timedelta) -> str:
    """Return a duration as Go writes a short one."""
    text = f"{window.total_seconds():.3f}"
    return text.rstrip("0").rstrip(".") + "s"


def _quantities(usage: ResourceUsage) -> dict[str, str]:
    return {"cpu": f"{round(usage.cores * 1e9)}n", "memory": f"{math.ceil(usage.memory / 1024)}Ki"}


def _list(call: Call, objects: list[Object]) -> Answer:
    kind = call.target.kind
    if call.form == "table":
        include = call.query.get("includeObject", "") or "Metadata"
        return json_answer(table(kind, objects, now=now(), resource_version="", include=include))
    if call.form == "metadata":
        name, version = "PartialObjectMetadata", "meta.k8s.io/v1"
        objects = [shown(kind, one, "metadata") for one in objects]
    else:
        name, version = kind.name, kind.api_version
    content = {"kind": f"{name}List", "apiVersion": version, "metadata": {}, "items": objects}
    return json_answer(content)


def _not_found(call: Call) -> refusals.Refusal:
    target = call.target
    name = f"{target.namespace}/{target.name}" if target.namespace else target.name
    group, singular = target.kind.group, _SINGULAR[target.kind.plural]
    details = {"name": name, "group": group, "kind": singular}
    return refusals.Refusal(
        404, "NotFound", f'{singular}.{group} "{name}" not found', details=details
    )


def _parsed(summary: bytes) -> Any:
    try:
        return orjson.loads(summary)
    except orjson.JSONDecodeError:
        return None
