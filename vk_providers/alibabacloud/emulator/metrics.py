"""The metric actions: simulated values, monotonic for counters and within the group's size."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

from vk_providers.alibabacloud.emulator.cloud import ApiCall
from vk_providers.alibabacloud.emulator.group import EmulatedGroup
from vk_providers.alibabacloud.emulator.states import moment

__all__ = ["describe_metric", "describe_metrics"]

_PERIOD = 15
_WINDOW = 300.0
_POINTS = 500
_GIB = 2**30
_NANO = 10**9
_WAVE = 2 * math.pi / 600
"""Usage oscillates with a period of ten minutes."""


def describe_metric(call: ApiCall) -> dict[str, Any]:
    """Return the records of one group, by default of the last five minutes."""
    group, asked = call.group(), call.parameters
    end = min(asked.get("EndTime", call.now), call.now)
    start = asked.get("StartTime", end - _WINDOW)
    rows = _records(group, start, end, int(asked.get("Period", _PERIOD)))
    return {"ContainerGroupId": group.id, "Records": rows}


def describe_metrics(call: ApiCall) -> dict[str, Any]:
    """Return the newest records of groups; with MetricType=summary one each."""
    groups = {group.id: group for group in call.cloud.group_store.all()}
    datas = list[dict[str, Any]]()
    for id in call.parameters["ContainerGroupIds"]:
        if id in groups:
            rows = _records(groups[id], call.now - _WINDOW, call.now, _PERIOD)
            rows = rows[-1:] if "MetricType" in call.parameters else rows
            datas.append({"ContainerGroupId": id, "Records": [_short(row) for row in rows]})
    return {"MonitorDatas": datas}


def _short(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record in the words of the answer about several groups."""
    disks = [{name.replace("IO", "Io"): n for name, n in one.items()} for one in record["Disk"]]
    files = [
        {name: n for name, n in one.items() if name != "Category"} for one in record["Filesystem"]
    ]
    return {**record, "Disk": disks, "Filesystem": files}


def _records(group: EmulatedGroup, start: float, end: float, period: int) -> list[dict[str, Any]]:
    """Return a record for each billed period, and one for now."""
    began = group.entry.billed_from
    if began is None:
        return []
    end = min(end, end if group.entry.ended is None else group.entry.ended)
    start = max(start, began, end - _POINTS * period)
    count = math.floor((end - start) / period) if end >= start else -1
    return [_record(group, began, end - back * period) for back in range(count, -1, -1)]


_FILESYSTEM = {
    "FsName": "/dev/root",
    "Category": "System",
    "Capacity": 30 * _GIB,
    "Usage": _GIB,
    "Available": 29 * _GIB,
}


def _record(group: EmulatedGroup, began: float, at: float) -> dict[str, Any]:
    share = 0.02 + zlib.crc32(group.id.encode()) % 100 / 1000
    age, cores, memory = max(0.0, at - began), group.size.cpu, int(group.size.memory * _GIB)
    traffic = int(age * 1000)
    parts = max(1, len(group.containers))
    names = [each.name for each in group.containers]
    return {
        "Timestamp": moment(at),
        "CPU": _cpu(share, age, cores),
        "Memory": _memory(share, memory),
        "Network": {"Interfaces": [_interface(traffic)]},
        "Filesystem": [_FILESYSTEM],
        "Disk": [_disk(traffic)],
        "Containers": [
            {
                "Name": name,
                "CPU": _cpu(share, age, cores / parts),
                "Memory": _memory(share, memory // parts),
            }
            for name in names
        ],
    }


def _cpu(share: float, age: float, cores: float) -> dict[str, Any]:
    """Return oscillating usage, and its monotonic integral."""
    swing: Callable[[float], float] = math.sin
    now = share * cores * (1 + swing(_WAVE * age) / 2)
    total = share * cores * (age + (1 - math.cos(_WAVE * age)) / (2 * _WAVE))
    return {
        "UsageNanoCores": int(now * _NANO),
        "UsageCoreNanoSeconds": int(total * _NANO),
        "Load": 0,
        "Limit": int(cores * 1000),
    }


def _memory(share: float, memory: int) -> dict[str, int]:
    used = int(memory * (share + 0.05))
    return {
        "UsageBytes": used,
        "WorkingSet": used,
        "Rss": used // 2,
        "Cache": used // 4,
        "AvailableBytes": memory - used,
    }


def _interface(traffic: int) -> dict[str, Any]:
    counts = {"Bytes": traffic, "Packets": traffic // 500, "Errors": 0, "Drops": 0}
    both = {f"{way}{name}": count for way in ("Rx", "Tx") for name, count in counts.items()}
    return {"Name": "eth0", **both}


def _disk(traffic: int) -> dict[str, Any]:
    counts = {"Bytes": traffic, "IO": traffic // 4096}
    both = {f"{way}{name}": count for way in ("Read", "Write") for name, count in counts.items()}
    return {"Device": "vda", **both}
