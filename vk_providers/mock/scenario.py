"""The scenario of a pod: the settings ``mock.vk/...``, and the schedule that they define. Pure.

In: annotations or the configuration. Out: a `Scenario`, which defines when the runs of a container
begin and how long they last; `pod` computes statuses from it. Times are integer milliseconds, so
that timers hit the exact moment of a change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

import vk

__all__ = ["KILLED", "PREFIX", "RELIST", "Scenario", "parse"]

PREFIX = "mock.vk/"
KILLED = 137
"""The exit code of a killed process: 128 + SIGKILL."""
RELIST = 1_000
"""Milliseconds until a kubelet notices an exit and restarts the container."""
_UNITS = {"ms": 1, "s": 1_000, "": 1_000, "m": 60_000, "h": 3_600_000}
_BACKOFF, _BACKOFF_CAP = 10_000, 300_000  # the kubelet's crash-loop backoff, doubled each time
_STEADY = 6  # from this restart on the backoff stays at its cap
_LONGEST_LINE = 200
_HEALTHY = 600_000  # a kubelet resets the backoff of a container that ran for so long


def _duration(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", text, re.ASCII)
    if match is None:
        raise ValueError('a duration such as "2s", "1m", "500ms" or plain seconds')
    return round(float(match[1]) * _UNITS[match[2]])


def _positive(text: str) -> int:
    if (duration := _duration(text)) == 0:
        raise ValueError("a duration above 0")
    return duration


def _exit_code(text: str) -> int:
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or int(text) > 255:
        raise ValueError("an exit code from 0 to 255")
    return int(text)


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise ValueError("an integer of at least 0")
    return int(text)


def _switch(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError('"true" or "false"')
    return text.lower() == "true"


def _reason(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", text):
        raise ValueError('a reason in CamelCase such as "OutOfStock"')
    return text


def _line(text: str) -> str:
    if len(text) > _LONGEST_LINE or not text.isprintable():
        raise ValueError(f"a printable line of at most {_LONGEST_LINE} characters")
    return text


_READERS: Mapping[str, Callable[[str], Any]] = {
    "start-delay": _duration,
    "run-for": _duration,
    "exit-code": _exit_code,
    "crash-loop": _switch,
    "fail-create": _reason,
    "fail-create-times": _count,
    "ready-after": _duration,
    "restart-every": _positive,
    "lost-after": _positive,
    "log-line": _line,
}


def parse(name: str, text: str) -> Any:
    """Parse one setting; raises ValueError with a message about what was expected."""
    reader = _READERS.get(name)
    if reader is None:
        raise ValueError(f"one of {', '.join(_READERS)}")
    return reader(text)


@attrs.frozen(kw_only=True)
class Scenario:
    """The scenario of a pod; by default it starts at once and runs indefinitely."""

    start_delay: int = 0
    run_for: int | None = None
    exit_code: int = 0
    crash_loop: bool = False
    """Exits with a code other than 0 after ``run_for``, or 1 s, regardless of ``exit_code``."""
    fail_create: str = ""
    fail_create_times: int = 0
    ready_after: int = 0
    restart_every: int | None = None
    """Killed and restarted at this interval; overrides ``run_for`` and ``crash_loop``."""
    lost_after: int | None = None
    log_line: str = ""
    """Line that each container logs every second; empty: none."""

    def override(self, annotations: Mapping[str, str]) -> Scenario:
        """Return this scenario with the pod's annotations applied; raises InvalidInputError."""
        changes = {}
        for annotation, text in annotations.items():
            if annotation.startswith(PREFIX):
                name = annotation.removeprefix(PREFIX)
                try:
                    changes[name.replace("-", "_")] = parse(name, text)
                except ValueError as error:
                    shown = text if len(text) < 80 else text[:77] + "..."
                    raise vk.InvalidInputError(
                        f"annotation {annotation}: expected {error}, found {shown!r}",
                        reason="InvalidAnnotation",
                    ) from None
        return attrs.evolve(self, **changes) if changes else self

    @property
    def run(self) -> int | None:
        """Duration of a run; None: indefinitely."""
        if self.restart_every is not None:
            return self.restart_every
        return 1_000 if self.crash_loop and self.run_for is None else self.run_for

    @property
    def ends_with(self) -> int:
        """Exit code of a container."""
        if self.restart_every is not None:
            return KILLED
        return self.exit_code or 1 if self.crash_loop else self.exit_code

    def pause(self, restart: int) -> int:
        """Return the delay before restart number ``restart`` (from 0)."""
        healthy = self.restart_every is not None or (self.run or 0) >= _HEALTHY
        if restart == 0 or healthy or self.ends_with == 0:
            return RELIST
        return min(_BACKOFF << min(restart - 1, _STEADY), _BACKOFF_CAP)

    def began(self, run: int, attempt: int) -> int:
        """Return the start of attempt ``attempt`` (from 0) of a container that runs for ``run``."""
        growing = sum(run + self.pause(number) for number in range(min(attempt, _STEADY)))
        return growing + max(attempt - _STEADY, 0) * (run + self.pause(_STEADY))

    def attempt(self, run: int, elapsed: int) -> int:
        """Return the number of the newest attempt, ``elapsed`` after the start of the first."""
        attempt = 0
        while attempt < _STEADY and elapsed >= self.began(run, attempt + 1):
            attempt += 1
        beyond = elapsed - self.began(run, attempt)
        return attempt + beyond // (run + self.pause(attempt)) if attempt == _STEADY else attempt
