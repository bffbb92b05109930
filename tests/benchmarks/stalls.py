"""What unread streams cost a node: time of others, memory, and what is left of them."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

from access import PODS
from measure import percentile, resident_mb
from nodes import Node, Setting

__all__ = ["measure_stalled"]

_HERE = Path(__file__).parent
_SETTLE = 10.0
_OTHERS = 100
_LONGEST = 180.0
_COMMAND = b"cat\0/dev/zero\0"


async def measure_stalled(setting: Setting, node: Node, count: int) -> dict[str, Any]:
    """Open ``count`` streams, measure beside them, kill their client and wait until all is free.

    Memory is that of vk and of the pod's supervisor with its reaper.
    """
    pids = [node.process.pid, *_supervisors(setting)]
    quiet = await _others(setting, node)
    memory, open_before = _memory(pids), _open_files(pids)
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, str(_HERE / "stalled.py"), str(setting.kubeconfig)),
        *(node.name, str(count), str(setting.flood_port)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert client.stdout is not None
        async with asyncio.timeout(_LONGEST):
            if await client.stdout.readline() != b"open\n":
                raise RuntimeError("the streams could not be opened")
        await asyncio.sleep(_SETTLE)
        others = await _others(setting, node)
        used = _memory(pids)
    finally:
        client.kill()
        await client.wait()
    freed = await _freed(pids, open_before)
    delay, mib = percentile(others, 99), (used - memory) * 1e6 / count / (1 << 20)
    return {
        "streams": count,
        "others_p99_s": round(delay, 3),
        "others_p99_s_before": round(percentile(quiet, 99), 3),
        "mib_per_stream": round(mib, 2),
        "freed_after_s": freed,
        "mb": {"before": memory, "with_streams": used, "after": _memory(pids)},
        "reached": {
            "others_p99_s": delay <= 1.0,
            "mib_per_stream": mib <= 2.0,
            "freed_after_s": freed is not None and freed <= 120.0,
        },
    }


async def _others(setting: Setting, node: Node) -> list[float]:
    """Return how long other requests took: the last line of a log, one at a time."""
    took, query = list[float](), {"container": "tick", "tailLines": "1"}
    for _ in range(_OTHERS):
        begun = time.monotonic()
        async with setting.session.get(f"{PODS}/{node.name}/log", params=query) as answer:
            answer.raise_for_status()
            await answer.read()
        took.append(time.monotonic() - begun)
    return took


async def _freed(pids: list[int], open_before: int) -> float | None:
    """Return after how many seconds all files and commands of the streams were gone."""
    begun = time.monotonic()
    while time.monotonic() - begun < _LONGEST:
        if _open_files(pids) <= open_before and not _commands():
            return round(time.monotonic() - begun, 1)
        await asyncio.sleep(0.5)
    return None


def _supervisors(setting: Setting) -> list[int]:
    """Return the processes that hold the pod: those that were started with its folder."""
    folder = os.fsencode(setting.folder / "pods")
    return [pid for pid, line in _processes() if folder in line and b"-I\0-S\0" in line]


def _commands() -> int:
    return sum(line == _COMMAND for _, line in _processes())


def _processes() -> list[tuple[int, bytes]]:
    found = list[tuple[int, bytes]]()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.append((int(name), Path("/proc", name, "cmdline").read_bytes()))
        except OSError:  # it has ended
            continue
    return found


def _memory(pids: list[int]) -> float:
    return round(sum(map(resident_mb, pids)), 1)


def _open_files(pids: list[int]) -> int:
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)
