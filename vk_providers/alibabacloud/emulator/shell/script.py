"""The simulated shell: runs the texts of ``sh -c`` and the lines of a session, without a process.

Supported are commands with ``;``, ``&&`` and ``||``, ``while LIST; do LIST; done``, quotes,
``$NAME``, ``$1`` and ``$?``, and redirection to the other stream or to /dev/null. Anything else of
a shell's language is a syntax error, never run differently.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Callable, Generator, Iterator, Mapping

import attrs

from vk_providers.alibabacloud.emulator.shell.steps import (
    STDERR,
    Input,
    Interrupted,
    Sleep,
    Step,
    Steps,
    redirected,
    write_text,
)

__all__ = ["NOT_FOUND", "Program", "ProgramContext", "Shell"]

NOT_FOUND = 127
_USAGE = 2
_INTERRUPTED = 130
_TOO_MANY = 1_000
"""Turns of loops without a sleep after which a command counts as busy."""
_TOKEN = re.compile(
    r"(?P<blank>[ \t]+|\\\n|#[^\n]*)"
    r"|(?P<redirect>2>&1|>&2|2?>/dev/null)"
    r"|(?P<operator>&&|\|\||;|\n)"
    r"|(?P<word>(?:'[^']*'|\"(?:[^\"\\]|\\.)*\"|\\[^\n]|[^\s;&|<>()'\"\\`])+)",
    re.DOTALL,
)
_PIECE = re.compile(r"'([^']*)'|\"((?:[^\"\\]|\\.)*)\"|\\(.)|([^'\"\\]+)", re.DOTALL)
_VARIABLE = re.compile(r"\\([\"\\$`])|\$([A-Za-z_]\w*|[0-9?])|\$\{([A-Za-z_]\w*)\}|[$`]", re.ASCII)
_UNSUPPORTED = frozenset(
    (
        "if",
        "then",
        "elif",
        "else",
        "fi",
        "for",
        "until",
        "do",
        "done",
        "case",
        "esac",
        "{",
        "}",
        "!",
    )
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.ASCII | re.DOTALL)


class ShellSyntaxError(Exception):
    """The text is not of the supported language."""


@attrs.frozen
class ProgramContext:
    """The environment of a program."""

    env: Mapping[str, str] = attrs.field(factory=dict)
    files: Mapping[str, bytes] = attrs.field(factory=dict)
    folder: str = "/"
    terminal: bool = False
    size: Callable[[], tuple[int, int]] = lambda: (80, 24)
    date: Callable[[], str] = lambda: ""
    endless: bool = False
    """Whether an unknown program runs indefinitely; else it is not found."""


@attrs.frozen
class Command:
    """One command: its words as written, and its redirections."""

    words: tuple[str, ...]
    redirects: tuple[str, ...]


@attrs.frozen
class WhileLoop:
    """A loop."""

    condition: Script
    body: Script


Script = tuple[tuple[str, Command | WhileLoop], ...]
"""Commands, each with the operator before it."""


def parse(text: str) -> Script:
    """Return the script of a text. Raises `ShellSyntaxError`."""
    script, end = _Parser(list(_tokens(text))).script(())
    if end:
        raise ShellSyntaxError(f"unexpected {end}")
    return script


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ShellSyntaxError(f"{text[at]!r} is not supported here")
        at = found.end()
        if found.lastgroup != "blank":
            yield str(found.lastgroup), found[0]


@attrs.define(eq=False)
class _Parser:
    """Reads tokens from the first on."""

    tokens: list[tuple[str, str]]
    at: int = 0

    def script(self, ends: tuple[str, ...]) -> tuple[Script, str]:
        """Return the commands up to one of ``ends``, and that word; empty at the end."""
        items = list[tuple[str, Command | WhileLoop]]()
        operator, fresh = ";", True
        while self.at < len(self.tokens):
            kind, text = self.tokens[self.at]
            if text == "\n":
                fresh = True
                self.at += 1
            elif kind == "operator":
                if fresh:
                    raise ShellSyntaxError(f"unexpected {text}")
                operator, fresh = text, True
                self.at += 1
            elif text in ends:
                break
            else:
                items.append((operator, self._command()))
                operator, fresh = ";", False
        if operator != ";" or (ends and not items):
            raise ShellSyntaxError("a command is missing")
        if self.at == len(self.tokens):
            if ends:
                raise ShellSyntaxError(f"{ends[0]} is missing")
            return tuple(items), ""
        self.at += 1
        return tuple(items), self.tokens[self.at - 1][1]

    def _command(self) -> Command | WhileLoop:
        if self.tokens[self.at] == ("word", "while"):
            self.at += 1
            condition, _ = self.script(("do",))
            body, _ = self.script(("done",))
            return WhileLoop(condition, body)
        words, redirects = list[str](), list[str]()
        while self.at < len(self.tokens) and self.tokens[self.at][0] != "operator":
            kind, text = self.tokens[self.at]
            (words if kind == "word" else redirects).append(text)
            self.at += 1
        first = words[0] if words else ""
        if not words or first in _UNSUPPORTED or _ASSIGNMENT.fullmatch(first):
            raise ShellSyntaxError(f"{first or redirects[0]} is not supported here")
        return Command(tuple(words), tuple(redirects))


class _ExitError(Exception):
    """``exit``."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


