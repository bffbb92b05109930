"""``/stats/summary`` and ``/metrics/resource``: usage of node, pods and containers.

In: the provider's `stats`, called at most every 10 s, whatever the number of requests. Out: the
kubelet's Summary, and Prometheus' text for metrics-server, rendered once for each answer of the
provider.

Values that were not measured are left out, not zero: the total of a pod is the sum of its
containers only where each of them was measured. The labels of a container come in the order
container, pod, namespace, which is not alphabetical: the Go project's own test suite takes the
second one for the pod.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cached_property
from typing import Any

import attrs
import orjson
from aiohttp import web

from vk.aio.memo import Memo
from vk.models.stats import NodeStats, PodStats, Usage
from vk.models.time import format_time
from vk.provider import Provider

__all__ = ["StatsHandler", "render_metrics", "render_summary"]

_FRESH = 10.0
_TIMEOUT = 30.0
_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_FIELDS = ("cpu_seconds", "cpu_cores", "memory_bytes", "working_set_bytes")
_NANO = 1_000_000_000
_Labels = list[tuple[str, str]]


@attrs.define(eq=False)
class _Rendered:
    """One answer of the provider, rendered for each route."""

    _stats: NodeStats
    _node_name: str

    @cached_property
    def summary(self) -> bytes:
        return orjson.dumps(render_summary(self._stats, self._node_name))

    @cached_property
    def metrics(self) -> bytes:
        return render_metrics(self._stats).encode()


def _keep(rendered: _Rendered) -> float:
    return _FRESH


@attrs.define(eq=False)
class StatsHandler:
    """Answers requests for statistics."""

    provider: Provider
    node_name: str
    check_acting: Callable[[], None]
    """Raises StatusError in a standby."""
    _newest: Memo[str, _Rendered] = attrs.field(factory=lambda: Memo(_keep, 1), init=False)

    async def summary(self, request: web.Request) -> web.Response:
        """Answer with the Summary. Raises what the provider raises."""
        body = (await self._rendered()).summary
        return web.Response(body=body, content_type="application/json")

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer with the metrics of resources. Raises what the provider raises."""
        body = (await self._rendered()).metrics
        return web.Response(body=body, headers={"Content-Type": _TEXT})

    async def close(self) -> None:
        """Cancel a call of the provider that is under way."""
        await self._newest.close()

    async def _rendered(self) -> _Rendered:
        self.check_acting()
        return await self._newest.get("", self._fetch)

    async def _fetch(self) -> _Rendered:
        async with asyncio.timeout(_TIMEOUT):
            return _Rendered(await self.provider.stats(), self.node_name)


def render_summary(stats: NodeStats, node_name: str) -> dict[str, Any]:
    """Return the kubelet's Summary."""
    totals = [_total(pod) for pod in stats.pods]
    node = stats.total or _sum(total for total in totals if total is not None)
    pods = [_pod(pod, total) for pod, total in zip(stats.pods, totals, strict=True)]
    return {"node": {"nodeName": node_name, **_usage(node)}, "pods": pods}


def _pod(pod: PodStats, total: Usage | None) -> dict[str, Any]:
    key = pod.key
    containers = [{"name": name, **_usage(usage)} for name, usage in pod.containers.items()]
    return {
        "podRef": {"name": key.name, "namespace": key.namespace, "uid": key.uid},
        **_usage(total),
        "containers": containers,
        **_network(pod, total),
    }


