"""How fast the provider of Alibaba Cloud is, on a real API server and the emulator: two JSON lines.

    KUBEBUILDER_ASSETS=... python tests/benchmarks/eci.py [--pods 1000] [--steady 130]

``create``: a burst at quota share 1 against ECI's documented rates, until Running. ``seconds`` is
from the first request to the API server to the last create that reached ECI; ``bucket_seconds`` is
what the token bucket for creates takes at least. ``running_*`` is from the start of a group's
container in ECI to the pod seen Running; ECI tells whole seconds, cut, so the true figure is up to
1 s less. ``steady``: what the node asks ECI while nothing happens, which includes a full list every
2 minutes. ``reached`` says whether each figure that is aimed at was met; where one was not the
exit code is 1.

The emulator, the API server and the node share this machine: where it is busy, the figures are its.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
from load import Clients, Observer, Process
from measure import cpu_seconds, percentile, resident_mb

from vk.cli.provider_config import load
from vk.testing.control_plane import ControlPlane
from vk_providers.alibabacloud.config import EciConfig
from vk_providers.alibabacloud.development import settings_for
from vk_providers.alibabacloud.emulator import EmulatorSettings, RunningEmulator, start
from vk_providers.alibabacloud.service import open_service

Figures = dict[str, Any]
_NODE = "bench-eci"
_CREATE = "CreateContainerGroup"
_RATE, _BURST = 20.0, 100.0
"""Creates a second and at once, as ECI documents them."""
_SLACK = 1.05
_SETTLED = 65.0
"""Seconds after the last change until the node asks seldom."""
_DAY = 24 * 60
_WAIT = 300.0


@attrs.frozen
class Bench:
    """A node at work, and what watches it."""

    emulator: RunningEmulator
    settings: Mapping[str, str]
    clients: Clients
    observer: Observer
    process: Process

    async def create(self, names: Sequence[str]) -> Figures:
        """Create the pods and return what that took."""
        since, cpu, memory = time.time(), cpu_seconds(self.process.pid), self._memory()
        asked = await self.clients.create(names)
        await self.observer.wait(self.observer.running, names, _WAIT)
        cpu = cpu_seconds(self.process.pid) - cpu
        calls = await self._calls(since)
        first = min(asked.values()) + time.time() - time.monotonic()
        delays = await self._delays(names)
        return {
            "seconds": round(max(at for action, at, _ in calls if action == _CREATE) - first, 2),
            "bucket_seconds": round((len(names) - _BURST) / _RATE, 2),
            "throttled": sum("Throttling" in code for _, _, code in calls),
            "running_p50_s": round(percentile(delays, 50), 2),
            "running_p99_s": round(percentile(delays, 99), 2),
            "cpu_ms_per_pod": round(cpu / len(names) * 1e3, 2),
            "mb_per_1000_pods": round((self._memory() - memory) / len(names) * 1e3, 1),
        }

    async def steady(self, pods: int, seconds: float) -> Figures:
        """Return what the node asks while nothing happens."""
        await asyncio.sleep(_SETTLED)
        since, cpu = time.time(), cpu_seconds(self.process.pid)
        await asyncio.sleep(seconds)
        cpu = cpu_seconds(self.process.pid) - cpu
        actions = Counter(action for action, _, _ in await self._calls(since))
        describes = sum(n for action, n in actions.items() if action.startswith("Describe"))
        minute = describes / seconds * 60
        return {
            "describes_a_minute": round(minute, 1),
            "describes_a_pod_and_minute": round(minute / pods, 4),
            "describes_a_day": round(minute * _DAY),
            "cpu_percent": round(cpu / seconds * 100, 2),
            "calls": dict(actions),
        }

    def _memory(self) -> float:
        return resident_mb(self.process.pid)

    async def _calls(self, since: float) -> list[tuple[str, float, str]]:
        """Return action, moment and code of the node's calls."""
        calls = (await self.emulator.ledger())["calls"]
        return [(one["action"], one["at"], one["code"] or "") for one in calls if one["at"] > since]

    async def _delays(self, names: Sequence[str]) -> list[float]:
        """Return the seconds from a group's start to its pod's."""
        wall = time.time() - time.monotonic()
        started = await self._started()
        return [self.observer.running[name] + wall - started[name] for name in names]

    async def _started(self) -> dict[str, float]:
        """Return when the containers of each pod started, by ECI's clock."""
        config = load(EciConfig, provider="alibabacloud", overrides=self.settings)
        found: dict[str, float] = {}
        async with open_service(config, check_lease=lambda: None) as service:
            question: Figures = {"Tag": [{"Key": "vk-node", "Value": _NODE}]}
            while True:
                answer = await service.client.call("DescribeContainerGroups", question)
                for group in answer["containergroups"]:
                    tags = {tag["key"]: tag["value"] for tag in group["tags"]}
                    texts = [one["currentstate"]["starttime"] for one in group["containers"]]
                    moment = max(datetime.fromisoformat(text) for text in texts)
                    found[tags["vk-pod"]] = moment.timestamp()
                if not answer.get("nexttoken"):
                    return found
                question["NextToken"] = answer["nexttoken"]


def _created(figures: Figures) -> Figures:
    limit = _SLACK * figures["bucket_seconds"]
    return {
        "seconds": figures["seconds"] <= limit,
        "throttled": figures["throttled"] == 0,
        "running_p99_s": figures["running_p99_s"] <= 8.0,
    }


def _steady(figures: Figures) -> Figures:
    return {"describes_a_pod_and_minute": figures["describes_a_pod_and_minute"] <= 0.1}


async def _run(kubeconfig: Path, folder: Path, pods: int, steady: float) -> AsyncIterator[Figures]:
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(start(EmulatorSettings()))
        settings = {**settings_for(emulator), "poll": "3", "list_lag": "30"}
        settings |= {"quota_share": "1", "pods": "20000", "cpu": "20000"}
        command = [sys.executable, "-m", "vk", "--provider=alibabacloud", f"--nodename={_NODE}"]
        command += [f"--kubeconfig={kubeconfig}", f"--state-folder={folder / 'replica'}"]
        command += [f"--set={name}={text}" for name, text in settings.items()]
        clients = await stack.enter_async_context(Clients(kubeconfig, _NODE))
        await clients.namespace()
        observer = await stack.enter_async_context(Observer(kubeconfig, _NODE))
        process = await stack.enter_async_context(Process(command, folder / "node.log"))
        bench = Bench(emulator, settings, clients, observer, process)
        warm = [f"warm-{number}" for number in range(5)]  # so that all is loaded
        await clients.create(warm)
        await observer.wait(observer.running, warm, 120.0)  # found at the start: not before the lag
        created = await bench.create([f"p-{number}" for number in range(pods)])
        yield {"case": "create", "pods": pods, **created, "reached": _created(created)}
        idle = await bench.steady(pods, steady)
        yield {"case": "steady", "pods": pods, **idle, "reached": _steady(idle)}


async def _print(kubeconfig: Path, folder: Path, pods: int, steady: float) -> bool:
    """Print the lines and return whether every aim was met."""
    reached = True
    async for line in _run(kubeconfig, folder, pods, steady):
        print(json.dumps(line), flush=True)
        reached = reached and all(line["reached"].values())
    return reached


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--steady", type=float, default=130.0, help="seconds of steadiness")
    given = parser.parse_args()
    with ControlPlane() as plane, tempfile.TemporaryDirectory(prefix="vk-bench-") as folder:
        work = _print(plane.admin_kubeconfig, Path(folder), given.pods, given.steady)
        reached = asyncio.run(work)
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
