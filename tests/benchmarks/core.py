"""How fast the core is, beside a bare client, on a real API server: one JSON line a case.

    KUBEBUILDER_ASSETS=... python tests/benchmarks/core.py [--pods 1000 5000] [--cases create idle]
    python tests/benchmarks/core.py --embedded

Cases: ``create`` (a burst by 20 clients until Running), ``idle`` (with the first number of pods),
``delete`` (until gone), ``restart``. Each line holds what ``vk`` and the yardstick `bare.py` did in
this run, the ratio, and ``reached``: whether each figure that is aimed at was met. A burst is run
in several rounds, vk and the yardstick in turn; the line is that of the middle round, and
``ratios`` has them all. Both have the same identity, the same API server, the same clients, and a
process of their own. With ``--embedded`` that is the embedded one, in another process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
from embedded import embedded_server
from load import Clients, Observer, Process
from measure import cpu_seconds, percentile, requests, resident_mb, writes
from targets import judge

from vk.testing.control_plane import ControlPlane

_HERE = Path(__file__).parent
_CASES = ("create", "idle", "delete", "restart")
_WAIT = 900.0
"""How long the slowest burst may take, in seconds."""
Figures = dict[str, Any]


@attrs.frozen
class Bench:
    """What all cases of a run share."""

    kubeconfig: Path
    identity: Path
    """Kubeconfig of the contestants; `kubeconfig` is that of all the others."""
    folder: Path
    cases: Sequence[str]
    idle_seconds: float
    rounds: int
    profile: Path | None

    def command(self, who: str, node: str, *settings: str) -> list[str]:
        """Return the command of a contestant."""
        if who == "bare":
            return [sys.executable, str(_HERE / "bare.py"), str(self.identity), node]
        profile = ["-m", "cProfile", "-o", str(self.profile)] if self.profile else []
        arguments = ["--provider=mock", f"--nodename={node}", f"--kubeconfig={self.identity}"]
        arguments.append(f"--state-folder={self.folder / 'replica'}")
        for setting in ("pods=20000", "cpu=20000", "memory=20000Gi", *settings):
            arguments += ["--set", setting]
        return [sys.executable, *profile, "-m", "vk", *arguments]


@attrs.frozen
class Contest:
    """One contestant at work."""

    bench: Bench
    process: Process
    observer: Observer
    clients: Clients

    async def run(self, names: Sequence[str], *, create: bool) -> Figures:
        """Create or delete the pods and return what that took, until the last was seen."""
        seen = self.observer.running if create else self.observer.gone
        before = await requests(self.clients.session)
        memory, cpu = resident_mb(self.process.pid), cpu_seconds(self.process.pid)
        call = self.clients.create if create else self.clients.delete
        asked, _ = await asyncio.gather(call(names), self.observer.wait(seen, names, _WAIT))
        cpu_until_seen = cpu_seconds(self.process.pid) - cpu
        await self.drain()
        ours = Counter({"POST pods" if create else "DELETE pods": len(names)})
        latencies = [seen[name] - asked[name] for name in names]
        seconds = max(seen[name] for name in names) - min(asked.values())
        count = len(names)
        return {
            "pods_per_s": round(count / seconds, 1),
            "seconds": round(seconds, 2),
            "p50_s": round(percentile(latencies, 50), 3),
            "p99_s": round(percentile(latencies, 99), 3),
            "cpu_ms_per_pod": round(cpu_until_seen / count * 1e3, 3),
            "cpu_ms_per_pod_with_events": round(
                (cpu_seconds(self.process.pid) - cpu) / count * 1e3, 3
            ),
            "mb_per_1000_pods": round((resident_mb(self.process.pid) - memory) / count * 1000, 1),
            "requests": dict((await requests(self.clients.session)) - before - ours),
        }

    async def idle(self, seconds: float) -> Figures:
        """Return what the contestant does while nothing happens, per minute."""
        before, cpu = await requests(self.clients.session), cpu_seconds(self.process.pid)
        await asyncio.sleep(seconds)
        used = cpu_seconds(self.process.pid) - cpu
        delta = (await requests(self.clients.session)) - before
        return {
            "cpu_percent": round(used / seconds * 100, 2),
            "all_writes_a_minute": round(writes(delta) / seconds * 60, 1),
            "requests": dict(delta),
        }

    async def drain(self) -> None:
        """Return once no event or status was written for 5 s."""
        quiet_since, last = time.monotonic(), -1
        while time.monotonic() - quiet_since < 5.0:
            await asyncio.sleep(1.0)
            counts = await requests(self.clients.session)
            written = sum(count for name, count in counts.items() if "leases" not in name)
            reads = sum(count for name, count in counts.items() if name.startswith("GET"))
            if written - reads != last:
                quiet_since, last = time.monotonic(), written - reads


@asynccontextmanager
async def contest(bench: Bench, who: str, node: str, *settings: str) -> AsyncIterator[Contest]:
    """Yield the contestant at work: it has run and ended some pods, so that all is loaded."""
    async with AsyncExitStack() as stack:
        clients = await stack.enter_async_context(Clients(bench.kubeconfig, node))
        observer = await stack.enter_async_context(Observer(bench.kubeconfig, node))
        command, log = bench.command(who, node, *settings), bench.folder / f"{node}.log"
        process = await stack.enter_async_context(Process(command, log))
        found = Contest(bench, process, observer, clients)
        names = [f"{node}-warm-{number}" for number in range(100)]  # opens all connections
        await clients.create(names)
        await observer.wait(observer.running, names, 60.0)
        await clients.delete(names)
        await observer.wait(observer.gone, names, 60.0)
        await found.drain()
        yield found


async def _burst(bench: Bench, who: str, count: int, *, idle: bool) -> dict[str, Figures]:
    """Return the figures of the cases with one contestant, by case."""
    node, found = f"bench-{who}", dict[str, Figures]()
    names = [f"{node}-{count}-{number}" for number in range(count)]
    async with contest(bench, who, node) as work:
        found["create"] = await work.run(names, create=True)
        if idle:
            found["idle"] = await work.idle(bench.idle_seconds)
        found["delete"] = await work.run(names, create=False)
        left = set(await work.clients.versions()) & set(names)
        found["delete"]["left"] = len(left)
    return found


async def _round(bench: Bench, count: int, *, idle: bool) -> dict[str, Figures]:
    """Return the line of each case, with one contestant right after the other."""
    bare = await _burst(bench, "bare", count, idle=idle)
    vk = await _burst(bench, "vk", count, idle=idle)
    lines = {}
    for case in vk:
        figures = {"vk": vk[case], "bare": bare[case]}
        lines[case] = {**figures, **judge(case, count, **figures)}
    return lines


def _middle(lines: Sequence[Figures]) -> Figures:
    """Return the line of the middle round, by the time beside the yardstick's, and all ratios."""
    if "ratio" not in lines[0]:
        return lines[0]
    ordered = sorted(lines, key=lambda line: float(line["ratio"]["seconds"]))
    ratios = {name: [line["ratio"][name] for line in lines] for name in ordered[0]["ratio"]}
    return {**ordered[len(ordered) // 2], "ratios": ratios}


async def _restart(bench: Bench, count: int, how: str) -> Figures:
    """Return what a restart with ``count`` pods does, after it was ``stopped`` or ``killed``."""
    node = f"bench-vk-{how}"
    state = bench.folder / f"{node}.state"
    names = [f"{node}-{number}" for number in range(count)]
    async with contest(bench, "vk", node, f"state={state}") as work:
        clients, observer, first = work.clients, work.observer, work.process
        await work.run(names, create=True)
        before = await clients.versions()
        await first.end(how)
        asked = await requests(clients.session)
        creates = _creates(first.log)
        started, probe = time.monotonic(), f"{node}-probe"
        async with Process(first.command, first.log) as second:
            await clients.create([probe])
            await observer.wait(observer.running, [probe], 120.0)
            await attrs.evolve(work, process=second).drain()
            after = await clients.versions()
            figures = {
                "seconds_to_act": round(observer.running[probe] - started, 2),
                "redundant_writes": sum(after.get(name) != before[name] for name in names),
                "double_creates": _creates(second.log) - creates - 1,  # the probe is a new one
                "requests": dict((await requests(clients.session)) - asked),
            }
            await clients.delete([*names, probe])
            await observer.wait(observer.gone, [*names, probe], _WAIT)
    return figures


def _creates(log: Path) -> int:
    """Return how often a provider took a pod, by the line that the core writes each time."""
    return log.read_text(errors="replace").count("pod created")


async def _run(bench: Bench, counts: Sequence[int]) -> AsyncIterator[Figures]:
    """Yield the line of each case."""
    async with Clients(bench.kubeconfig, "none") as clients:
        await clients.namespace()
    for count in counts:
        idle = "idle" in bench.cases and count == counts[0]
        if idle or {"create", "delete"} & set(bench.cases):
            numbers = range(bench.rounds)
            rounds = [await _round(bench, count, idle=idle and not number) for number in numbers]
            for case in (case for case in rounds[0] if case in bench.cases):
                lines = [one[case] for one in rounds if case in one]
                yield {"case": case, "pods": count, **_middle(lines)}
    for how in ("stopped", "killed") if "restart" in bench.cases else ():
        figures = {"vk": await _restart(bench, counts[0], how)}
        judged = judge("restart", counts[0], **figures)
        yield {"case": "restart", "how": how, "pods": counts[0], **figures, **judged}


async def _print(bench: Bench, counts: Sequence[int]) -> None:
    async for line in _run(bench, counts):
        print(json.dumps(line), flush=True)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pods", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--cases", nargs="+", choices=_CASES, default=_CASES)
    parser.add_argument("--rounds", type=int, default=3, help="of each burst; the middle counts")
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    parser.add_argument("--profile", type=Path, help="run vk under cProfile, write it there")
    parser.add_argument("--embedded", action="store_true", help="on the embedded API server")
    given = parser.parse_args()
    with ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vk-bench-")))
        if given.embedded:
            kubeconfig = stack.enter_context(embedded_server(path / "cluster"))
        else:
            kubeconfig = stack.enter_context(ControlPlane()).admin_kubeconfig
        bench = Bench(
            kubeconfig=kubeconfig,
            identity=kubeconfig,
            folder=path,
            cases=given.cases,
            idle_seconds=given.idle_seconds,
            rounds=given.rounds,
            profile=given.profile,
        )
        asyncio.run(_print(bench, given.pods))


if __name__ == "__main__":
    main()
