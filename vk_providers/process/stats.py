"""Usage of the pods and of this machine, from procfs.

In: the main process of each running container. Out: a `vk.NodeStats`. The process table is read
once for all pods. A container is its main process with its descendants; a pod is its supervisor
with all descendants, including commands of `kubectl exec`.

The CPU time of a process is added to its parent once the parent has waited for it, so the sum over
a process tree decreases only where a child was never waited for; a decreasing sum is kept constant.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

import attrs

import vk
from vk_providers.process import machine
from vk_providers.process.supervisor.linux import Process, descendants, process_table

__all__ = ["MeasuredPod", "UsageMeter"]

_TICK = os.sysconf("SC_CLK_TCK")
_UTIME, _STIME, _CUTIME, _CSTIME, _STARTED, _RESIDENT = 11, 12, 13, 14, 19, 21
"""Field offsets in /proc/PID/stat after the command name."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_BUSY = slice(1, 4), slice(6, 9)
"""user, nice, system, irq, softirq, steal of /proc/stat: without idle and iowait."""


@attrs.frozen(kw_only=True)
class MeasuredPod:
    """A pod to measure."""

    key: vk.PodKey
    pids: Mapping[str, int]
    """The main PID of each running container."""
    own_network: bool


def _boot() -> float:
    """Return the boot time in seconds since 1970.

    The value in /proc/stat is in whole seconds, too coarse for the usage of a new container.
    """
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


@attrs.define(eq=False)
class UsageMeter:
    """Measures usage; keeps the CPU time of each container monotonic."""

    _highest: dict[tuple[str, str, datetime | None], float] = attrs.field(factory=dict, init=False)
    # Computed once: corrections of the clock must not change start times.
    _boot: float = attrs.field(factory=_boot, init=False)

    def measure(self, subjects: Collection[MeasuredPod]) -> vk.NodeStats:
        """Return the current usage. Blocks while procfs is read."""
        before, self._highest = self._highest, {}
        table = process_table()
        pods = [self._pod(each, table, before) for each in subjects if each.pids]
        return vk.NodeStats(pods=pods, total=_node(self._boot))

    def _pod(
        self,
        subject: MeasuredPod,
        table: Mapping[int, Process],
        before: Mapping[tuple[str, str, datetime | None], float],
    ) -> vk.PodStats:
        def usage(name: str, root: int, members: set[int]) -> vk.Usage:
            found = _usage(root, members, self._boot)
            mark = (subject.key.uid, name, found.started_at)
            seconds = max(found.cpu_seconds or 0.0, before.get(mark, 0.0))
            self._highest[mark] = seconds
            return attrs.evolve(found, cpu_seconds=seconds)

        mains = {name: pid for name, pid in subject.pids.items() if pid in table}
        containers = {
            name: usage(name, pid, {pid} | descendants(table, pid)) for name, pid in mains.items()
        }
        total: vk.Usage | None = None
        network: tuple[int, int] | tuple[None, None] = (None, None)
        for pid in [*mains.values()][:1]:
            supervisor = table[pid].parent
            total = usage("", supervisor, {supervisor} | descendants(table, supervisor))
            network = _network(pid) if subject.own_network else network
        return vk.PodStats(
            subject.key,
            containers=containers,
            total=total,
            received_bytes=network[0],
            sent_bytes=network[1],
        )


def _usage(root: int, members: Collection[int], boot: float) -> vk.Usage:
    seconds, resident, working = 0.0, 0, 0
    started: datetime | None = None
    for pid in members:
        fields = _stat(pid)
        if fields is None:  # it has ended meanwhile
            continue
        own, waited = fields[_UTIME] + fields[_STIME], fields[_CUTIME] + fields[_CSTIME]
        seconds += max(own / _TICK, _main_thread(pid)) + waited / _TICK
        resident += fields[_RESIDENT] * _PAGE
        share = _share(pid)
        working += fields[_RESIDENT] * _PAGE if share is None else share
        if pid == root:
            started = _moment(boot + fields[_STARTED] / _TICK)
    return vk.Usage(
        time=datetime.now(UTC),
        cpu_seconds=seconds,
        memory_bytes=resident,
        working_set_bytes=working,
        started_at=started,
    )


def _stat(pid: int) -> list[int] | None:
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command name is in parentheses and may contain parentheses.
    return [0, *map(int, content.rpartition(b")")[2].split()[1:])]


def _main_thread(pid: int) -> float:
    """Return the CPU seconds of the main thread, in nanosecond resolution.

    A short-lived process may use less than a tick, and metrics-server drops containers without
    usage.
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_bytes().split()[0]) / 1e9
    except (OSError, IndexError):  # it has ended, or the kernel has no schedstat
        return 0.0


def _share(pid: int) -> int | None:
    """Return the proportional set size (PSS) of a process in bytes."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines()
    except OSError:  # it has ended, or is not accessible
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(b"Pss:")), None)


def _network(pid: int) -> tuple[int, int] | tuple[None, None]:
    """Return received and sent bytes of eth0 in the process's network namespace."""
    try:
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()
    except OSError:
        return None, None
    for line in lines:
        name, _, counts = line.partition(":")
        if name.strip() == "eth0":
            return int(counts.split()[0]), int(counts.split()[8])
    return None, None


def _node(boot: float) -> vk.Usage:
    memory = machine.memory_bytes()
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    ticks = sum(int(count) for part in _BUSY for count in fields[part])
    return vk.Usage(
        time=datetime.now(UTC),
        cpu_seconds=ticks / _TICK,
        memory_bytes=memory["MemTotal"] - memory["MemFree"],
        working_set_bytes=memory["MemTotal"] - memory["MemAvailable"],
        started_at=_moment(boot),
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
