"""The kubelet's rules as pure functions: restarts and their backoff, probe results, messages.

Times are in seconds of one clock. The constants are those of the kubelet (its default backoff and
probe worker).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Kind = Literal["init", "sidecar", "container"]

__all__ = [
    "MINIMUM_GRACE",
    "ProbeRun",
    "RestartBackoff",
    "next_backoff",
    "next_probe_run",
    "reason_of",
    "restart_wait",
    "should_restart",
    "termination_message",
]

_FIRST = 10.0
_CAP = 300.0
_FORGET = 2 * _CAP

MINIMUM_GRACE = 2.0
"""Minimum seconds between stop signal and kill, even after a long preStop hook."""

_MESSAGE_SIZE = 4096
_LOG_SIZE = 2048


class RestartBackoff:
    """The delay before the next restart; ``since`` is the time of the last restart."""

    __slots__ = ("delay", "since")

    def __init__(self, delay: float, since: float) -> None:
        self.delay = delay
        self.since = since


def restart_wait(backoff: RestartBackoff | None, *, finished: float, now: float) -> float:
    """Return the seconds until a container that ended at ``finished`` may restart.

    0 for the first restart, and after a run of more than ten minutes.
    """
    if backoff is None or finished - backoff.since > _FORGET:
        return 0.0
    return max(0.0, finished + backoff.delay - now)


def next_backoff(backoff: RestartBackoff | None, *, finished: float, now: float) -> RestartBackoff:
    """Return the backoff after a restart at ``now``: 10 s, doubled each time, up to 5 minutes."""
    if backoff is None or finished - backoff.since > _FORGET:
        return RestartBackoff(_FIRST, now)
    return RestartBackoff(min(backoff.delay * 2, _CAP), now)


def should_restart(kind: Kind, policy: str, exit_code: int) -> bool:
    """Return whether a container that exited with ``exit_code`` restarts under the policy."""
    if kind == "sidecar":
        return True
    if policy == "Never":
        return False
    if policy == "OnFailure" or kind == "init":
        return exit_code != 0
    return True


class ProbeRun:
    """The number of consecutive equal results of a probe; ``result`` None: it never ran."""

    __slots__ = ("count", "result")

    def __init__(self, result: bool | None = None, count: int = 0) -> None:
        self.result = result
        self.count = count


def next_probe_run(
    before: ProbeRun, succeeded: bool, *, success_threshold: int, failure_threshold: int
) -> tuple[ProbeRun, bool]:
    """Return the state after one more result, and whether it reached its threshold."""
    count = before.count + 1 if before.result is succeeded else 1
    threshold = success_threshold if succeeded else failure_threshold
    return ProbeRun(succeeded, count), count >= threshold


def reason_of(exit_code: int) -> str:
    """Return the reason of a terminated container; OOM kills cannot be detected."""
    return "Completed" if exit_code == 0 else "Error"


def termination_message(content: bytes, *, log: str, policy: str, exit_code: int) -> str:
    """Return the termination message: the content of its file, or the end of the log."""
    if content:
        return content[:_MESSAGE_SIZE].decode(errors="replace")
    if policy == "FallbackToLogsOnError" and exit_code != 0:
        return log[-_LOG_SIZE:]
    return ""
