"""A backend in memory that outlives providers, and runs the commands of the contract's scripts.

The output and the exit of a workload are functions of the loop's time, simulated or not.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import attrs

import vk

_EPOCH = datetime.now(UTC)
_numbers = itertools.count(1)


def clock() -> float:
    return asyncio.get_running_loop().time()


def moment(seconds: float) -> datetime:
    return _EPOCH + timedelta(seconds=seconds - clock())


@attrs.define(eq=False, kw_only=True)
class Workload:
    """One pod at the backend, with one container."""

    key: vk.PodKey
    owner: tuple[str, str]
    container: str
    policy: str
    script: str
    env: Mapping[str, str]
    files: dict[str, str]
    """Contents by path in the container."""
    mounts: Mapping[str, str]
    """Folders by volume."""
    folder: str
    argument: str
    began: float = attrs.field(factory=clock)
    started: datetime = attrs.field(factory=lambda: moment(clock()))
    stopped: float | None = None
    number: int = attrs.field(factory=lambda: next(_numbers))

    @classmethod
    def of(cls, pod: vk.Pod, owner: tuple[str, str]) -> Workload:
        (container,) = pod.containers
        words = (*container.command, *container.args)
        mounts = {one["name"]: one["mountPath"] for one in container.raw.get("volumeMounts") or ()}
        return cls(
            key=pod.key,
            owner=owner,
            container=container.name,
            policy=pod.restart_policy,
            script=words[2],
            env=container.env,
            files={
                f"{mounts[volume]}/{path}": file.content.decode()
                for volume, files in pod.files.items()
                for path, file in files.items()
            },
            mounts=mounts,
            folder=container.raw.get("workingDir") or "/",
            argument=words[4] if len(words) > 4 else "",
        )

    def run(self) -> tuple[list[tuple[float, str]], tuple[float, int] | None]:
        """Return lines with the times of their writing, and when and how the script ends."""
        commands: dict[str, Callable[[str], str]] = {
            "echo": str,
            "printenv": lambda name: self.env.get(name, ""),
            "cat": lambda path: self.files.get(path, ""),
            "pwd": lambda _: self.folder,
            "printf": lambda _: self.argument,
        }
        time, lines = self.began, []
        for step in self.script.split("; "):
            name, _, word = step.partition(" ")
            if name == "sleep":
                time += float(word)
            elif name == "exit":
                return lines, (time, int(word))
            else:
                lines.append((time, commands[name](word)))
        return lines, (time, 0)

    def written(self) -> list[tuple[float, str]]:
        return [(time, text) for time, text in self.run()[0] if time <= self.until()]

    def until(self) -> float:
        return clock() if self.stopped is None else min(clock(), self.stopped)

    def end(self) -> tuple[float, int] | None:
        """Return time and exit code of its end, None while it runs."""
        end = self.run()[1]
        if end is not None and end[0] <= self.until():
            return end
        if self.stopped is not None and self.stopped <= clock():
            return self.stopped, 143
        return None

    def state(self) -> tuple[vk.ContainerState, vk.Terminated | None]:
        """Return the container's state, and its last termination."""
        end = self.end()
        if end is None:
            return vk.Running(self.started), None
        ended = vk.Terminated(end[1])
        if self.policy == "Always" and self.stopped is None:
            return vk.Waiting("CrashLoopBackOff"), ended
        return ended, None

    def status(self) -> vk.PodStatus:
        state, last = self.state()
        one = vk.ContainerStatus(name=self.container, state=state, last_state=last)
        return vk.PodStatus(self.key, containers=[one])


@attrs.define(eq=False)
class Backend:
    """The backend of a provider's configuration; ``away``: an outage."""

    workloads: list[Workload] = attrs.field(factory=list)
    away: bool = False

    async def ask(self) -> list[Workload]:
        await asyncio.sleep(0.001)
        if self.away:
            raise ConnectionError("the backend is unreachable")
        return self.workloads
