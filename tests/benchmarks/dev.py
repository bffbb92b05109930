"""How fast `vk dev` is: start to the first running pod, a burst of pods, memory. One JSON line.

    python tests/benchmarks/dev.py [--pods 1000] [--starts 3] [--profile FILE]

The burst goes through the whole of it, in one process: API server, scheduler, node with the mock
provider; twenty clients in this process create the pods, an observer in a third sees them run.
``reached`` says whether each figure that is aimed at was met on this machine, in this run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
from load import Clients, Observer, Process
from measure import cpu_seconds, percentile, resident_mb

_NODE = "vk-dev"
_WAIT = 300.0
_SETTINGS = ("pods=20000", "cpu=20000", "memory=20000Gi")
_EXAMPLE = Path(__file__).parents[2] / "examples" / "nginx.yaml"
_KUBECONFIG = re.compile(r"export KUBECONFIG=(.+)")
Figures = dict[str, Any]


@attrs.frozen
class Running:
    """A `vk dev` whose first pod runs."""

    process: Process
    kubeconfig: Path
    seconds: float
    """From the start of the process to the line that says so."""


@asynccontextmanager
async def _running(folder: Path, profile: Path | None = None) -> AsyncIterator[Running]:
    profiler = ["-m", "cProfile", "-o", str(profile)] if profile else []
    settings = [word for setting in _SETTINGS for word in ("--set", setting)]
    command = [sys.executable, *profiler, "-m", "vk", "dev", "--apply", str(_EXAMPLE), *settings]
    command += ["--nodename", _NODE, "--state-folder", str(folder / "state")]
    log = folder / "log"
    log.unlink(missing_ok=True)
    began = time.monotonic()
    async with Process(command, log) as process:
        async with asyncio.timeout(60.0):
            while not re.search(r"pod default/nginx .*Running", log.read_text()):
                assert process.pid  # raises, with the log, when the process has ended
                await asyncio.sleep(0.005)
        seconds = time.monotonic() - began
        (word,) = shlex.split(_KUBECONFIG.findall(log.read_text())[0])
        yield Running(process, Path(word), seconds)


async def _burst(running: Running, count: int) -> Figures:
    """Create the pods and return what that took until the last was seen to run."""
    names, pid = [f"bench-{number}" for number in range(count)], running.process.pid
    async with (
        Clients(running.kubeconfig, "") as clients,
        Observer(running.kubeconfig, _NODE) as observer,
    ):
        before = cpu_seconds(pid)
        asked, _ = await asyncio.gather(
            clients.create(names), observer.wait(observer.running, names, _WAIT)
        )
        used = cpu_seconds(pid) - before
    seen = {name: observer.running[name] for name in names}
    seconds = max(seen.values()) - min(asked.values())
    latencies = [seen[name] - asked[name] for name in names]
    return {
        "pods_per_s": round(count / seconds, 1),
        "seconds": round(seconds, 2),
        "p50_s": round(percentile(latencies, 50), 3),
        "p99_s": round(percentile(latencies, 99), 3),
        "cpu_ms_per_pod": round(used / count * 1e3, 2),
        "rss_mb": round(resident_mb(pid), 1),
    }


async def _measure(count: int, starts: int, profile: Path | None) -> Figures:
    with tempfile.TemporaryDirectory(prefix="vk-bench-") as name:
        folder, seconds = Path(name), []
        for _ in range(starts - 1):
            async with _running(folder) as running:
                seconds.append(running.seconds)
        async with _running(folder, profile) as running:
            seconds.append(running.seconds)
            idle = round(resident_mb(running.process.pid), 1)
            async with Clients(running.kubeconfig, "") as clients:
                await clients.namespace()
            figures = await _burst(running, count)
    start = round(statistics.median(seconds), 2)
    reached = {
        "pods_per_s": figures["pods_per_s"] >= 200,
        "rss_mb": figures["rss_mb"] < 400,
        "start_to_running_s": start < 3.0,
    }
    return {
        "case": "dev",
        "pods": count,
        "start_to_running_s": start,
        "rss_mb_at_start": idle,
        **figures,
        "reached": reached,
    }


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--profile", type=Path, help="run the last one under cProfile")
    given = parser.parse_args()
    print(json.dumps(asyncio.run(_measure(given.pods, given.starts, given.profile))))


if __name__ == "__main__":
    main()
