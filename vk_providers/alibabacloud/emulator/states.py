"""The states of an emulated container, and the service's time format. Frozen values."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

__all__ = [
    "EmulatedState",
    "RunningState",
    "TerminatedState",
    "WaitingState",
    "moment",
    "read_moment",
]

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@attrs.frozen
class WaitingState:
    """The container is not running."""

    reason: str
    message: str = ""


@attrs.frozen
class RunningState:
    """The container is running."""

    started: float


@attrs.frozen
class TerminatedState:
    """The container has exited."""

    code: int
    reason: str
    started: float
    finished: float
    signal: int = 0


EmulatedState = WaitingState | RunningState | TerminatedState


def moment(seconds: float | None) -> str:
    """Return a time in the service's format; empty for None."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime(_FORMAT)


def read_moment(text: str) -> float:
    """Parse a time into seconds. Raises ValueError with what was expected."""
    try:
        return datetime.strptime(text, _FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise ValueError("expected a time such as 2021-12-02T15:00:00Z") from None
