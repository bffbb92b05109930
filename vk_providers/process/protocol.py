"""The protocol between vk and a pod's supervisor, and its values on vk's side.

The supervisor listens on ``supervisor.sock`` in the pod's folder; any number of clients connect.
Frames, streams and credit are in `supervisor.frames`; this is what the JSON frames say.

A client sends requests ``{"id": N, "do": WHAT, ...}`` and gets ``{"id": N, "answer": {...}}`` or
``{"id": N, "error": TEXT}``; a request that makes no sense costs the connection.

| do | with | answer |
|---|---|---|
| status | | the status |
| watch | after | nothing; notes follow: the events above ``after``, the status, then each change |
| stop | grace_period | the status; a later stop can only shrink the grace period |
| signal | container, signal | nothing |
| processes | | the process ids of each container |
| exec | channel, container, argv, env, stdin, tty, width, height | tty |
| attach | channel, container, stdin | tty: whether the container has a terminal |
| resize | channel, width, height | nothing |
| close | channel | nothing; an exec'd command and all that it started is killed |

Notes come unasked: ``{"note": "status", "status": {...}}``, ``{"note": "event", "event": {...}}``,
``{"note": "exit", "channel": N, "exit_code": N, "signal": N, "message": TEXT}``. The client
chooses the channel of a session; the ``exit`` note is the last thing on it. Status notes are
folded: who reads slowly misses what a newer one has replaced.

`Report` is the status on vk's side, read from a note or, where nobody answers, from the file
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
    """The end of a session; ``code`` is 128 and the number where a signal ended the command."""

    code: int
    signal: int = 0
    message: str = ""


@attrs.frozen(kw_only=True)
class PodEvent:
    """Something that ``kubectl describe`` should show; ``sequence`` rises by 1 within a pod."""

    sequence: int
    time: datetime
    container: str
    type: str
    reason: str
    message: str

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> PodEvent:
        """Read it as the supervisor writes it."""
        return cls(**{**raw, "time": datetime.fromisoformat(raw["time"])})


@attrs.frozen
class Report:
    """What a supervisor says of its pod."""

    raw: Mapping[str, Any]
    """A Kubernetes pod status with the keys uid, namespace, name, stopping and ended beside it."""

    @property
    def key(self) -> vk.PodKey:
        """The pod."""
        return vk.PodKey(self.raw["namespace"], self.raw["name"], self.raw["uid"])

    @property
    def ended(self) -> bool:
        """Whether nothing of the pod runs or will run again."""
        return bool(self.raw["ended"])

    @property
    def stopping(self) -> bool:
        """Whether the pod was asked to end."""
        return bool(self.raw["stopping"])

    @property
    def pids(self) -> Mapping[str, int]:
        """The main process of each container that runs."""
        return {each["name"]: each["pid"] for each in self._containers() if each["pid"]}

    def pod_status(self) -> vk.PodStatus:
        """Return the pod's status; addresses are the provider's to add."""
        return vk.PodStatus.from_json(self.key, self.raw)

    def lost(self) -> Report:
        """Return the report of a pod whose supervisor is dead: what had not ended has now."""
        if self.ended:
            return self
        kinds = ("initContainerStatuses", "containerStatuses")
        raw = {kind: [_lost(each) for each in self.raw[kind]] for kind in kinds}
        return Report({**self.raw, **raw, "ended": True})

    def _containers(self) -> Sequence[Mapping[str, Any]]:
        return [*self.raw["initContainerStatuses"], *self.raw["containerStatuses"]]


def is_running(folder: Path) -> bool:
    """Whether anything of the folder's pod still runs: its supervisor, or what it left to end."""
    return is_locked(str(folder / "lock"))


def last_report(folder: Path) -> tuple[Report, tuple[PodEvent, ...]] | None:
    """Return the last status and the last events of the folder's pod; None: it never ran.

    The state is the last one that the supervisor saw. Where `is_running` says no and the report
    has not `Report.ended`, the pod is lost (`Report.lost`).
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
