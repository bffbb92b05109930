"""Capacity, architecture and address of this machine, from procfs and the routing table."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from pathlib import Path

__all__ = ["address", "architecture", "cpus", "disk_bytes", "memory_bytes"]

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def cpus() -> int:
    """Return the number of CPUs available to this process."""
    return len(os.sched_getaffinity(0))


def memory_bytes() -> dict[str, int]:
    """Return the fields of /proc/meminfo in bytes."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    fields = (line.replace(":", " ").split() for line in lines)
    return {each[0]: int(each[1]) * 1024 for each in fields if each[-1] == "kB"}


def disk_bytes(folder: Path) -> int:
    """Return the size of the file system that holds ``folder``, which must exist."""
    return shutil.disk_usage(folder).total


def architecture() -> str:
    """Return the architecture in Kubernetes' naming."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def address() -> str:
    """Return the source address of the default route, else the loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # nothing is sent; a documentation address
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
