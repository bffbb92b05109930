"""Where the output of steps goes: into a text, to another stream, or nowhere."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from vk_providers.alibabacloud.emulator.shell.steps import (
    STDERR,
    STDOUT,
    Read,
    Step,
    Steps,
    Write,
)

__all__ = ["captured", "redirected"]


def redirected(steps: Steps, redirects: tuple[str, ...]) -> Steps:
    """Send the output of ``steps`` where the redirections say, from left to right."""
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
    """Run ``steps`` with its output kept; return that and the exit code."""
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
