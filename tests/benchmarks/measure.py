"""What a process costs by /proc, and what the API server was asked by its own metrics."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence

import aiohttp

__all__ = ["cpu_seconds", "percentile", "requests", "resident_mb", "writes"]

_TICK = os.sysconf("SC_CLK_TCK")
_LINE = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<count>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_RESOURCES = frozenset(
    (
        *("pods", "nodes", "leases", "events", "services", "configmaps", "secrets"),
        *("namespaces", "serviceaccounts"),
    )
)
_WRITES = ("POST", "PUT", "PATCH", "APPLY", "DELETE")


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process with all its threads, to 10 ms."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    with open(f"/proc/{pid}/status") as file:
        line = next(line for line in file if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6


async def requests(session: aiohttp.ClientSession) -> Counter[str]:
    """Return how many requests the API server has answered, as ``VERB resource/subresource``.

    Of all users, its own included; a watch counts when it ends.
    """
    found: Counter[str] = Counter()
    async with session.get("/metrics") as answer:
        answer.raise_for_status()
        text = await answer.text()
    for match in _LINE.finditer(text):
        labels = dict(_LABEL.findall(match["labels"]))
        if labels["resource"] in _RESOURCES:
            names = filter(None, (labels["resource"], labels["subresource"]))
            found[f"{labels['verb']} {'/'.join(names)}"] += int(float(match["count"]))
    return found


def writes(counts: Counter[str]) -> int:
    """Return how many of the requests change something."""
    return sum(count for name, count in counts.items() if name.split()[0] in _WRITES)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that ``percent`` of 100 values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
