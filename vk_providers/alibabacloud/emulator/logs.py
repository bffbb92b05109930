"""DescribeContainerLog: the simulated output of a container so far.

The output of a run is simulated once from its start: a `Recording` continues where it stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import attrs

from vk_providers.alibabacloud.emulator.cloud import ApiCall
from vk_providers.alibabacloud.emulator.container import EmulatedContainer
from vk_providers.alibabacloud.emulator.container_environment import container_of, program_context
from vk_providers.alibabacloud.emulator.group import EmulatedGroup
from vk_providers.alibabacloud.emulator.shell.programs import launch
from vk_providers.alibabacloud.emulator.shell.steps import Read, Sleep, Steps, Write
from vk_providers.alibabacloud.emulator.states import RunningState, TerminatedState

__all__ = ["Recording", "describe_log"]

_LINES = 20_000
"""Maximum number of lines of a run."""
_TAIL = 500
_MOST = 1_048_576


@attrs.define(eq=False)
class Recording:
    """The output of one run of a container, as far as it was simulated."""

    started: float
    speed: float
    steps: Steps | None = None
    lines: deque[tuple[float, bytes]] = attrs.field(factory=lambda: deque(maxlen=_LINES))
    """The time of each line's first byte, and the line."""
    at: float = attrs.field(init=False)
    """The time of the next step."""
    _answer: bytes | None = None

    def __attrs_post_init__(self) -> None:
        self.at = self.started

    def play(self, until: float) -> None:
        """Simulate up to this time."""
        while self.steps is not None and self.at <= until:
            try:
                step = self.steps.send(self._answer)
            except StopIteration:
                self.steps = None
                return
            self._answer = b"" if isinstance(step, Read) else None
            if isinstance(step, Sleep):
                self.at += step.seconds / self.speed
            elif isinstance(step, Write):
                self.write(step.content)

    def write(self, content: bytes) -> None:
        """Append to the last line, and start new ones."""
        for piece in content.splitlines(keepends=True):
            if self.lines and not self.lines[-1][1].endswith(b"\n"):
                began, line = self.lines.pop()
                self.lines.append((began, line + piece))
            else:
                self.lines.append((self.at, piece))


def describe_log(call: ApiCall) -> dict[str, Any]:
    """Return the requested lines as one string."""
    group = call.group()
    container = container_of(group, call.text("ContainerName"))
    lines = list(_lines(call, group, container))[-call.parameters.get("Tail", _TAIL) :]
    stamped = bool(call.parameters.get("Timestamps"))
    content = b"".join(_stamp(at) + line if stamped else line for at, line in lines)
    content = content[: call.parameters.get("LimitBytes", _MOST)]
    return {
        "ContainerName": container.name,
        "Content": content.decode("utf-8", "replace"),
    }


def _lines(
    call: ApiCall, group: EmulatedGroup, container: EmulatedContainer
) -> Iterator[tuple[float, bytes]]:
    """Yield the lines of the requested run and time."""
    asked = call.parameters
    since = asked.get("StartTime", 0.0)
    if "SinceSeconds" in asked:
        since = max(since, call.now - asked["SinceSeconds"])
    run = container.last if asked.get("LastTime") else container.state
    if not isinstance(run, RunningState | TerminatedState):
        run = None if asked.get("LastTime") else container.last
    if run is None:
        return
    recording = _recording(group, container, run.started)
    end = run.finished if isinstance(run, TerminatedState) else call.now
    recording.play(end)
    for at, line in recording.lines:
        if since <= at <= end:
            yield at, line


def _recording(group: EmulatedGroup, container: EmulatedContainer, started: float) -> Recording:
    recordings = container.recordings
    if started not in recordings:
        recording = Recording(started, group.settings.speed)
        if container.argv:
            context = attrs.evolve(
                program_context(group, container), endless=True, date=lambda: _date(recording.at)
            )
            recording.steps = launch(container.argv, context)
        else:
            image = container.spec["Image"]
            recording.write(f"{image}: simulated, runs until it is stopped\n".encode())
        recordings[started] = recording
        for old in sorted(recordings)[:-2]:
            del recordings[old]
    found: Recording = recordings[started]
    return found


def _stamp(at: float) -> bytes:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z ").encode()


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%a %b %e %H:%M:%S UTC %Y")
