"""The probes of one run of a container, by the rules of the kubelet's prober.

The startup probe delays the other two until it has succeeded. Each probe runs at its period, the
first time after its initial delay. Out: `Probes.started` and `Probes.ready` for the status, and a
call of ``fail`` when the container must be restarted.
"""

from __future__ import annotations

from .loop import LoopFuture
from .rules import ProbeRun, next_probe_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .handlers import HandlerRunner
    from .loop import EventLoop, LoopTask
    from .namespaces import ContainerNamespaces
    from .plan import ContainerPlanJson, ProbeJson
    from .status import StatusJournal

__all__ = ["Probes"]


class Probes:
    """Runs the probes until `stop`."""

    def __init__(
        self,
        loop: EventLoop,
        plan: ContainerPlanJson,
        *,
        checks: HandlerRunner,
        journal: StatusJournal,
        namespaces: ContainerNamespaces | None,
        fail: Callable[[str, ProbeJson], None],
    ) -> None:
        """Run commands in ``namespaces``; ``fail`` is called with the kind of a failed probe."""
        self._loop = loop
        self._plan = plan
        self._checks = checks
        self._journal = journal
        self._cell = namespaces
        self._fail = fail
        self._began = loop.time()
        self.started = LoopFuture()
        """Set when the startup probe has succeeded, or at once without one."""
        self.ready = plan["readiness"] is None
        self._tasks: list[LoopTask] = []
        if plan["startup"] is None:
            self.started.set()
        else:
            self._tasks.append(loop.task(self._watch("startup", plan["startup"])))
        if plan["readiness"] is not None:
            self._tasks.append(loop.task(self._watch("readiness", plan["readiness"])))
        if plan["liveness"] is not None:
            self._tasks.append(loop.task(self._watch("liveness", plan["liveness"])))

    async def stop(self) -> None:
        """Stop the probes and their commands."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            await task

    async def _watch(self, kind: str, probe: ProbeJson) -> None:
        if kind != "startup":
            await self.started
        await self._loop.sleep(self._began + probe["initial_delay"] - self._loop.time())
        before = ProbeRun()
        while True:
            due = self._loop.time() + probe["period"]
            succeeded = await self._ask(kind, probe)
            before, reached = next_probe_run(
                before,
                succeeded,
                success_threshold=probe["success_threshold"],
                failure_threshold=probe["failure_threshold"],
            )
            if reached and self._is_over(kind, probe, succeeded):
                return
            await self._loop.sleep(due - self._loop.time())

    async def _ask(self, kind: str, probe: ProbeJson) -> bool:
        worked, text = await self._checks.perform(probe["action"], self._cell, probe["timeout"])
        if not worked:
            message = f"{kind.capitalize()} probe failed: {text}"
            self._journal.event(self._plan["name"], "Warning", "Unhealthy", message)
        return worked

    def _is_over(self, kind: str, probe: ProbeJson, succeeded: bool) -> bool:
        """Handle a result at its threshold; return whether the probe is finished."""
        if kind == "readiness":
            if self.ready is not succeeded:
                self.ready = succeeded
                self._journal.changed()
            return False
        if not succeeded:
            self._fail(kind, probe)
            return True
        if kind == "startup":
            self.started.set()
            self._journal.changed()
            return True
        return False