Program = Callable[[list[str], "Shell"], Steps]


@attrs.define(eq=False)
class Shell:
    """A shell, or the context of one program."""

    context: ProgramContext
    programs: Mapping[str, Program]
    input: Input = attrs.field(factory=Input)
    name: str = "sh"
    arguments: list[str] = attrs.field(factory=list)
    status: int = 0
    turns: int = 0
    """Turns of loops since the last sleep."""

    def call(self, argv: list[str]) -> Steps:
        """Run one program."""
        program = self.programs.get(posixpath.basename(argv[0]))
        if program is not None:
            return (yield from program(argv, self))
        if self.context.endless:
            yield Sleep(math.inf)
        yield write_text(f"{self.name}: {argv[0]}: not found\n", STDERR)
        return NOT_FOUND

    def text(self, text: str) -> Steps:
        """Run a script to its end, or to its ``exit``."""
        try:
            yield from self._run(parse(text))
        except (ShellSyntaxError, RecursionError) as error:
            yield write_text(f"{self.name}: syntax error: {error}\n", STDERR)
            self.status = _USAGE
        except _ExitError as leave:
            self.status = leave.status
        return self.status

    def interactive(self, prompt: str) -> Steps:
        """Run input lines until EOF or ``exit``."""
        while True:
            try:
                if prompt:
                    yield write_text(prompt)
                line = yield from self.input.line()
                if not line:
                    return self.status
                yield from self._run(parse(line.decode("utf-8", "surrogateescape")))
            except ShellSyntaxError as error:
                yield write_text(f"{self.name}: syntax error: {error}\n", STDERR)
                self.status = _USAGE
            except Interrupted:
                yield write_text("\n")
                self.status = _INTERRUPTED
            except _ExitError as leave:
                return leave.status

    def _run(self, script: Script) -> Generator[Step, object, None]:
        for operator, item in script:
            if operator != ";" and (operator == "&&") != (self.status == 0):
                continue
            if isinstance(item, WhileLoop):
                yield from self._loop(item)
            else:
                self.status = yield from redirected(self._command(item), item.redirects)

    def _loop(self, loop: WhileLoop) -> Generator[Step, object, None]:
        """Run a loop; a busy one is made to sleep, since it would block the emulator."""
        while True:
            yield from self._run(loop.condition)
            if self.status:
                self.status = 0
                return
            self.turns += 1
            if self.turns > _TOO_MANY:
                self.turns = 0
                yield Sleep(1, busy=True)
            yield from self._run(loop.body)

    def _command(self, command: Command) -> Steps:
        argv = [word for written in command.words for word in self._expanded(written)]
        match argv:
            case [] | ["trap" | "set" | "wait", *_]:
                return 0
            case ["exit", *rest]:
                known = bool(rest) and rest[0].isdecimal()
                raise _ExitError(int(rest[0]) & 255 if known else self.status)
        return (yield from self.call(argv))

    def _expanded(self, written: str) -> list[str]:
        """Return the words that a word becomes; variables outside quotes are split at blanks."""
        words, whole = [""], False
        for single, double, escaped, bare in _PIECE.findall(written):
            if bare:
                for number, part in enumerate(re.split(r"(\$[0-9?]|\$\w+|\$\{\w+\})", bare)):
                    pieces = self._text(part).split() if number % 2 else [self._text(part)]
                    words[-1] += pieces[0] if pieces else ""
                    words += pieces[1:]
            else:
                whole = True
                words[-1] += single or escaped or self._text(double)
        return words if whole or words != [""] else []

    def _text(self, text: str) -> str:
        return _VARIABLE.sub(self._value, text)

    def _value(self, found: re.Match[str]) -> str:
        escaped, name, braced = found.groups()
        if escaped:
            return str(escaped)
        if name == "?":
            return str(self.status)
        if name and name.isdecimal():
            return ([self.name, *self.arguments][int(name) :] or [""])[0]
        if name or braced:
            return self.context.env.get(name or braced, "")
        raise ShellSyntaxError(f"{found[0]} is not supported here")
