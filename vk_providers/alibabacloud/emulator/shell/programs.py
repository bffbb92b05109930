"""The programs of simulated containers, and the outcome of a container's command.

Any other program is not found in an exec, and runs indefinitely as the command of a container.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

import attrs

from vk_providers.alibabacloud.emulator.shell.script import Program, ProgramContext, Shell
from vk_providers.alibabacloud.emulator.shell.steps import (
    STDERR,
    Read,
    Sleep,
    Steps,
    Write,
    write_text,
)

__all__ = ["PROGRAMS", "Outcome", "launch", "outcome", "output"]

_LOOKED_AT = 2_000
"""Number of steps after which a command counts as endless."""
_STEPS = 20_000
"""Maximum number of steps of an output."""
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_ESCAPE = re.compile(r"\\([nt\\])|%(%|s)")


@attrs.frozen
class Outcome:
    """Duration, in the service's seconds, and exit code of a command."""

    seconds: float
    code: int


def launch(argv: tuple[str, ...], context: ProgramContext) -> Steps:
    """Return the steps of a command."""
    return Shell(context, PROGRAMS).call(list(argv))


@lru_cache(maxsize=4096)
def outcome(
    argv: tuple[str, ...],
    env: tuple[tuple[str, str], ...] = (),
    *,
    stdin: bool = False,
    endless: bool = True,
) -> Outcome:
    """Return the outcome of a command.

    With ``stdin``, its input is open but empty. ``endless``: an unknown program runs indefinitely,
    as the command of a container; else it is not found, as in a probe.
    """
    steps = launch(argv, ProgramContext(env=dict(env), endless=endless))
    seconds, answer = 0.0, None
    for _ in range(_LOOKED_AT):
        try:
            step = steps.send(answer)
        except StopIteration as end:
            return Outcome(seconds, int(end.value))
        answer = None
        if isinstance(step, Sleep):
            seconds += math.inf if step.busy else step.seconds
        elif isinstance(step, Read):
            answer = b""
            seconds = math.inf if stdin else seconds
        if math.isinf(seconds):
            break
    return Outcome(math.inf, 0)


def output(argv: tuple[str, ...], context: ProgramContext) -> Iterator[tuple[float, bytes]]:
    """Yield the output of a command without input, with the time of each piece.

    Ends with an empty piece at infinity for an endless command.
    """
    steps = launch(argv, context)
    at, answer = 0.0, None
    for _ in range(_STEPS):
        try:
            step = steps.send(answer)
        except StopIteration:
            return
        answer = b"" if isinstance(step, Read) else None
        if isinstance(step, Sleep):
            at += step.seconds
        elif isinstance(step, Write):
            yield at, step.content
        if math.isinf(at):
            break
    yield math.inf, b""


def _echo(argv: list[str], shell: Shell) -> Steps:
    end = "" if argv[1:2] == ["-n"] else "\n"
    yield write_text(" ".join(argv[1:] if end else argv[2:]) + end)
    return 0


def _printf(argv: list[str], shell: Shell) -> Steps:
    pattern, rest = (argv[1:2] or [""])[0], argv[2:]
    yield write_text(_ESCAPE.sub(lambda found: _formatted(found, rest), pattern))
    return 0


def _formatted(found: re.Match[str], rest: list[str]) -> str:
    if found[1]:
        return {"n": "\n", "t": "\t", "\\": "\\"}[found[1]]
    return "%" if found[2] == "%" else rest.pop(0) if rest else ""


def _cat(argv: list[str], shell: Shell) -> Steps:
    code = 0
    for name in argv[1:] or ["-"]:
        if name == "-":
            while content := (yield from shell.input.chunk()):
                yield Write(1, content)
        elif name in shell.context.files:
            yield Write(1, shell.context.files[name])
        else:
            yield write_text(f"cat: {name}: No such file or directory\n", STDERR)
            code = 1
    return code


def _sleep(argv: list[str], shell: Shell) -> Steps:
    total = 0.0
    for word in argv[1:]:
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)", word)
        if word in ("inf", "infinity"):
            total = math.inf
        elif found:
            total += float(found[1]) * _UNITS[found[2]]
        else:
            yield write_text("sleep: invalid time interval\n", STDERR)
            return 1
    shell.turns = 0
    yield Sleep(total)
    return 0


def _exit(argv: list[str], shell: Shell) -> Steps:
    """Run ``exit N`` as the command of a container, which no image could."""
    yield from ()
    return int(argv[1]) & 255 if argv[1:] and argv[1].isdecimal() else 0


def _ends(code: int) -> Program:
    def program(argv: list[str], shell: Shell) -> Steps:
        yield from ()
        return code

    return program


def _sh(argv: list[str], shell: Shell) -> Steps:
    rest, letters = argv[1:], ""
    while rest and re.fullmatch("[-+][A-Za-z]+", rest[0]):
        letters += rest.pop(0)[1:]
    inner = attrs.evolve(shell, name=argv[0], status=0)
    if "c" not in letters:
        if rest:
            yield write_text(f"{argv[0]}: {rest[0]}: no such script\n", STDERR)
            return 127
        return (yield from inner.interactive("/ # " if shell.context.terminal else ""))
    if not rest:
        yield write_text(f"{argv[0]}: -c wants a text\n", STDERR)
        return 2
    inner.name, inner.arguments = (rest[1] if rest[1:] else argv[0]), rest[2:]
    return (yield from inner.text(rest[0]))


def _env(argv: list[str], shell: Shell) -> Steps:
    names = argv[1:]
    variables = shell.context.env
    wanted = {name: variables[name] for name in names if name in variables}
    if names:
        yield write_text(f"{text}\n" for text in wanted.values())
        return 0 if len(wanted) == len(names) else 1
    yield write_text(f"{name}={text}\n" for name, text in variables.items())
    return 0


def _says(text: Callable[[Shell], str]) -> Program:
    def program(argv: list[str], shell: Shell) -> Steps:
        yield write_text(text(shell) + "\n")
        return 0

    return program


def _stty(argv: list[str], shell: Shell) -> Steps:
    width, height = shell.context.size()
    yield write_text(f"{height} {width}\n" if argv[1:] == ["size"] else "")
    return 0


PROGRAMS: Mapping[str, Program] = {
    "echo": _echo,
    "printf": _printf,
    "cat": _cat,
    "sleep": _sleep,
    "exit": _exit,
    "true": _ends(0),
    ":": _ends(0),
    "false": _ends(1),
    "sh": _sh,
    "bash": _sh,
    "ash": _sh,
    "env": _env,
    "printenv": _env,
    "pwd": _says(lambda shell: shell.context.folder),
    "hostname": _says(lambda shell: shell.context.env.get("HOSTNAME", "localhost")),
    "date": _says(lambda shell: shell.context.date()),
    "stty": _stty,
}
