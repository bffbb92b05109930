"""The order of a pod's containers: init containers in sequence, then all others, then the end.

`start` runs `SupervisedPod.run`; clients call `SupervisedPod.stop`. A native sidecar starts in its
place among the init containers and keeps running; the next container starts once it has started.
Sidecars are stopped in reverse order after the other containers, also when the pod is stopped.
"""

from __future__ import annotations

from .container import SupervisedContainer
from .loop import LoopFuture, any_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .children import Children
    from .loop import EventLoop, LoopTask
    from .plan import PodPlanJson
    from .status import Json, StatusJournal

__all__ = ["SupervisedPod"]


class SupervisedPod:
    """The containers of the pod."""

    def __init__(
        self, loop: EventLoop, plan: PodPlanJson, *, children: Children, journal: StatusJournal
    ) -> None:
        self._loop = loop
        self._plan = plan
        self._journal = journal
        self._children = children
        self._stopped = LoopFuture()
        self._begun: list[SupervisedContainer] = []
        """The started containers, in order."""
        self.containers = {
            each["name"]: SupervisedContainer(
                loop, each, pod=plan, children=children, journal=journal
            )
            for each in plan["containers"]
        }
        journal.containers = self._report

    async def run(self) -> None:
        """Run the pod to its end, until no process of it is left."""
        if await self._initialise():
            await self._run_containers()
        if not self._stopped.done:
            self._halt_sidecars(self._begun, self._plan["grace_period"])
        for container in self._begun:
            await container.over
        self._children.kill_rest()
        self._journal.ended = True
        self._journal.publish()

    def stop(self, grace_period: float) -> None:
        """Stop the pod within ``grace_period`` seconds; later calls can only shorten it."""
        self._journal.stopping = True
        self._stopped.set()
        for container in self.containers.values():
            if container.plan["kind"] != "sidecar":
                container.halt(grace_period)
        self._halt_sidecars(list(self.containers.values()), grace_period)
        self._journal.changed()

    async def _initialise(self) -> bool:
        """Run the init containers; return whether they succeeded."""
        for container in self._of("init", "sidecar"):
            keep = self._begin(container)
            if container.plan["kind"] == "sidecar":
                await any_of(container.started, keep)
            else:
                await keep
                if container.exit_code != 0:
                    return False
            if self._stopped.done:
                return False
        return True

    async def _run_containers(self) -> None:
        """Start the containers, each after the postStart hook of the one before; wait for all."""
        for container in self._of("container"):
            if not self._stopped.done:
                await any_of(container.settled, self._begin(container))
        for container in self._of("container"):
            await container.over

    def _begin(self, container: SupervisedContainer) -> LoopTask:
        self._begun.append(container)
        return self._loop.task(container.keep())

    def _halt_sidecars(self, containers: list[SupervisedContainer], grace_period: float) -> None:
        """Stop the sidecars of ``containers`` in reverse order, after the other containers."""
        after = [each.over for each in self._begun if each.plan["kind"] != "sidecar"]
        for container in reversed(containers):
            if container.plan["kind"] == "sidecar":
                container.halt(grace_period, self._all_of(after))
                after = [*after, container.over]

    def _all_of(self, futures: list[LoopFuture]) -> LoopFuture:
        async def wait() -> None:
            for future in futures:
                await future

        return self._loop.task(wait())

    def _of(self, *kinds: str) -> list[SupervisedContainer]:
        return [each for each in self.containers.values() if each.plan["kind"] in kinds]

    def _report(self) -> Json:
        return {
            "initContainerStatuses": [each.report() for each in self._of("init", "sidecar")],
            "containerStatuses": [each.report() for each in self._of("container")],
        }
