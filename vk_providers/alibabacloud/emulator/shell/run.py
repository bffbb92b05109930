"""The simulated shell: executes a parsed script and yields its steps.

Supported: lists, ``&&``, ``||``, pipes, groups, ``if``, ``while``, ``until``, ``for``, assignments,
``$NAME``, ``$(...)``, ``$((...))`` and redirection to another stream or /dev/null.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any

import attrs

from vk_providers.alibabacloud.emulator.shell import arithmetic, grammar
from vk_providers.alibabacloud.emulator.shell.steps import (
    STDERR,
    Input,
    Interrupted,
    Sleep,
    Step,
    Steps,
    captured,
    redirected,
    write_text,
)
from vk_providers.alibabacloud.emulator.shell.tokens import Part, ShellSyntaxError, Word

__all__ = ["NOT_FOUND", "ProgramContext", "Shell", "start"]

NOT_FOUND = 127
_TOO_MANY = 1_000
_LONGEST = 1_000_000
_USAGE = 2
_INTERRUPTED = 130


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


class _LeaveError(Exception):
    """``exit``, ``break`` or ``continue``."""

    def __init__(self, kind: str, status: int = 0) -> None:
        super().__init__(kind)
        self.kind = kind
        self.status = status


@attrs.define(eq=False)
class LoopCounter:
    """Iterations of loops since the last sleep; shared within one command."""

    turns: int = 0


Program = Callable[[list[str], "Shell"], Steps]


def start(argv: Iterable[str], context: ProgramContext, programs: Mapping[str, Program]) -> Steps:
    """Return the steps of a command and its arguments."""
    return Shell(context, programs, dict(context.env), Input()).call(list(argv))


@attrs.define(eq=False)
class Shell:
    """A shell, or the context of one program."""

    context: ProgramContext
    programs: Mapping[str, Program]
    variables: dict[str, str]
    input: Input
    arguments: list[str] = attrs.field(factory=list)
    name: str = "sh"
    status: int = 0
    work: LoopCounter = attrs.field(factory=LoopCounter)

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
            yield from self._walk(grammar.parse(text))
        except (ShellSyntaxError, RecursionError) as error:
            yield write_text(f"{self.name}: syntax error: {error}\n", STDERR)
            self.status = _USAGE
        except _LeaveError as leave:
            self.status = leave.status if leave.kind == "exit" else self.status
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
                yield from self._walk(grammar.parse(line.decode("utf-8", "surrogateescape")))
            except ShellSyntaxError as error:
                yield write_text(f"{self.name}: syntax error: {error}\n", STDERR)
                self.status = _USAGE
            except Interrupted:
                yield write_text("\n")
                self.status = _INTERRUPTED
            except _LeaveError as leave:
                if leave.kind == "exit":
                    return leave.status

    def _walk(self, node: grammar.ShellNode) -> Steps:
        match node:
            case grammar.SimpleCommand():
                self.status = yield from redirected(self._command(node), node.redirects)
            case grammar.CommandList():
                steps = self._apart(node) if node.apart else self._sequence(node)
                self.status = yield from redirected(steps, node.redirects)
            case grammar.Pipeline():
                self.status = yield from self._pipe(node)
            case grammar.IfCommand():
                yield from self._branch(node)
            case grammar.WhileLoop():
                yield from self._loop(node)
            case grammar.ForLoop():
                words = yield from self._expand(node.words)
                for word in words:
                    self.variables[node.name] = word
                    if not (yield from self._turn(node.body)):
                        break
        return self.status

    def _sequence(self, node: grammar.CommandList) -> Steps:
        for operator, item in node.items:
            if operator == ";" or (operator == "&&") == (self.status == 0):
                yield from self._walk(item)
        return self.status

    def _apart(self, node: grammar.CommandList) -> Steps:
        """Run it in a subshell."""
        inner = attrs.evolve(self, variables=dict(self.variables))
        try:
            return (yield from inner._sequence(node))
        except _LeaveError as leave:
            return leave.status if leave.kind == "exit" else inner.status

    def _branch(self, node: grammar.IfCommand) -> Steps:
        for condition, body in node.choices:
            if (yield from self._walk(condition)) == 0:
                return (yield from self._walk(body))
        self.status = 0
        return (yield from self._walk(node.otherwise))

    def _loop(self, node: grammar.WhileLoop) -> Steps:
        while ((yield from self._walk(node.condition)) == 0) != node.until:
            if not (yield from self._turn(node.body)):
                break
        self.status = 0
        return 0

    def _turn(self, body: grammar.ShellNode) -> Generator[Step, Any, bool]:
        """Run a loop's body once; return whether the loop goes on.

        A busy loop is made to sleep, since it would block the emulator.
        """
        self.work.turns += 1
        if self.work.turns > _TOO_MANY:
            self.work.turns = 0
            yield Sleep(1, busy=True)
        try:
            yield from self._walk(body)
        except _LeaveError as leave:
            if leave.kind == "exit":
                raise
            return leave.kind == "continue"
        return True

    def _pipe(self, node: grammar.Pipeline) -> Steps:
        left = grammar.CommandList(((";", node.left),))
        content, _ = yield from captured(self._apart(left))
        right = grammar.CommandList(((";", node.right),))
        return (yield from attrs.evolve(self, input=Input.of(content))._apart(right))

    def _command(self, node: grammar.SimpleCommand) -> Steps:
        settings = dict[str, str]()
        for name, word in node.settings:
            settings[name] = " ".join((yield from self._word(word, split=False)))
        argv = yield from self._expand(node.words)
        if not argv:
            self.variables.update(settings)
            return 0
        match argv:
            case ["exit", *rest]:
                raise _LeaveError("exit", int(rest[0]) & 255 if _whole(rest) else self.status)
            case ["break" | "continue" as kind, *_]:
                raise _LeaveError(kind)
            case ["export" | "readonly" | "local", *rest]:
                for name, sign, text in (each.partition("=") for each in rest):
                    self.variables |= {name: text} if sign else {}
                return 0
            case ["exec", *rest] if rest:
                raise _LeaveError("exit", (yield from self.call(rest)))
            case ["trap" | "set" | "cd" | "wait" | "exec", *_]:
                return 0
        inner = attrs.evolve(self, variables=self.variables | settings) if settings else self
        return (yield from inner.call(argv))

    def _expand(self, words: Iterable[Word]) -> Generator[Step, Any, list[str]]:
        expanded = list[str]()
        for word in words:
            expanded += yield from self._word(word, split=True)
        return expanded

    def _word(self, word: Word, *, split: bool) -> Generator[Step, Any, list[str]]:
        """Return the expansion of a word; unquoted expansions are split at blanks."""
        fields, quoted = [""], False
        for part in word:
            quoted = quoted or part.quoted
            if part.kind == "variable" and part.text == "@":
                pieces = list(self.arguments) if part.quoted else " ".join(self.arguments).split()
                quoted = quoted and bool(self.arguments)
            else:
                content = yield from self._part(part)
                pieces = [content]
                if split and part.kind != "text" and not part.quoted:
                    pieces = content.split()
            fields[-1] += pieces[0] if pieces else ""
            if len(fields[-1]) > _LONGEST:
                raise ShellSyntaxError("a word is too long")
            fields += pieces[1:]
        return fields if quoted or fields != [""] or not split else []

    def _part(self, part: Part) -> Generator[Step, Any, str]:
        if part.kind == "variable":
            return self._variable(part.text)
        if part.kind == "command":
            content, self.status = yield from captured(attrs.evolve(self).text(part.text))
            return content.decode("utf-8", "surrogateescape").rstrip("\n")
        if part.kind == "arithmetic":
            return str(arithmetic.value(part.text, self.variables))
        return part.text

    def _variable(self, name: str) -> str:
        if name.isdecimal():
            return ([self.name, *self.arguments][int(name) :] or [""])[0]
        special = {"?": str(self.status), "#": str(len(self.arguments)), "$": "1", "!": ""}
        if name == "*":
            return " ".join(self.arguments)
        return special[name] if name in special else self.variables.get(name, "")


def _whole(words: list[str]) -> bool:
    return bool(words) and words[0].isdecimal()
