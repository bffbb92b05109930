"""One emulated container group: from Scheduling to its end, driven by the timeline and the actions.

Its containers notify it of every change, and its status follows from them. The callbacks ``on_end``
(release of addresses and stock) and ``on_gone`` notify its owner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from vk_providers.alibabacloud.emulator.container import EmulatedContainer
from vk_providers.alibabacloud.emulator.events import Events
from vk_providers.alibabacloud.emulator.ledger import LedgerEntry
from vk_providers.alibabacloud.emulator.placement import Placement
from vk_providers.alibabacloud.emulator.settings import EmulatorSettings
from vk_providers.alibabacloud.emulator.shell.programs import outcome
from vk_providers.alibabacloud.emulator.sizes import BilledSize
from vk_providers.alibabacloud.emulator.states import RunningState, WaitingState
from vk_providers.alibabacloud.emulator.timeline import Timeline

__all__ = ["FINAL", "EmulatedGroup"]

FINAL = frozenset({"Succeeded", "Failed", "Expired", "ScheduleFailed"})
_STARTING = frozenset({"Pending", "Restarting", "Updating"})
_GRACE = 30.0
_NOTICE = 180.0
"""Seconds from the notice of a spot reclaim to the reclaim."""
_MAX_PENDING = 240
"""Minutes in Pending after which the group fails."""
_REPLACING = 1.0


@attrs.define(eq=False)
class EmulatedGroup:
    """The state of a group, up to the current time."""

    id: str
    number: int
    """Sequence number: the order in lists."""
    parameters: dict[str, Any] = attrs.field(repr=False)
    placement: Placement
    size: BilledSize
    timeline: Timeline = attrs.field(repr=False)
    settings: EmulatorSettings = attrs.field(repr=False)
    entry: LedgerEntry
    """Its ledger entry."""
    on_end: Callable[[EmulatedGroup, float], None] = attrs.field(repr=False)
    on_gone: Callable[[EmulatedGroup], None] = attrs.field(repr=False)
    unplaced: str = ""
    """Why it cannot be scheduled; empty: it can."""
    stocked: bool = True
    """Whether it uses stock of its zone."""
    status: str = "Scheduling"
    changed_at: float = 0.0
    address: str = ""
    finished: float | None = None
    inits: list[EmulatedContainer] = attrs.field(init=False)
    containers: list[EmulatedContainer] = attrs.field(init=False)
    events: Events = attrs.field(init=False)
    tags: dict[str, str] = attrs.field(init=False)
    _started: list[EmulatedContainer] = attrs.field(factory=list, init=False)
    _era: int = 0
    """Invalidates scheduled steps after a restart or end."""

    def __attrs_post_init__(self) -> None:
        self.events = Events(f"{self.name}.{self.id.removeprefix('eci-')}.")
        tags = self.parameters.get("Tag", [])
        self.tags = {each["Key"]: each.get("Value", "") for each in tags}
        self._build()

    @property
    def name(self) -> str:
        """The name, which need not be unique."""
        return str(self.parameters["ContainerGroupName"])

    @property
    def created(self) -> float:
        """The creation time."""
        return self.entry.created

    @property
    def restart_policy(self) -> str:
        """Always, OnFailure or Never."""
        return str(self.parameters.get("RestartPolicy", "Always"))

    @property
    def image_cached(self) -> bool:
        """Whether an image cache was requested."""
        asked = self.parameters
        return bool(asked.get("AutoMatchImageCache") or asked.get("ImageSnapshotId"))

    @property
    def public_addresses(self) -> dict[str, str]:
        """The addresses that were asked for beside that of the vSwitch: made up, but its own."""
        found = dict[str, str]()
        if self.parameters.get("AutoCreateEip") or self.parameters.get("EipInstanceId"):
            found["InternetIp"] = f"203.0.113.{self.number % 254 + 1}"
        if self.parameters.get("Ipv6AddressCount"):
            found["Ipv6Address"] = f"2001:db8::{self.number:x}"
        return found

    @property
    def spot(self) -> bool:
        """Whether it is a spot group."""
        return str(self.parameters.get("SpotStrategy", "NoSpot")) != "NoSpot"

    @property
    def alive(self) -> bool:
        """Whether it has not ended and is not deleted."""
        return self.status not in FINAL and self.status != "Gone"

    def begin(self) -> None:
        """Schedule its first step, after its creation."""
        self.changed_at = self.created
        step = self._unschedulable if self.unplaced else self._scheduled
        self._later(self.created, self.settings.scheduling, step)

    def add_event(
        self,
        at: float,
        reason: str,
        message: str,
        *,
        type: str = "Normal",
        source: str = "K8sAgent",
    ) -> None:
        """Add an event."""
        self.events.add(at, type=type, reason=reason, message=message, source=source)

    def changed(self, at: float) -> None:
        """Update the group's status after a change of a container."""
        self.changed_at = at
        if not self.alive or self.status == "Terminating":
            return
        if not self._initialised(at):
            return
        counted = [each for each in self.containers if not each.sidecar] or self.containers
        if all(each.over for each in counted):
            self.end(at, "Failed" if any(each.failed for each in counted) else "Succeeded")
            return
        self._start_next(at)
        if self.status in _STARTING and all(each.created for each in self.containers):
            self.status = "Running"

    def end(self, at: float, status: str) -> None:
        """End the group with a final status."""
        self._finish(at)
        self.status, self.finished = status, at
        self.on_end(self, at)

    def delete(self, at: float, *, force: bool) -> None:
        """Delete the group: at once, or after its preStop hooks."""
        wait = 0.0 if force or self.status in FINAL else self._pre_stop_seconds()
        if wait <= 0:
            self._remove(at)
            return
        self.status, self.changed_at = "Terminating", at
        self._era += 1
        self._later(at, wait, self._remove)

    def reclaim(self, at: float) -> None:
        """Reclaim a spot group: notice now, Expired three minutes later."""
        text = "The instance is about to be released, since its spot resources are taken back."
        self._warn(at, "SpotToBeReleased", text)
        self.changed_at = at
        self.timeline.after(at, _NOTICE, self._reclaimed)

    def replace(self, at: float, parameters: dict[str, Any], status: str) -> None:
        """Restart all containers with these parameters; the address stays."""
        for each in self.inits + self.containers:
            each.stop(at)
        self.parameters, self.status, self.changed_at = parameters, status, at
        self._era += 1
        former = {each.name: each for each in self.containers}
        self._build()
        for each in self.containers:
            if each.name in former:
                each.restarts = former[each.name].restarts + 1
                state = former[each.name].state
                each.last = None if isinstance(state, WaitingState | RunningState) else state
        self._later(at, _REPLACING, self._start)

    def _build(self) -> None:
        inits = self.parameters.get("InitContainer", [])
        self.inits = [EmulatedContainer(each, self, init=True) for each in inits]
        self.containers = [EmulatedContainer(each, self) for each in self.parameters["Container"]]
        self._started = []
        waiting = WaitingState("PodInitializing" if inits else "ContainerCreating")
        for each in self.inits + self.containers:
            each.state = waiting

    def _scheduled(self, at: float) -> None:
        self.status, self.changed_at, self.address = "Pending", at, self.placement.address
        self.entry.billed_from = at
        text = f"Successfully assigned to the zone {self.placement.zone}"
        self.add_event(at, "Scheduled", text, source="EciService")
        minutes = self.parameters.get("MaxPendingMinute", _MAX_PENDING)
        self.timeline.after(at, minutes * 60.0, self._pending_timeout)
        if deadline := self.parameters.get("ActiveDeadlineSeconds"):
            self.timeline.after(at, deadline, self._deadline_exceeded)
        self._start(at)

    def _unschedulable(self, at: float) -> None:
        self._warn(at, self.unplaced, "No stock in any zone asked for")
        self.end(at, "ScheduleFailed")

    def _warn(self, at: float, reason: str, message: str) -> None:
        self.add_event(at, reason, message, type="Warning", source="EciService")

    def _pending_timeout(self, at: float) -> None:
        if self.status == "Pending":
            self._warn(at, "PendingTimeout", "Pending for too long")
            self.end(at, "Failed")

    def _reclaimed(self, at: float) -> None:
        if self.alive:
            self.end(at, "Expired")

    def _deadline_exceeded(self, at: float) -> None:
        if self.alive:
            text = "The group was active on the node longer than the specified deadline"
            self.add_event(at, "DeadlineExceeded", text, type="Warning")
            self.end(at, "Failed")

    def _start(self, at: float) -> None:
        if self.inits:
            self.inits[0].start(at)
        else:
            self._start_next(at)

    def _initialised(self, at: float) -> bool:
        """Return whether the init containers are done; start the next one, or fail."""
        for each in self.inits:
            if not each.over:
                if each.state == WaitingState("PodInitializing"):
                    each.start(at)
                return False
            if each.failed:
                self.end(at, "Failed")
                return False
        return True

    def _start_next(self, at: float) -> None:
        """Start the next containers by priority, once all that started before are ready."""
        if not all(each.ready or each.over for each in self._started):
            return
        left = [each for each in self.containers if each not in self._started]
        highest = max((each.priority for each in left), default=0)
        for each in left:
            if each.priority == highest:
                self._started.append(each)
                each.start(at)

    def _pre_stop_seconds(self) -> float:
        """Return the duration of the preStop hooks; 0 without any."""
        grace = float(self.parameters.get("TerminationGracePeriodSeconds", _GRACE))
        takes = 0.0
        for each in self.containers:
            command = each.spec.get("LifecyclePreStopHandlerExec")
            if command and isinstance(each.state, RunningState):
                takes = max(takes, outcome(tuple(command), endless=False).seconds)
        return min(takes, grace)

    def _remove(self, at: float) -> None:
        if self.alive:
            self._finish(at)
            self.on_end(self, at)
        self.status, self.changed_at = "Gone", at
        self.on_gone(self)

    def _finish(self, at: float) -> None:
        """Stop all containers, and billing."""
        self._era += 1
        for each in self.inits + self.containers:
            each.stop(at)
        self.changed_at = at
        self.entry.ended = at

    def _later(self, at: float, seconds: float, step: Callable[[float], None]) -> None:
        era = self._era

        def due(when: float) -> None:
            if self._era == era:
                step(when)

        self.timeline.after(at, seconds, due)
