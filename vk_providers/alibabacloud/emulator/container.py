"""One container of an emulated group: image pull, simulated run, restarts, probes.

The group starts and stops it and is notified of every change. All steps are scheduled on the
timeline; a step of an ended run has an outdated number and does nothing.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

from vk_providers.alibabacloud.emulator.settings import EmulatorSettings
from vk_providers.alibabacloud.emulator.shell.programs import outcome
from vk_providers.alibabacloud.emulator.states import (
    EmulatedState,
    RunningState,
    TerminatedState,
    WaitingState,
)
from vk_providers.alibabacloud.emulator.timeline import Timeline

__all__ = ["ContainerOwner", "EmulatedContainer"]

_BACKOFF = 10.0
_BACKOFF_MOST = 300.0
_CALM = 600.0
"""A run this long resets the backoff, as in Kubernetes."""
_KILLED = 137


class ContainerOwner(Protocol):
    """The group that a container belongs to."""

    timeline: Timeline
    settings: EmulatorSettings

    @property
    def restart_policy(self) -> str:
        """Always, OnFailure or Never."""

    @property
    def image_cached(self) -> bool:
        """Whether images come from an image cache."""

    def changed(self, at: float) -> None:
        """Handle a changed state of a container."""

    def add_event(self, at: float, reason: str, message: str, *, type: str = "Normal") -> None:
        """Add an event."""


@attrs.define(eq=False)
class EmulatedContainer:
    """The state of a container, up to the current time."""

    spec: Mapping[str, Any]
    owner: ContainerOwner = attrs.field(repr=False)
    init: bool = False
    state: EmulatedState = attrs.field(factory=lambda: WaitingState("ContainerCreating"))
    last: TerminatedState | None = None
    restarts: int = 0
    created: bool = False
    """Whether its image is pulled and it was created."""
    ready: bool = False
    over: bool = False
    """Whether it has ended and will not restart."""
    recordings: dict[float, Any] = attrs.field(factory=dict, repr=False)
    """Recorded output of its runs, by their start."""
    env: Mapping[str, str] = attrs.field(init=False)
    _life: int = 0
    _failures: int = 0

    def __attrs_post_init__(self) -> None:
        pairs = self.spec.get("EnvironmentVar", [])
        self.env = {each["Key"]: each.get("Value", "") for each in pairs}

    @property
    def name(self) -> str:
        """The name."""
        return str(self.spec["Name"])

    @property
    def argv(self) -> tuple[str, ...]:
        """The command with its arguments; empty: that of the image."""
        command = self.spec.get("Command", ())
        return (*command, *self.spec.get("Arg", ())) if command else ()

    @property
    def sidecar(self) -> bool:
        """Whether the group may end without it."""
        return self.env.get("ECI_CONTAINER_TYPE") == "sidecar"

    @property
    def priority(self) -> int:
        """The launch priority; the highest starts first."""
        text = self.env.get("ECI_CONTAINER_LAUNCH_PRIORITY", "0")
        return int(text) if text.lstrip("-").isdecimal() else 0

    @property
    def failed(self) -> bool:
        """Whether its exit code fails the group."""
        ignored = self.env.get("ECI_CONTAINER_IGNORE_EXIT_CODE") == "true"
        return isinstance(self.state, TerminatedState) and self.state.code != 0 and not ignored

    def start(self, at: float) -> None:
        """Pull the image, then run."""
        image = self.spec["Image"]
        self._set(at, WaitingState("ContainerCreating"))
        self.owner.add_event(at, "Pulling", f'Pulling image "{image}"')
        base = posixpath.basename(image).partition(":")[0].partition("@")[0]
        self._later(at, self._pull_seconds(), self._missing if "missing" in base else self._pulled)

    def stop(self, at: float, code: int = _KILLED, reason: str = "Error") -> None:
        """Stop the container; it does not restart."""
        self._life += 1
        if isinstance(self.state, RunningState):
            signal = 9 if code == _KILLED else 0
            self.state = TerminatedState(code, reason, self.state.started, at, signal)
        self.ready, self.over = False, True

    def _pull_seconds(self) -> float:
        asked = self.env.get("EMULATOR_PULL_SECONDS", "")
        if asked.isdecimal():
            return float(asked)
        settings = self.owner.settings
        return settings.image_pull_cached if self.owner.image_cached else settings.image_pull

    def _missing(self, at: float) -> None:
        text = f'Failed to pull image "{self.spec["Image"]}": not found'
        self.owner.add_event(at, "Failed", text, type="Warning")
        self._set(at, WaitingState("ErrImagePull", text))
        self._later(at, _BACKOFF, self._missing_still)

    def _missing_still(self, at: float) -> None:
        text = f'Back-off pulling image "{self.spec["Image"]}"'
        self.owner.add_event(at, "BackOff", text, type="Warning")
        self._set(at, WaitingState("ImagePullBackOff", text))

    def _pulled(self, at: float) -> None:
        self.owner.add_event(at, "Pulled", f'Successfully pulled image "{self.spec["Image"]}"')
        self.owner.add_event(at, "Created", f"Created container {self.name}")
        self.created = True
        self._run(at)

    def _run(self, at: float) -> None:
        self.owner.add_event(at, "Started", f"Started container {self.name}")
        self.ready = not self.spec.get("ReadinessProbe") and not self.init
        argv = self.argv
        if argv:
            stdin = bool(self.spec.get("Stdin"))
            comes_to = outcome(argv, tuple(self.env.items()), stdin=stdin)
            if not math.isinf(comes_to.seconds):
                code = comes_to.code
                self._later(at, comes_to.seconds, lambda end: self._finish(end, code))
        self._probe(at)
        self._set(at, RunningState(at))

    def _probe(self, at: float) -> None:
        """Schedule probe results; HTTP and TCP probes always succeed."""
        liveness, readiness = self.spec.get("LivenessProbe"), self.spec.get("ReadinessProbe")
        if readiness and _healthy(readiness):
            self._later(at, _seconds(readiness, "SuccessThreshold", 1), self._readied)
        if liveness and not _healthy(liveness):
            self._later(at, _seconds(liveness, "FailureThreshold", 3), self._unhealthy)

    def _readied(self, at: float) -> None:
        self.ready = True
        self.owner.changed(at)

    def _unhealthy(self, at: float) -> None:
        text = f"Container {self.name} failed liveness probe, will be restarted"
        self.owner.add_event(at, "Unhealthy", text, type="Warning")
        self._finish(at, _KILLED)

    def _finish(self, at: float, code: int) -> None:
        if not isinstance(self.state, RunningState):
            return
        started = self.state.started
        signal = code - 128 if code in (_KILLED, 143) else 0
        ended = TerminatedState(code, "Error" if code else "Completed", started, at, signal)
        self.ready = False
        policy = self.owner.restart_policy
        again = policy == "Always" or (policy == "OnFailure" and code != 0)
        if self.init:
            again = code != 0 and policy != "Never"
        self.over = not again
        self._set(at, ended)
        if again:
            self._again(at, ended)

    def _again(self, at: float, ended: TerminatedState) -> None:
        """Schedule a restart: the first at once, then with backoff, as in Kubernetes."""
        calm = ended.finished - ended.started >= self.owner.timeline.scaled(_CALM)
        self._failures = 0 if calm else self._failures + 1
        self.last = ended
        if self._failures <= 1:
            self._later(at, 0, self._restart)
            return
        wait = min(_BACKOFF_MOST, _BACKOFF * 2 ** (self._failures - 2))
        text = f"back-off {wait:g}s restarting failed container={self.name}"
        self.owner.add_event(at, "BackOff", "Back-off restarting failed container", type="Warning")
        self._set(at, WaitingState("CrashLoopBackOff", text))
        self._later(at, wait, self._restart)

    def _restart(self, at: float) -> None:
        self.restarts += 1
        self._run(at)

    def _set(self, at: float, state: EmulatedState) -> None:
        self.state = state
        if not isinstance(state, RunningState):
            self._life += 1
        self.owner.changed(at)

    def _later(self, at: float, seconds: float, step: Callable[[float], None]) -> None:
        life = self._life

        def due(when: float) -> None:
            if self._life == life:
                step(when)

        self.owner.timeline.after(at, seconds, due)


def _healthy(probe: Mapping[str, Any]) -> bool:
    command = probe.get("Exec", {}).get("Command")
    return not command or outcome(tuple(command), endless=False).code == 0


def _seconds(probe: Mapping[str, Any], threshold: str, usual: int) -> float:
    """Return the time until a probe reaches its threshold."""
    period = probe.get("PeriodSeconds", 10)
    times = probe.get(threshold, usual)
    return float(probe.get("InitialDelaySeconds", 0) + period * (times - 1))
