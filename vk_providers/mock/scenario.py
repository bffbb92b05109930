"""What shall happen to a pod, and what has happened by a given moment. Pure.

In come the annotations ``mock.vk/...`` and a clock reading, out come statuses. A workload's state
is a function of its record and the time, so nothing needs to be kept but when it was created: its
clock goes on while no process looks. Times are whole milliseconds, which add up exactly, so a
timer set for a change always finds it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

import vk

__all__ = ["PREFIX", "Scenario", "Workload", "parse"]

PREFIX = "mock.vk/"
_UNITS = {"ms": 1, "s": 1_000, "": 1_000, "m": 60_000, "h": 3_600_000}
_KILLED = 137  # 128 + SIGKILL
_RELIST = 1_000  # how long a kubelet takes to notice an end and start again
_BACKOFF, _BACKOFF_CAP = 10_000, 300_000  # the kubelet's crash-loop backoff, doubled each time
_STEADY = 6  # from this restart on the backoff stays at its cap
_HEALTHY = 600_000  # a kubelet forgets the backoff of a container that ran for so long


def _duration(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", text, re.ASCII)
    if match is None:
        raise ValueError('a duration such as "2s", "1m", "500ms" or plain seconds')
    return round(float(match[1]) * _UNITS[match[2]])


def _positive(text: str) -> int:
    if (duration := _duration(text)) == 0:
        raise ValueError("a duration above 0")
    return duration


def _exit_code(text: str) -> int:
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or int(text) > 255:
        raise ValueError("an exit code from 0 to 255")
    return int(text)


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise ValueError("a whole number from 0 on")
    return int(text)


def _switch(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError('"true" or "false"')
    return text.lower() == "true"


def _reason(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", text):
        raise ValueError('a reason in CamelCase such as "OutOfStock"')
    return text


_READERS: Mapping[str, Callable[[str], Any]] = {
    "start-delay": _duration,
    "run-for": _duration,
    "exit-code": _exit_code,
    "crash-loop": _switch,
    "fail-create": _reason,
    "fail-create-times": _count,
    "ready-after": _duration,
    "restart-every": _positive,
    "lost-after": _positive,
}


def parse(name: str, text: str) -> Any:
    """Read one setting of a scenario; raises ValueError whose text says what was expected."""
    reader = _READERS.get(name)
    if reader is None:
        raise ValueError(f"one of {', '.join(_READERS)}")
    return reader(text)


@attrs.frozen(kw_only=True)
class Scenario:
    """What happens to a pod; the default is that it starts at once and runs for ever."""

    start_delay: int = 0
    run_for: int | None = None
    exit_code: int = 0
    crash_loop: bool = False
    """Ends with a code other than 0 after ``run_for``, or 1 s, whatever ``exit_code`` says."""
    fail_create: str = ""
    fail_create_times: int = 0
    ready_after: int = 0
    restart_every: int | None = None
    """Killed so often and started again without backoff; beats ``run_for`` and ``crash_loop``."""
    lost_after: int | None = None

    def override(self, annotations: Mapping[str, str]) -> Scenario:
        """Return this scenario with what the pod asks for; InvalidInputError names a wrong one."""
        changes = {}
        for annotation, text in annotations.items():
            if annotation.startswith(PREFIX):
                name = annotation.removeprefix(PREFIX)
                try:
                    changes[name.replace("-", "_")] = parse(name, text)
                except ValueError as error:
                    shown = text if len(text) < 80 else text[:77] + "..."
                    raise vk.InvalidInputError(
                        f"annotation {annotation}: expected {error}, found {shown!r}",
                        reason="InvalidAnnotation",
                    ) from None
        return attrs.evolve(self, **changes) if changes else self

    @property
    def run(self) -> int | None:
        """How long a container runs; None: for ever."""
        if self.restart_every is not None:
            return self.restart_every
        return 1_000 if self.crash_loop and self.run_for is None else self.run_for

    @property
    def ends_with(self) -> int:
        """The exit code with which a container ends."""
        if self.restart_every is not None:
            return _KILLED
        return self.exit_code or 1 if self.crash_loop else self.exit_code

    def pause(self, restart: int) -> int:
        """How long a container is down before restart number ``restart`` (from 0)."""
        healthy = self.restart_every is not None or (self.run or 0) >= _HEALTHY
        if restart == 0 or healthy or self.ends_with == 0:
            return _RELIST
        return min(_BACKOFF << min(restart - 1, _STEADY), _BACKOFF_CAP)

    def began(self, run: int, attempt: int) -> int:
        """When attempt number ``attempt`` (from 0) of a container that runs for ``run`` begins."""
        growing = sum(run + self.pause(number) for number in range(min(attempt, _STEADY)))
        return growing + max(attempt - _STEADY, 0) * (run + self.pause(_STEADY))

    def attempt(self, run: int, elapsed: int) -> int:
        """Which attempt (from 0) is the newest one ``elapsed`` after the first began."""
        attempt = 0
        while attempt < _STEADY and elapsed >= self.began(run, attempt + 1):
            attempt += 1
        beyond = elapsed - self.began(run, attempt)
        return attempt + beyond // (run + self.pause(attempt)) if attempt == _STEADY else attempt


@attrs.frozen(kw_only=True)
class Workload:
    """One pod as the mock keeps it; every container of it does the same."""

    key: vk.PodKey
    containers: tuple[str, ...]
    init_containers: tuple[tuple[str, bool], ...]
    """Name, and whether it is a sidecar."""
    restart_policy: str
    ip: str
    created: int
    scenario: Scenario

    @classmethod
    def of(cls, pod: vk.Pod, *, ip: str, created: int, scenario: Scenario) -> Workload:
        """Make the record of ``pod``."""
        return cls(
            key=pod.key,
            containers=tuple(container.name for container in pod.containers),
            init_containers=tuple(
                (container.name, container.raw.get("restartPolicy") == "Always")
                for container in pod.init_containers
            ),
            restart_policy=pod.restart_policy,
            ip=ip,
            created=created,
            scenario=scenario,
        )

    def status(self, at: int) -> vk.PodStatus:
        """Say how the pod is at ``at``."""
        state, restarts, last = self._container(at)
        ready = isinstance(state, vk.Running) and at >= self._began(restarts) + self._ready_after
        return vk.PodStatus(
            self.key,
            containers=tuple(
                vk.ContainerStatus(
                    name=name, state=state, ready=ready, restart_count=restarts, last_state=last
                )
                for name in self.containers
            ),
            init_containers=tuple(
                vk.ContainerStatus(name=name, state=self._init(sidecar, state), restart_count=0)
                for name, sidecar in self.init_containers
            ),
            pod_ips=(self.ip,),
            created_at=_moment(self.created),
        )

    def next_change(self, at: int) -> int | None:
        """Say when the first change after ``at`` comes; None: never."""
        times = [self._start, self.lost_at]
        if at >= self._start:
            attempt = self._attempt(at)
            times.append(self._began(attempt) + self._ready_after)
            if self.scenario.run is not None:
                times.append(self._began(attempt) + self.scenario.run)
                times.append(self._began(attempt + 1) if self._restarts else None)
        return min((time for time in times if time is not None and time > at), default=None)

    @property
    def lost_at(self) -> int | None:
        """When the workload vanishes; None: never."""
        after = self.scenario.lost_after
        return None if after is None else self.created + after

    @property
    def _start(self) -> int:
        return self.created + self.scenario.start_delay

    @property
    def _ready_after(self) -> int:
        return self.scenario.ready_after

    @property
    def _restarts(self) -> bool:
        policy = self.restart_policy
        return policy == "Always" or (policy == "OnFailure" and self.scenario.ends_with != 0)

    def _attempt(self, at: int) -> int:
        run = self.scenario.run
        if run is None or not self._restarts:
            return 0
        return self.scenario.attempt(run, at - self._start)

    def _began(self, attempt: int) -> int:
        return self._start + self.scenario.began(self.scenario.run or 0, attempt)

    def _end(self, attempt: int) -> vk.Terminated:
        began = self._began(attempt)
        finished = _moment(began + (self.scenario.run or 0))
        return vk.Terminated(
            self.scenario.ends_with, started_at=_moment(began), finished_at=finished
        )

    def _container(self, at: int) -> tuple[vk.ContainerState, int, vk.Terminated | None]:
        """Return a container's state, its restarts, and how it ended before."""
        if at < self._start:
            reason = "PodInitializing" if self.init_containers else "ContainerCreating"
            return vk.Waiting(reason), 0, None
        attempt = self._attempt(at)
        last = self._end(attempt - 1) if attempt else None
        run, began = self.scenario.run, self._began(attempt)
        if run is None or at < began + run:
            return vk.Running(_moment(began)), attempt, last
        pause = self.scenario.pause(attempt)
        if not self._restarts or pause == _RELIST:
            return self._end(attempt), attempt, last
        message = f"back-off {pause // 1_000}s restarting failed container"
        return vk.Waiting("CrashLoopBackOff", message), attempt, self._end(attempt)

    def _init(self, sidecar: bool, state: vk.ContainerState) -> vk.ContainerState:
        start = _moment(self._start)
        if isinstance(state, vk.Waiting) and state.reason != "CrashLoopBackOff":
            return vk.Waiting("PodInitializing")
        if not sidecar:
            return vk.Terminated(0, started_at=start, finished_at=start)
        if isinstance(state, vk.Terminated) and not self._restarts:
            return vk.Terminated(0, started_at=start, finished_at=state.finished_at)
        return vk.Running(start)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // 1_000, UTC)
