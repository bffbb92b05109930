"""The steps of a simulated program: a generator; the caller decides how time passes.

A container's log takes the steps of a whole run at once, an exec session plays them live.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

import attrs

__all__ = [
    "STDERR",
    "STDOUT",
    "Input",
    "Interrupted",
    "Read",
    "Sleep",
    "Step",
    "Steps",
    "Write",
    "captured",
    "redirected",
    "write_text",
]

STDOUT = 1
STDERR = 2


@attrs.frozen
class Write:
    """Output."""

    stream: int
    content: bytes


@attrs.frozen
class Sleep:
    """A wait, in seconds of the service."""

    seconds: float
    busy: bool = False
    """Whether it was inserted into a busy loop, which counts as endless."""


@attrs.frozen
class Read:
    """A request for input: the runner sends bytes, empty at EOF."""


class Interrupted(Exception):
    """Ctrl-C; the runner throws it into the steps."""


Step = Write | Sleep | Read
Steps = Generator[Step, Any, int]
"""The steps of a program; returns its exit code."""


@attrs.define(eq=False)
class Input:
    """Standard input, shared by a shell and its programs."""

    _rest: bytes = b""
    _ended: bool = False

    @classmethod
    def of(cls, content: bytes) -> Input:
        """Return a complete input, as of a pipe."""
        return cls(content, True)

    def chunk(self) -> Generator[Step, Any, bytes]:
        """Return available or next input; empty at EOF."""
        if not self._rest:
            yield from self._more()
        rest, self._rest = self._rest, b""
        return rest

    def line(self) -> Generator[Step, Any, bytes]:
        """Return the next line with its newline; empty at EOF."""
        while b"\n" not in self._rest and (yield from self._more()):
            continue
        line, end, self._rest = self._rest.partition(b"\n")
        return line + end

    def _more(self) -> Generator[Step, Any, bool]:
        """Request more input; return whether there was any. A terminal continues after EOF."""
        content = b"" if self._ended else (yield Read())
        self._rest += content
        return bool(content)


def write_text(content: str | Iterable[str], stream: int = STDOUT) -> Write:
    """Return the step that writes a text."""
    text = content if isinstance(content, str) else "".join(content)
    return Write(stream, text.encode("utf-8", "surrogateescape"))


def redirected(steps: Steps, redirects: tuple[str, ...]) -> Steps:
    """Apply redirections to the output of ``steps``, from left to right."""
    if not redirects:
        return (yield from steps)
    where = {STDOUT: STDOUT, STDERR: STDERR}
    for redirect in redirects:
        where |= {
            ">": {STDOUT: 0},
            "2>": {STDERR: 0},
            ">&2": {STDOUT: where[STDERR]},
            "2>&1": {STDERR: where[STDOUT]},
        }.get(redirect, {})
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            return int(end.value)
        answer = None
        if not isinstance(step, Write):
            answer = b"" if isinstance(step, Read) and "<" in redirects else (yield step)
        elif where[step.stream]:
            yield Write(where[step.stream], step.content)


def captured(steps: Steps) -> Generator[Step, Any, tuple[bytes, int]]:
    """Run ``steps``; return its captured output and exit code."""
    content, answer = list[bytes](), None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            return b"".join(content), int(end.value)
        answer = None
        if isinstance(step, Write) and step.stream == STDOUT:
            content.append(step.content)
        else:
            answer = yield step
