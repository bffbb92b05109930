"""Parses a shell script into a tree. Pure; `run` executes it."""

from __future__ import annotations

import re
from functools import lru_cache

import attrs

from vk_providers.alibabacloud.emulator.shell.tokens import (
    Operator,
    ShellSyntaxError,
    Token,
    Word,
    tokens,
)

__all__ = [
    "CommandList",
    "ForLoop",
    "IfCommand",
    "Pipeline",
    "ShellNode",
    "SimpleCommand",
    "WhileLoop",
    "parse",
]


@attrs.frozen
class SimpleCommand:
    """A simple command: assignments, words, redirections."""

    settings: tuple[tuple[str, Word], ...]
    words: tuple[Word, ...]
    redirects: tuple[str, ...] = ()


@attrs.frozen
class CommandList:
    """Commands in order; each with ``;``, ``&&`` or ``||`` before it."""

    items: tuple[tuple[str, ShellNode], ...]
    redirects: tuple[str, ...] = ()
    apart: bool = False
    """Whether it is a subshell, in parentheses."""


@attrs.frozen
class Pipeline:
    """A pipeline of two commands."""

    left: ShellNode
    right: ShellNode


@attrs.frozen
class IfCommand:
    """``if``: the first condition that succeeds, else ``otherwise``."""

    choices: tuple[tuple[ShellNode, ShellNode], ...]
    otherwise: ShellNode


@attrs.frozen
class WhileLoop:
    """``while``, or ``until``."""

    condition: ShellNode
    body: ShellNode
    until: bool


@attrs.frozen
class ForLoop:
    """``for``: once for each word."""

    name: str
    words: tuple[Word, ...]
    body: ShellNode


ShellNode = SimpleCommand | CommandList | Pipeline | IfCommand | WhileLoop | ForLoop

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?==)", re.ASCII)
_REDIRECT = {">&2": ">&2", "1>&2": ">&2", "2>&1": "2>&1"}
_ENDS = ("then", "elif", "else", "fi", "do", "done", "}", ")")


@lru_cache(maxsize=512)
def parse(text: str) -> ShellNode:
    """Parse a script. Raises `ShellSyntaxError`."""
    reader = _Reader(list(tokens(text)))
    try:
        tree = reader.sequence()
    except RecursionError:
        raise ShellSyntaxError("too deeply nested") from None
    if reader.left:
        raise ShellSyntaxError("unexpected " + reader.show())
    return tree


def _plain(token: Token | None) -> str:
    """Return an operator or an unquoted literal word, else an empty string."""
    if isinstance(token, Operator):
        return token.text
    if token is None or any(part.kind != "text" or part.quoted for part in token):
        return ""
    return "".join(part.text for part in token)


@attrs.define(eq=False)
class _Reader:
    """A recursive-descent parser."""

    left: list[Token]

    def show(self) -> str:
        return repr(_plain(self.left[0]) or "word") if self.left else "end"

    def _next(self) -> str:
        return _plain(self.left[0]) if self.left else ""

    def _expect(self, *words: str) -> str:
        found = self._next()
        if found not in words:
            raise ShellSyntaxError(f"expected {' or '.join(words)}, found {self.show()}")
        self.left.pop(0)
        return found

    def sequence(self) -> ShellNode:
        items = list[tuple[str, ShellNode]]()
        operator = ";"
        while True:
            while self._next() in (";", "\n"):
                self.left.pop(0)
            if not self.left or self._next() in _ENDS:
                return items[0][1] if len(items) == 1 else CommandList(tuple(items))
            items.append((operator, self._pipeline()))
            operator = ";"
            if self._next() in ("&&", "||"):
                operator = self._expect("&&", "||")
            elif self.left and self._next() not in (";", "\n", *_ENDS):
                raise ShellSyntaxError("unexpected " + self.show())

    def _pipeline(self) -> ShellNode:
        tree = self._command()
        while self._next() == "|":
            self.left.pop(0)
            tree = Pipeline(tree, self._command())
        return tree

    def _command(self) -> ShellNode:
        match self._next():
            case "{" | "(" as opened:
                self.left.pop(0)
                tree = self.sequence()
                self._expect("}" if opened == "{" else ")")
                return CommandList(((";", tree),), self._redirects(), opened == "(")
            case "if":
                return self._branch()
            case "while" | "until" as kind:
                self.left.pop(0)
                condition = self.sequence()
                return WhileLoop(condition, self._body(), kind == "until")
            case "for":
                return self._repeat()
        return self._simple()

    def _branch(self) -> IfCommand:
        choices = list[tuple[ShellNode, ShellNode]]()
        word = self._expect("if")
        while word in ("if", "elif"):
            condition = self.sequence()
            self._expect("then")
            choices.append((condition, self.sequence()))
            word = self._expect("elif", "else", "fi")
        otherwise: ShellNode = CommandList(())
        if word == "else":
            otherwise = self.sequence()
            self._expect("fi")
        return IfCommand(tuple(choices), otherwise)

    def _repeat(self) -> ForLoop:
        self.left.pop(0)
        name = self._next()
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ShellSyntaxError(f"expected a name, found {self.show()}")
        self.left.pop(0)
        self._expect("in")
        words = list[Word]()
        while self.left and not isinstance(self.left[0], Operator):
            words.append(self.left[0])
            self.left.pop(0)
        self._expect(";", "\n")
        return ForLoop(name, tuple(words), self._body())

    def _body(self) -> ShellNode:
        while self._next() in (";", "\n"):
            self.left.pop(0)
        self._expect("do")
        body = self.sequence()
        self._expect("done")
        return body

    def _simple(self) -> SimpleCommand:
        settings, words = list[tuple[str, Word]](), list[Word]()
        redirects = self._redirects()
        while self.left and not isinstance(token := self.left[0], Operator):
            self.left.pop(0)
            name = None if words else _ASSIGNMENT.match(_start(token))
            if name:
                settings.append((name[0], _without(token, len(name[0]) + 1)))
            else:
                words.append(token)
            redirects += self._redirects()
        if not words and not settings and not redirects:
            raise ShellSyntaxError("unexpected " + self.show())
        return SimpleCommand(tuple(settings), tuple(words), redirects)

    def _redirects(self) -> tuple[str, ...]:
        found = list[str]()
        while (text := self._next()) in (*_REDIRECT, ">", ">>", "2>", "2>>", "<"):
            self.left.pop(0)
            if text in _REDIRECT:
                found.append(_REDIRECT[text])
                continue
            if self._next() != "/dev/null":
                raise ShellSyntaxError("only /dev/null can be redirected to")
            self.left.pop(0)
            found.append(text.replace(">>", ">"))
        return tuple(found)


def _start(word: Word) -> str:
    """Return the unquoted literal prefix of a word."""
    text = ""
    for part in word:
        if part.kind != "text" or part.quoted:
            break
        text += part.text
    return text


def _without(word: Word, count: int) -> Word:
    """Return the word without its first characters (each is a part)."""
    return word[count:]
