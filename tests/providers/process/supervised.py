"""What the supervisor's tests share: pods of shell commands, and waiting for what they do.

Waiting is on the supervisor's own stream of changes, on output, or on the end of a process (a
pidfd), never on the clock.
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

import vk
from vk_providers.process.logs import read_log
from vk_providers.process.plan import ContainerPlan, PodPlan, ProbePlan
from vk_providers.process.protocol import PodEvent, Report, is_running
from vk_providers.process.supervisor_client import (
    SupervisorClient,
    SupervisorDisconnected,
    start_supervisor,
)
from vk_providers.process.supervisor_session import OutputStream

ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
LIMIT = 20.0
"""Seconds after which a test has failed; nothing waits for them to pass."""

_uids = itertools.count(1)


def sh(script: str, *, name: str = "c", **fields: Any) -> ContainerPlan:
    """A container that runs a shell script."""
    return ContainerPlan(name=name, argv=("sh", "-c", script), **{"env": ENV, **fields})


def probe(script: str, **fields: Any) -> ProbePlan:
    """A probe that runs a shell script, often."""
    return ProbePlan(
        action={"exec": ["sh", "-c", script]}, **{"period": 0.05, "timeout": 5.0, **fields}
    )


@attrs.define(eq=False)
class Supervised:
    """A pod with its supervisor."""

    folder: Path
    link: SupervisorClient

    async def until(self, wanted: Callable[[Report], object]) -> Report:
        """Return the first report for which ``wanted`` holds."""
        async with asyncio.timeout(LIMIT), aclosing(self.link.changes()) as changes:
            async for report in changes:
                if wanted(report):
                    return report
        raise AssertionError(f"the pod ended before: {report}")

    async def end(self) -> Report:
        """Return the report of the pod's end."""
        return await self.until(lambda report: report.ended)

    async def event(self, reason: str) -> PodEvent:
        """Return the first event with this reason."""
        async with asyncio.timeout(LIMIT), aclosing(self.link.events()) as events:
            async for event in events:
                if event.reason == reason:
                    return event
        raise AssertionError(f"no event {reason}")

    async def output(self, script: str, *, container: str = "c") -> str:
        """Run a script in a container and return its output."""
        async with asyncio.timeout(LIMIT):
            async with await self.link.exec(container, ["sh", "-c", script]) as session:
                return (await read_all(session.stdout)).decode()

    async def gone(self) -> None:
        """Return when no process of the pod is left: its lock is free."""
        async with asyncio.timeout(LIMIT):
            await asyncio.to_thread(_wait_for_lock, self.folder / "lock")

    def supervisor(self) -> int:
        """The id of the supervisor: the parent of the containers' processes."""
        return int(self._lock_holders()[0])

    def reaper(self) -> int:
        """The id of the supervisor's parent."""
        return parent_of(self.supervisor())

    def _lock_holders(self) -> list[int]:
        """The processes that work in the pod's folder, the one without such a child first."""
        found = [
            int(name)
            for name in os.listdir("/proc")
            if name.isdigit() and _works_in(int(name), self.folder)
        ]
        parents = {parent_of(pid) for pid in found}
        return [pid for pid in found if pid not in parents] + [p for p in found if p in parents]


@asynccontextmanager
async def supervised(
    folder: Path, containers: Sequence[ContainerPlan], **fields: Any
) -> AsyncIterator[Supervised]:
    """Run a pod; at the end it is killed if it still runs, and nothing of it is left."""
    key = vk.PodKey("default", "p", f"uid-{next(_uids)}")
    plan = PodPlan(key=key, containers=tuple(containers), **fields)
    async with asyncio.timeout(LIMIT):
        link = await start_supervisor(folder, plan)
    pod = Supervised(folder, link)
    try:
        yield pod
    finally:
        with suppress(SupervisorDisconnected):  # it may have ended by itself
            await link.stop(0)
        link.close()
        await pod.gone()
        assert not is_running(folder)


async def first_line(pod: Supervised, name: str = "c") -> str:
    """Return the first line of a container's log, once it is there."""
    await pod.until(lambda report: not isinstance(state(report, name), vk.Waiting))
    async with (
        asyncio.timeout(LIMIT),
        aclosing(await read_log(pod.folder, name, follow=True)) as log,
    ):
        return (await anext(log)).decode().split("\n")[0]


async def gone(pid: int) -> None:
    """Return when the process has ended."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, ended.set)
    try:
        async with asyncio.timeout(LIMIT):
            await ended.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def exists(pid: int) -> bool:
    """Whether there is such a process, a zombie too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def read_all(stream: OutputStream) -> bytes:
    """Return all that a stream gives until its end."""
    content = b""
    async with asyncio.timeout(LIMIT):
        while chunk := await stream.read():
            content += chunk
    return content


async def read_until(stream: OutputStream, end: bytes) -> bytes:
    """Return what a stream gives up to ``end``."""
    content = b""
    async with asyncio.timeout(LIMIT):
        while end not in content:
            chunk = await stream.read()
            assert chunk, content
            content += chunk
    return content


def state(report: Report, name: str = "c") -> vk.ContainerState:
    """The state of one container."""
    return container(report, name).state


def container(report: Report, name: str = "c") -> vk.ContainerStatus:
    """The status of one container, init containers too."""
    status = report.pod_status()
    (found,) = [e for e in (*status.init_containers, *status.containers) if e.name == name]
    return found


def is_up(report: Report, name: str = "c") -> bool:
    """Whether the container runs."""
    return isinstance(state(report, name), vk.Running)


def log_text(folder: Path, name: str = "c", run: int = 0) -> str:
    """The texts of a container's log entries."""
    entries = (folder / "logs" / name / f"{run}.log").read_text().splitlines()
    return "".join(entry.split(" ", 3)[3] + "\n" for entry in entries)


def parent_of(pid: int) -> int:
    """The parent of a process, 0 where it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def _wait_for_lock(path: Path) -> None:
    with path.open("r+") as file:
        request = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(file.fileno(), fcntl.F_OFD_SETLKW, request)


def _works_in(pid: int, folder: Path) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return str(folder).encode() in command.split(b"\0")
    except OSError:
        return False
