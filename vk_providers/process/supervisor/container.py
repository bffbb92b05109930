"""One container through all its runs: start, hooks, probes, exit, and restart by policy.

`pod` calls `SupervisedContainer.keep` to start the container and `SupervisedContainer.halt` to stop
it for good; its status is `SupervisedContainer.report`. A container that is halted during its
backoff reports its last termination instead of the waiting state, as with the kubelet.
"""

from __future__ import annotations

from .container_process import ContainerProcess
from .deadline import Deadline
from .handlers import HandlerRunner
from .log_file import LogFile
from .loop import LoopFuture
from .namespaces import create_namespaces
from .probes import Probes
from .rules import (
    MINIMUM_GRACE,
    RestartBackoff,
    next_backoff,
    reason_of,
    restart_wait,
    should_restart,
)
from .spawn import StartError
from .states import empty_message, go_duration, read_message, terminated, waiting
from .status import timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .children import Children
    from .loop import EventLoop
    from .plan import ContainerPlanJson, PodPlanJson, ProbeJson
    from .status import Json, StatusJournal

__all__ = ["SupervisedContainer"]

_HOOK_TIMEOUT = 365 * 86_400.0
"""Hooks have no time-out of their own."""


class SupervisedContainer:
    """One container of the pod."""

    def __init__(
        self,
        loop: EventLoop,
        plan: ContainerPlanJson,
        *,
        pod: PodPlanJson,
        children: Children,
        journal: StatusJournal,
    ) -> None:
        self._loop = loop
        self._pod = pod
        self._children = children
        self._journal = journal
        self._checks = HandlerRunner(loop, children, plan)
        self._probes: Probes | None = None
        self._hooked = False
        self._backoff: RestartBackoff | None = None
        self._restarts = 0
        initial = any(each["kind"] != "container" for each in pod["containers"])
        self._state: Json = waiting("PodInitializing" if initial else "ContainerCreating")
        self._last: Json = {}
        self.plan = plan
        self.run: ContainerProcess | None = None
        """The current run."""
        self.exit_code: int | None = None
        """Exit code of the last run."""
        self.halted = LoopFuture()
        self.settled = LoopFuture()
        """Set when the first run has ended or its postStart hook is done."""
        self.started = LoopFuture()
        """Set when the container has started for the first time, including the startup probe."""
        self.over = LoopFuture()
        """Set when the container has ended and will not restart."""

    async def keep(self) -> None:
        """Run the container until it is halted or its restart policy ends it."""
        name, kind = self.plan["name"], self.plan["kind"]
        while not self.halted.done:
            self.exit_code = await self._run_once()
            finished = self._loop.time()
            self.settled.set()
            if not should_restart(kind, self._pod["restart_policy"], self.exit_code):
                break
            if not self.halted.done:
                await self._wait_for_restart(finished)
        self._children.kill(name)
        self.over.set()

    def halt(self, grace_period: float, turn: LoopFuture | None = None) -> None:
        """Stop the container within ``grace_period``; later calls can only shorten it.

        The stop signal is delayed until ``turn``, within the grace period.
        """
        self.halted.set()
        if self.run is None and not self.over.done and self.exit_code is None:
            self._state = terminated(
                137, "ContainerStatusUnknown", "it was stopped before it started"
            )
            self._journal.changed()
            self.over.set()
        self._end(grace_period, turn)

    def report(self) -> Json:
        """Return the container status in Kubernetes' format, with the main PID."""
        run = self.run
        started = run is not None and self._has_started()
        ready = started and self._probes is not None and self._probes.ready
        if self.plan["kind"] == "init":
            ready = self._state.get("terminated", {}).get("exitCode") == 0
        return {
            "name": self.plan["name"],
            "state": self._state,
            "lastState": self._last,
            "ready": ready,
            "started": started,
            "restartCount": self._restarts,
            "containerID": f"process://{self._pod['uid']}/{self.plan['name']}/{self._restarts}",
            "pid": run.child.pid if run is not None else 0,
        }

    def _has_started(self) -> bool:
        return self._hooked and self._probes is not None and self._probes.started.done

    async def _run_once(self) -> int:
        """Start the container, wait for its exit, and return the exit code."""
        name, began = self.plan["name"], timestamp()
        folder, keep = f"logs/{name}", self._pod["log_files"]
        log = LogFile(folder, self._restarts, limit=self._pod["log_limit"], files=keep)
        problem = empty_message(self.plan["message_file"])
        if problem:
            self._event("Warning", "FailedTerminationMessage", problem)
        try:
            namespaces = await create_namespaces(self._loop, self._children, self.plan, self.halted)
            self.run = run = ContainerProcess(
                self._loop, self._children, self.plan, log, namespaces
            )
        except StartError as error:
            if self.halted.done:
                return self._called_off(log)
            log.write("stderr", f"{error}\n".encode())
            log.close()
            self._event("Warning", "Failed", f"Error: {error}")
            self._set_state(terminated(128, "StartError", str(error), finished=began))
            return 128
        self._set_state({"running": {"startedAt": began}})
        self._hooked = self.plan["post_start"] is None
        self._probes = Probes(
            self._loop,
            self.plan,
            checks=self._checks,
            journal=self._journal,
            namespaces=run.namespaces,
            fail=self._fail_probe,
        )
        hook = self._loop.task(self._after_start(run, self._probes))
        exit_code, signal = await run.ended
        hook.cancel()
        await hook
        await self._probes.stop()
        self.run = self._probes = None
        self._set_state(
            terminated(
                exit_code,
                reason_of(exit_code),
                read_message(self.plan, log, exit_code),
                signal=signal,
                started=began,
                finished=timestamp(),
            )
        )
        return int(exit_code)

    def _called_off(self, log: LogFile) -> int:
        """Undo a start during which the container was halted: its last state stays."""
        log.close()
        if "waiting" in self._state:
            self._set_state(self._last)
        return 137 if self.exit_code is None else self.exit_code

    async def _after_start(self, run: ContainerProcess, probes: Probes) -> None:
        """Run the postStart hook, and set `started`."""
        action = self.plan["post_start"]
        if action is not None:
            worked, text = await self._checks.perform(action, run.namespaces, _HOOK_TIMEOUT)
            if not worked:
                self._event("Warning", "FailedPostStartHook", f"PostStartHook failed: {text}")
                self._end(self._pod["grace_period"])
                return
        self._hooked = True
        self.settled.set()
        await probes.started
        self.started.set()
        self._journal.changed()

    def _fail_probe(self, kind: str, probe: ProbeJson) -> None:
        if self.run is None or self.run.deadline is not None:
            return  # it is stopping already; the probe does not change its grace period
        own = probe["grace_period"]
        text = f"Container {self.plan['name']} failed {kind} probe, will be restarted"
        self._event("Normal", "Killing", text)
        self._end(self._pod["grace_period"] if own is None else own)

    def _end(self, grace_period: float, turn: LoopFuture | None = None) -> None:
        run = self.run
        if run is None:
            return
        if run.deadline is not None:
            run.deadline.shrink(grace_period)
            return
        run.deadline = Deadline(self._loop, grace_period)
        self._loop.task(self._end_run(run, run.deadline, turn))

    async def _end_run(
        self, run: ContainerProcess, deadline: Deadline, turn: LoopFuture | None
    ) -> None:
        """Run the preStop hook, wait for ``turn``, send the stop signal, and finally kill."""
        if run.child.exited.done:
            return
        if self.plan["pre_stop"] is not None and not deadline.forced:
            await self._before_stop(run, deadline)
        if turn is not None:
            await deadline.wait(turn)
        if run.ended.done:
            return
        deadline.at_least(MINIMUM_GRACE)
        if not deadline.forced:
            self._event("Normal", "Killing", f"Stopping container {self.plan['name']}")
            self._children.signal(run.child, self.plan["stop_signal"])
        if not await deadline.wait(run.child.exited):
            self._children.kill(self.plan["name"])

    async def _before_stop(self, run: ContainerProcess, deadline: Deadline) -> None:
        action = self.plan["pre_stop"]
        assert action is not None
        hook = self._loop.task(self._checks.perform(action, run.namespaces, _HOOK_TIMEOUT))
        ended = LoopFuture()
        hook.then(ended.set)
        run.child.exited.then(ended.set)
        await deadline.wait(ended)
        hook.cancel()
        await hook
        if hook.value is None and not run.child.exited.done:
            text = "PreStopHook not completed in the grace period"
            self._event("Warning", "FailedPreStopHook", text)
        elif hook.value is not None and not hook.value[0]:
            text = f"PreStopHook failed: {hook.value[1]}"
            self._event("Warning", "FailedPreStopHook", text)

    async def _wait_for_restart(self, finished: float) -> None:
        wait = restart_wait(self._backoff, finished=finished, now=self._loop.time())
        if wait > 0:
            ended, last = self._state, self._last
            self._back_off(self._backoff.delay if self._backoff else wait)
            await self._loop.within(self.halted, wait)
            if self.halted.done:
                self._state, self._last = ended, last
                self._journal.changed()
        self._backoff = next_backoff(self._backoff, finished=finished, now=self._loop.time())
        if not self.halted.done:
            self._restarts += 1

    def _back_off(self, delay: float) -> None:
        pod = f"{self._pod['name']}_{self._pod['namespace']}({self._pod['uid']})"
        what = f"restarting failed container={self.plan['name']} pod={pod}"
        self._set_state(waiting("CrashLoopBackOff", f"back-off {go_duration(delay)} {what}"))

    def _set_state(self, state: Json) -> None:
        if "terminated" in self._state:
            self._last = self._state
        self._state = state
        self._journal.changed()

    def _event(self, type: str, reason: str, message: str) -> None:
        self._journal.event(self.plan["name"], type, reason, message)
