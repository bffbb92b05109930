"""The states of a container, and how the service writes moments. Frozen values."""

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
    """It does not run now."""

    reason: str
    message: str = ""


@attrs.frozen
class RunningState:
    """It runs since a moment."""

    started: float


@attrs.frozen
class TerminatedState:
    """It has run."""

    code: int
    reason: str
    started: float
    finished: float
    signal: int = 0


EmulatedState = WaitingState | RunningState | TerminatedState


def moment(seconds: float | None) -> str:
    """Return a moment as the service writes it; nothing where there is none."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime(_FORMAT)


def read_moment(text: str) -> float:
    """Return the seconds of a moment. Raises ValueError that says what was expected."""
    try:
        return datetime.strptime(text, _FORMAT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise ValueError("expected a moment such as 2021-12-02T15:00:00Z") from None
