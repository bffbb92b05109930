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
        content: bytes = yield Read()
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
            ">&2": {STDOUT: where[STDERR]},
            "2>&1": {STDERR: where[STDOUT]},
            ">/dev/null": {STDOUT: 0},
            "2>/dev/null": {STDERR: 0},
        }[redirect]
    answer: Any = None
    while True:
        try:
            step = steps.send(answer)
        except StopIteration as end:
            return int(end.value)
        answer = None
        if not isinstance(step, Write):
            answer = yield step
        elif where[step.stream]:
            yield Write(where[step.stream], step.content)
