"""The protocol between vk and a pod's supervisor, and its data types on vk's side.

The supervisor listens on ``supervisor.sock`` in the pod's folder; any number of clients connect.
Frames, streams and credit are in `supervisor.frames`; this describes the JSON messages.

A client sends requests ``{"id": N, "do": WHAT, ...}`` and gets ``{"id": N, "answer": {...}}`` or
``{"id": N, "error": TEXT}``; a malformed request closes the connection.

| do | with | answer |
|---|---|---|
| status | | the status |
| watch | after | nothing; notifications follow: events above ``after``, the status, its changes |
| stop | grace_period | the status; a later stop can only shorten the grace period |
| signal | container, signal | nothing |
| processes | | the process ids of each container |
| exec | channel, container, argv, env, stdin, tty, width, height | tty |
| attach | channel, container, stdin | tty: whether the container has a terminal |
| resize | channel, width, height | nothing |
| close | channel | nothing; an exec'd command and its descendants are killed |

Notifications: ``{"note": "status", "status": {...}}``, ``{"note": "event", "event": {...}}``,
``{"note": "exit", "channel": N, "exit_code": N, "signal": N, "message": TEXT}``. The client
chooses the channel of a session; the ``exit`` note is the last message on it. Status notes are
coalesced: a slow reader gets only the newest one.

`Report` is the status on vk's side, read from a note or, without a supervisor, from the file
``status.json`` (`last_report`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

import vk
from vk_providers.process.supervisor.linux import is_locked

__all__ = ["PodEvent", "Report", "SessionExit", "is_running", "last_report"]

_LOST = {
    "exitCode": 137,
    "reason": "ContainerStatusUnknown",
    "message": "the pod's supervisor was killed, or the machine was restarted",
}


@attrs.frozen
class SessionExit:
    """The exit of a session; ``code`` is 128 + signal for a killed command."""

    code: int
    signal: int = 0
    message: str = ""


@attrs.frozen(kw_only=True)
class PodEvent:
    """An event for ``kubectl describe``; ``sequence`` increases by 1 within a pod."""

    sequence: int
    time: datetime
    container: str
    type: str
    reason: str
    message: str

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> PodEvent:
        """Return the event of the supervisor's JSON."""
        return cls(**{**raw, "time": datetime.fromisoformat(raw["time"])})


@attrs.frozen
class Report:
    """The status reported by a supervisor."""

    raw: Mapping[str, Any]
    """A Kubernetes pod status with the extra keys uid, namespace, name, stopping and ended."""

    @property
    def key(self) -> vk.PodKey:
        """The pod."""
        return vk.PodKey(self.raw["namespace"], self.raw["name"], self.raw["uid"])

    @property
    def ended(self) -> bool:
        """Whether the pod has ended and will not run again."""
        return bool(self.raw["ended"])

    @property
    def stopping(self) -> bool:
        """Whether the pod is being stopped."""
        return bool(self.raw["stopping"])

    @property
    def pids(self) -> Mapping[str, int]:
        """The main PID of each running container."""
        return {each["name"]: each["pid"] for each in self._containers() if each["pid"]}

    def pod_status(self) -> vk.PodStatus:
        """Return the pod's status, without addresses."""
        return vk.PodStatus.from_json(self.key, self.raw)

    def lost(self) -> Report:
        """Return the report of a pod whose supervisor is dead: all containers are terminated."""
        if self.ended:
            return self
        kinds = ("initContainerStatuses", "containerStatuses")
        raw = {kind: [_lost(each) for each in self.raw[kind]] for kind in kinds}
        return Report({**self.raw, **raw, "ended": True})

    def _containers(self) -> Sequence[Mapping[str, Any]]:
        return [*self.raw["initContainerStatuses"], *self.raw["containerStatuses"]]


def is_running(folder: Path) -> bool:
    """Return whether the supervisor of the folder's pod, or its reaper, is running."""
    return is_locked(str(folder / "lock"))


def last_report(folder: Path) -> tuple[Report, tuple[PodEvent, ...]] | None:
    """Return the last status and events of the folder's pod; None: it never ran.

    Where `is_running` is false and the report has not `Report.ended`, the pod is lost
    (`Report.lost`).
    """
    try:
        content = json.loads((folder / "status.json").read_bytes())
    except FileNotFoundError:
        return None
    return Report(content["status"]), tuple(map(PodEvent.from_json, content["events"]))


def _lost(status: Mapping[str, Any]) -> Mapping[str, Any]:
    state = status["state"]
    if "terminated" in state:
        return status
    started = state.get("running", {}).get("startedAt")
    ended = {"state": {"terminated": {**_LOST, "startedAt": started}}, "pid": 0}
    return {**status, **ended, "ready": False, "started": False}
