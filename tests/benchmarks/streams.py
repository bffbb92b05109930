"""How fast streams are, beside a proxy of raw bytes, through a real API server: a JSON line a case.

    KUBEBUILDER_ASSETS=... python tests/benchmarks/streams.py [--cases logs echo] [--rounds 5]

Cases: ``logs`` and ``follow`` (one reader of a long log), ``echo`` (stdin of ``exec cat`` and
back), ``forward`` (a port's connection and back), ``followers`` (100 of one log that grows by ten
lines a second), ``exec`` (of ``true``, by one client), ``stalled`` (200 unread streams).
vk runs with the process provider, whose containers are processes here; of ``echo`` there is also
what it does with the mock, which is the server's own part. Contestants take turns, round by round;
``ratio`` is the median of the rounds' ratios to the yardstick `raw.py`, MB/s are medians too.
``reached`` says whether each figure that is aimed at was met; ``load`` is the machine's load then.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
from access import PODS, open_session
from load import Clients
from measure import percentile
from nodes import Node, Setting, raw_node, vk_node
from stalled import EXEC, FORWARD
from stalls import measure_stalled
from upgraded import PIECE, Bare, Messages, Server

from vk.testing.control_plane import ControlPlane
from vk.testing.programs import free_port

_CASES = ("logs", "follow", "echo", "forward", "followers", "exec", "stalled")
_CONTESTS = ("logs", "follow", "echo", "forward")
_AIMS = {"logs": 0.5, "echo": 0.4, "forward": 0.4}
_FOLLOWERS, _SECONDS = 100, 10.0
_EXECS = 200
_STALLED = 200
Figures = dict[str, Any]


@attrs.frozen
class Bench:
    """What all cases of a run share."""

    setting: Setting
    server: Server
    nodes: dict[str, Node]
    rounds: int

    async def logs(self, node: Node, *, follow: bool = False) -> float:
        """Read the whole log and return MB/s."""
        query, size = {"container": "print", "follow": str(follow).lower()}, 0
        begun = time.monotonic()
        async with self.setting.session.get(f"{PODS}/{node.name}/log", params=query) as answer:
            answer.raise_for_status()
            async for part in answer.content.iter_any():
                size += len(part)
        if size < self.setting.megabytes * 999_000:
            raise RuntimeError(f"{node.name}: a log of {size} bytes only")
        return size / 1e6 / (time.monotonic() - begun)

    async def follow(self, node: Node) -> float:
        """Follow the log to its end and return MB/s."""
        return await self.logs(node, follow=True)

    async def echo(self, node: Node) -> float:
        """Send through ``exec cat`` and return MB/s, of one direction."""
        path = f"{PODS}/{node.name}/exec?container=echo&stdin=1&stdout=1&command=cat"
        return await self._there_and_back(node, path, EXEC, Messages(0, 1))

    async def forward(self, node: Node) -> float:
        """Send through a forwarded port and return MB/s, of one direction."""
        path = f"{PODS}/{node.name}/portforward?ports={self.setting.echo_port}"
        return await self._there_and_back(node, path, FORWARD, Messages(0, 0), preface=2)

    async def followers(self, node: Node) -> Figures:
        """Return how late lines come to many followers."""
        delays, until = list[float](), time.monotonic() + _SECONDS

        async def read() -> None:
            query = {"container": "tick", "follow": "true", "tailLines": "0"}
            path = f"{PODS}/{node.name}/log"
            async with self.setting.session.get(path, params=query) as answer:
                answer.raise_for_status()
                async for line in answer.content:
                    now = time.monotonic()
                    delays.append(now - float(line))
                    if now > until:
                        return

        async with asyncio.TaskGroup() as tasks:
            for _ in range(_FOLLOWERS):
                tasks.create_task(read())
        return {
            "lines": len(delays),
            "p50_ms": round(percentile(delays, 50) * 1e3, 1),
            "p99_ms": round(percentile(delays, 99) * 1e3, 1),
        }

    async def execs(self, node: Node) -> Figures:
        """Return how long ``true`` takes, from the connection to the end of it."""
        path = f"{PODS}/{node.name}/exec?container=echo&stdout=1&command=true"
        whole, asked = list[float](), list[float]()
        for _ in range(_EXECS):
            begun = time.monotonic()
            connection = await self.server.connect()
            connected = time.monotonic()
            await connection.upgrade(path, EXEC)
            if node.framed:
                await connection.receive(Messages(0, 3), 1)  # the outcome
            else:
                await connection.ended()
            ended = time.monotonic()
            connection.close()
            whole.append(ended - begun)
            asked.append(ended - connected)
        return {
            "p50_ms": round(percentile(whole, 50) * 1e3, 2),
            "p99_ms": round(percentile(whole, 99) * 1e3, 2),
            "p50_ms_connected": round(percentile(asked, 50) * 1e3, 2),
        }

    async def _there_and_back(
        self, node: Node, path: str, protocol: str, messages: Messages, preface: int = 0
    ) -> float:
        size = self.setting.megabytes * 1_000_000 // PIECE * PIECE
        connection = await self.server.upgrade(path, protocol)
        try:
            if node.framed:
                seconds = await connection.echo(messages, size, preface=preface)
            else:
                seconds = await connection.echo(Bare(), size)
        finally:
            connection.close()
        return size / 1e6 / seconds


async def _contest(bench: Bench, case: str) -> Figures:
    """Return the line of a case that has a yardstick."""
    run: Callable[[Node], Awaitable[float]] = getattr(bench, case)
    names = [name for name in bench.nodes if name != "mock" or case == "echo"]
    rates: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(bench.rounds):
        for name in names:
            rates[name].append(await run(bench.nodes[name]))
    ratios = {
        name: [round(one / raw, 2) for one, raw in zip(rates[name], rates["raw"], strict=True)]
        for name in names
        if name != "raw"
    }
    ratio = statistics.median(ratios["process"])
    return {
        "mb_per_s": {name: round(statistics.median(each), 1) for name, each in rates.items()},
        "ratios": ratios,
        "ratio": ratio,
        **({"reached": ratio >= _AIMS[case]} if case in _AIMS else {}),
    }


async def _delays(bench: Bench, case: str) -> Figures:
    """Return the line of a case with an aim in seconds: the middle round of vk and of raw."""
    run: Callable[[Node], Awaitable[Figures]]
    by, aim, run = "p99_ms", 100.0, bench.followers
    if case == "exec":
        by, aim, run = "p50_ms", 15.0, bench.execs
    names = ("process", "raw")
    rounds: dict[str, list[Figures]] = {name: [] for name in names}
    for _ in range(bench.rounds):
        for name in names:
            rounds[name].append(await run(bench.nodes[name]))
    found: Figures = {}
    for name, each in rounds.items():
        middle = sorted(each, key=lambda one: float(one[by]))[len(each) // 2]
        found[name] = {**middle, "rounds": [one[by] for one in each]}
    return {**found, "reached": found["process"][by] <= aim}


@asynccontextmanager
async def _bench(kubeconfig: Path, folder: Path, given: argparse.Namespace) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        async with Clients(kubeconfig, "none") as clients:
            await clients.namespace()
        session = await stack.enter_async_context(open_session(kubeconfig, connections=200))
        ports = free_port(), free_port()
        setting = Setting(kubeconfig, session, folder, given.megabytes, *ports)
        state = folder / "pods"
        settings = ("isolation=none", f"state={state}", "address=127.0.0.1")
        contestants = {
            "process": vk_node(setting, "process", settings, given.profile),
            "mock": vk_node(setting, "mock", (), None),
            "raw": raw_node(setting),
        }
        nodes = {name: await stack.enter_async_context(node) for name, node in contestants.items()}
        yield Bench(setting, Server.of(kubeconfig), nodes, given.rounds)


async def _print(kubeconfig: Path, folder: Path, given: argparse.Namespace) -> None:
    async with _bench(kubeconfig, folder, given) as bench:
        for case in given.cases:
            if case == "stalled":
                line = await measure_stalled(bench.setting, bench.nodes["process"], _STALLED)
            else:
                line = await (_contest if case in _CONTESTS else _delays)(bench, case)
            load = round(os.getloadavg()[0], 1)
            print(json.dumps({"case": case, **line, "load": load}), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", nargs="+", choices=_CASES, default=_CASES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=24, help="of a log or through a stream")
    parser.add_argument("--profile", type=Path, help="run vk under cProfile, write it there")
    given = parser.parse_args(arguments)
    with ControlPlane() as plane, tempfile.TemporaryDirectory(prefix="vk-bench-") as folder:
        asyncio.run(_print(plane.admin_kubeconfig, Path(folder), given))


if __name__ == "__main__":
    main()
