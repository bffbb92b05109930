"""A simulated pod and its state at a given time. Pure.

In: a time. Out: statuses and runs. The state is a function of the creation time and the scenario,
so a pod advances even while no process runs. Times are integer milliseconds.
"""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

import vk
from vk_providers.mock.scenario import KILLED, RELIST, Scenario

__all__ = ["ContainerRun", "MockPod", "ended"]

_SECOND = 1_000


@attrs.frozen
class ContainerRun:
    """One run of a container; ``ends`` None: it runs indefinitely."""

    began: int
    ends: int | None

    def is_over(self, at: int) -> bool:
        """Return whether it has ended at ``at``."""
        return self.ends is not None and at >= self.ends

    def seconds(self, at: int) -> int:
        """Return the full seconds of the run at ``at``."""
        return ((at if self.ends is None else min(at, self.ends)) - self.began) // _SECOND

    def next_second(self, at: int) -> int:
        """Return the next full second, or the end, after ``at``."""
        due = self.began + (self.seconds(at) + 1) * _SECOND
        return due if self.ends is None else min(due, self.ends)


@attrs.frozen(kw_only=True)
class MockPod:
    """One simulated pod; all its containers behave the same."""

    key: vk.PodKey
    containers: tuple[str, ...]
    init_containers: tuple[tuple[str, bool], ...]
    """Name, and whether it is a sidecar."""
    restart_policy: str
    ip: str
    created: int
    scenario: Scenario

    @classmethod
    def of(cls, pod: vk.Pod, *, ip: str, created: int, scenario: Scenario) -> MockPod:
        """Return the simulated pod of ``pod``."""
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
        """Return the status at ``at``."""
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

    def run(self, container: str, at: int, *, previous: bool = False) -> ContainerRun | None:
        """Return the newest run of a container, or the previous one; None where there is none."""
        sidecars = dict(self.init_containers)
        if at < self._start or container not in (*self.containers, *sidecars):
            return None
        if container in sidecars:
            return None if previous else self._init_run(sidecars[container])
        state, attempt, _ = self._container(at)
        if previous and not isinstance(state, vk.Waiting):  # in backoff the last run is the newest
            attempt -= 1
        return self._run(attempt) if attempt >= 0 else None

    def next_change(self, at: int) -> int | None:
        """Return the time of the first change after ``at``; None: none."""
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
        """Time at which the pod disappears; None: never."""
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

    def _run(self, attempt: int) -> ContainerRun:
        began, run = self._began(attempt), self.scenario.run
        return ContainerRun(began, None if run is None else began + run)

    def _init_run(self, sidecar: bool) -> ContainerRun:
        if not sidecar:
            return ContainerRun(self._start, self._start)
        return ContainerRun(self._start, None) if self._restarts else self._run(0)

    def _end(self, attempt: int) -> vk.Terminated:
        began = self._began(attempt)
        finished = _moment(began + (self.scenario.run or 0))
        return vk.Terminated(
            self.scenario.ends_with, started_at=_moment(began), finished_at=finished
        )

    def _container(self, at: int) -> tuple[vk.ContainerState, int, vk.Terminated | None]:
        """Return state, restart count and last termination of a container."""
        if at < self._start:
            reason = "PodInitializing" if self.init_containers else "ContainerCreating"
            return vk.Waiting(reason), 0, None
        attempt = self._attempt(at)
        last = self._end(attempt - 1) if attempt else None
        run, began = self.scenario.run, self._began(attempt)
        if run is None or at < began + run:
            return vk.Running(_moment(began)), attempt, last
        pause = self.scenario.pause(attempt)
        if not self._restarts or pause == RELIST:
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


def ended(status: vk.PodStatus, exit_code: int) -> vk.PodStatus:
    """Return ``status`` with every container terminated; terminated ones stay as they are."""
    return attrs.evolve(
        status,
        containers=[_end(container, exit_code) for container in status.containers],
        init_containers=[_end(container, exit_code) for container in status.init_containers],
    )


def _end(container: vk.ContainerStatus, exit_code: int) -> vk.ContainerStatus:
    state = container.state
    if isinstance(state, vk.Waiting):  # it has ended if in backoff, else it never started
        unknown = vk.Terminated(KILLED, "ContainerStatusUnknown", "deleted before it started")
        state = container.last_state or unknown
    elif isinstance(state, vk.Running):
        state = vk.Terminated(exit_code, started_at=state.started_at)
    return attrs.evolve(container, state=state, ready=False)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds // 1_000, UTC)
