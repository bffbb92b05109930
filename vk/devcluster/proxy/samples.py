"""The measurements of a kubelet, and the usage between two of them. Pure.

In: the text of ``/metrics/resource`` and the document of ``/stats/summary``. Out: a `Sample`, and
from two of them the `ResourceUsage` of node and containers, as metrics.k8s.io shows it.

Note: the first has exact times and counters, only the second has rates that the backend
measured itself. Where there is no earlier sample and no such rate, the use since the start of a
container stands in, so that the first `kubectl top` already shows something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from vk.models.time import parse_time

__all__ = [
    "ContainerName",
    "Reading",
    "ResourceUsage",
    "Sample",
    "node_usage",
    "read_sample",
    "usage_of",
]

ContainerName = tuple[str, str, str]
"""Namespace, pod, container."""

_LONGEST = timedelta(minutes=2)  # between two samples; older ones are no measure of now
_LINE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)(?:\s+(?P<time>-?\d+))?"
)
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_NODE_FAMILIES = {
    "node_cpu_usage_seconds_total": "cpu_seconds",
    "node_memory_working_set_bytes": "memory",
}
_CONTAINER_FAMILIES = {
    "container_cpu_usage_seconds_total": "cpu_seconds",
    "container_memory_working_set_bytes": "memory",
    "container_start_time_seconds": "started",
}


@attrs.frozen(kw_only=True)
class Reading:
    """A measurement of a node or container; None: not measured."""

    time: datetime | None = None
    """When the processor time was read, else when anything was."""
    cpu_seconds: float | None = None
    memory: float | None = None
    started: float | None = None
    """Unix time of its start, in seconds."""
    cores: float | None = None
    """A rate that the backend measured."""


@attrs.frozen
class Sample:
    """All readings of one kubelet."""

    node: Reading = attrs.field(factory=Reading)
    containers: Mapping[ContainerName, Reading] = attrs.field(factory=dict)


@attrs.frozen
class ResourceUsage:
    """Average usage in the ``window`` that ended at ``time``."""

    time: datetime
    window: timedelta
    cores: float
    memory: float


def read_sample(text: str, summary: Any) -> Sample:
    """Read the answers of a kubelet; what cannot be understood in them is left out."""
    node: dict[str, Any] = {}
    containers: dict[ContainerName, dict[str, Any]] = {}
    for family, labels, value, moment in _rows(text):
        if family in _NODE_FAMILIES:
            field, found = _NODE_FAMILIES[family], node
        elif family in _CONTAINER_FAMILIES:
            name = tuple(labels.get(key, "") for key in ("namespace", "pod", "container"))
            field, found = _CONTAINER_FAMILIES[family], containers.setdefault(name, {})  # type: ignore[arg-type]  # three of them, as a ContainerName has
        else:
            continue
        found[field] = value
        if field != "started" and (field == "cpu_seconds" or "time" not in found):
            found["time"] = moment
    cores, of_node = _rates(summary), _part(summary, "node")
    started = parse_time(of_node.get("startTime"))
    return Sample(
        Reading(
            **node,
            started=started.timestamp() if started else None,  # only this document has it
            cores=_nano(of_node),
        ),
        {name: Reading(**found, cores=cores.get(name)) for name, found in containers.items()},
    )


def usage_of(newer: Reading, older: Reading | None) -> ResourceUsage | None:
    """Return what was used between two readings, None where that is not known."""
    if newer.time is None or newer.memory is None:
        return None
    rate = _rate(newer, older) or _measured(newer) or _since_start(newer)
    if rate is None:
        return None
    cores, window = rate
    return ResourceUsage(newer.time, window, cores, newer.memory)


def node_usage(newer: Sample, older: Sample | None) -> ResourceUsage | None:
    """Return what the node used; where it did not count, what its containers used together."""
    own = usage_of(newer.node, older.node if older else None)
    if own is not None or newer.node.time is None or newer.node.memory is None:
        return own
    before = older.containers if older else {}
    parts = [usage_of(one, before.get(name)) for name, one in newer.containers.items()]
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    cores, window = sum(part.cores for part in known), max(part.window for part in known)
    return ResourceUsage(newer.node.time, window, cores, newer.node.memory)


def _rate(newer: Reading, older: Reading | None) -> tuple[float, timedelta] | None:
    if older is None or newer.time is None or older.time is None or newer.started != older.started:
        return None
    if newer.cpu_seconds is None or older.cpu_seconds is None:
        return None
    window, used = newer.time - older.time, newer.cpu_seconds - older.cpu_seconds
    if used < 0 or not timedelta() < window <= _LONGEST:
        return None
    return used / window.total_seconds(), window


def _measured(reading: Reading) -> tuple[float, timedelta] | None:
    return None if reading.cores is None else (reading.cores, timedelta())


def _since_start(reading: Reading) -> tuple[float, timedelta] | None:
    if reading.cpu_seconds is None or reading.started is None or reading.time is None:
        return None
    window = reading.time - datetime.fromtimestamp(reading.started, UTC)
    if window <= timedelta():
        return None
    return reading.cpu_seconds / window.total_seconds(), window


def _rows(text: str) -> Iterator[tuple[str, dict[str, str], float, datetime]]:
    """Yield the rows that have a timestamp."""
    for line in text.split("\n"):
        match = None if line.startswith("#") else _LINE.fullmatch(line.strip())
        if match is None or match["time"] is None:
            continue
        try:
            value = float(match["value"])
            moment = datetime.fromtimestamp(int(match["time"]) / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            continue
        labels = {
            name: _ESCAPED.sub(_unescaped, label)
            for name, label in _LABEL.findall(match["labels"] or "")
        }
        yield match["name"], labels, value, moment


def _unescaped(match: re.Match[str]) -> str:
    return "\n" if match[1] == "n" else match[1]


def _rates(summary: Any) -> dict[ContainerName, float]:
    """Return the rates that a Summary has of containers."""
    found: dict[ContainerName, float] = {}
    for pod in _items(summary, "pods"):
        reference = _part(pod, "podRef")
        for container in _items(pod, "containers"):
            rate = _nano(container)
            if rate is not None:
                place = str(reference.get("namespace")), str(reference.get("name"))
                found[*place, str(container.get("name"))] = rate
    return found


def _part(document: Any, field: str) -> dict[str, Any]:
    part = document.get(field) if isinstance(document, dict) else None
    return part if isinstance(part, dict) else {}


def _items(document: Any, field: str) -> Iterator[dict[str, Any]]:
    items = document.get(field) if isinstance(document, dict) else None
    return (one for one in items if isinstance(one, dict)) if isinstance(items, list) else iter(())


def _nano(part: dict[str, Any]) -> float | None:
    rate = _part(part, "cpu").get("usageNanoCores")
    return rate / 1e9 if isinstance(rate, int) else None