def _usage(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    moment = format_time(usage.time)
    cpu = {
        "usageNanoCores": None if usage.cpu_cores is None else round(usage.cpu_cores * _NANO),
        "usageCoreNanoSeconds": _nano(usage.cpu_seconds),
    }
    memory = {"usageBytes": usage.memory_bytes, "workingSetBytes": usage.working_set_bytes}
    found: dict[str, Any] = {}
    if usage.started_at is not None:
        found["startTime"] = format_time(usage.started_at)
    for name, values in (("cpu", cpu), ("memory", memory)):
        known = {field: value for field, value in values.items() if value is not None}
        if known:
            found[name] = {"time": moment, **known}
    return found


def _nano(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * _NANO)


def _network(pod: PodStats, total: Usage | None) -> dict[str, Any]:
    known = {"rxBytes": pod.received_bytes, "txBytes": pod.sent_bytes}
    known = {field: value for field, value in known.items() if value is not None}
    if not known or total is None:
        return {}
    interface = {"name": "eth0", **known}
    return {"network": {"time": format_time(total.time), **interface, "interfaces": [interface]}}


def _total(pod: PodStats) -> Usage | None:
    return pod.total or _sum(pod.containers.values())


def _sum(usages: Iterable[Usage]) -> Usage | None:
    """Return the sum; a field that is missing in one of them is missing in the sum."""
    parts = list(usages)
    if not parts:
        return None
    starts = [part.started_at for part in parts if part.started_at is not None]
    sums = {}
    for field in _FIELDS:
        values = [getattr(part, field) for part in parts]
        sums[field] = None if None in values else sum(values)
    return Usage(
        time=max(part.time for part in parts), started_at=min(starts, default=None), **sums
    )


@attrs.frozen
class _MetricFamily:
    name: str
    kind: str
    text: str
    field: str


def _families(prefix: str, what: str) -> tuple[_MetricFamily, ...]:
    return (
        _MetricFamily(
            f"{prefix}_cpu_usage_seconds_total",
            "counter",
            f"[STABLE] Cumulative cpu time consumed by the {what} in core-seconds",
            "cpu_seconds",
        ),
        _MetricFamily(
            f"{prefix}_memory_working_set_bytes",
            "gauge",
            f"[STABLE] Current working set of the {what} in bytes",
            "working_set_bytes",
        ),
        _MetricFamily(
            f"{prefix}_start_time_seconds",
            "gauge",
            f"[STABLE] Start time of the {what} since unix epoch in seconds",
            "started_at",
        ),
    )


def render_metrics(stats: NodeStats) -> str:
    """Return the text of ``/metrics/resource``."""
    totals = [(pod, _total(pod)) for pod in stats.pods]
    containers: list[tuple[_Labels, Usage]] = []
    pods: list[tuple[_Labels, Usage]] = []
    for pod, total in totals:
        where = [("pod", pod.key.name), ("namespace", pod.key.namespace)]
        for name, usage in pod.containers.items():
            containers.append(([("container", name), *where], usage))
        if total is not None:
            pods.append((where, total))
    whole = stats.total or _sum(total for _, total in totals if total is not None)
    node: list[tuple[_Labels, Usage]] = [([], whole)] if whole is not None else []
    lines = [
        *_render(_families("container", "container"), containers),
        *_render(_families("node", "node")[:2], node),
        *_render(_families("pod", "pod")[:2], pods),
        "# HELP resource_scrape_error [STABLE] 1 if there was an error while getting container "
        "metrics, 0 otherwise",
        "# TYPE resource_scrape_error gauge",
        "resource_scrape_error 0",
    ]
    return "\n".join(lines) + "\n"


def _render(
    families: Iterable[_MetricFamily], usages: Iterable[tuple[_Labels, Usage]]
) -> Iterator[str]:
    known = list(usages)
    for family in families:
        rows = [row for labels, usage in known if (row := _row(family, labels, usage)) is not None]
        if rows:
            yield f"# HELP {family.name} {family.text}"
            yield f"# TYPE {family.name} {family.kind}"
            yield from rows


def _row(family: _MetricFamily, labels: _Labels, usage: Usage) -> str | None:
    value = getattr(usage, family.field)
    if value is None:
        return None
    if isinstance(value, datetime):
        value = value.timestamp()
    text = ",".join(f'{name}="{_escaped(label)}"' for name, label in labels)
    moment = round(usage.time.timestamp() * 1000)
    return f"{family.name}{'{' + text + '}' if text else ''} {float(value)!r} {moment}"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
