"""The tokenizer of the simulated shell: words and operators. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

__all__ = ["Operator", "Part", "ShellSyntaxError", "Token", "Word", "tokens"]


class ShellSyntaxError(ValueError):
    """Unsupported or invalid syntax."""


@attrs.frozen
class Part:
    """A piece of a word: ``text``, a ``variable``'s name, a ``command`` or an ``arithmetic``."""

    kind: str
    text: str
    quoted: bool = False


Word = tuple[Part, ...]


@attrs.frozen
class Operator:
    """An operator between commands."""

    text: str


Token = Word | Operator

_OPERATOR = re.compile(r"&&|\|\||;;|2>&1|[12]?>&2|2?>>?|[;&|()<\n]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9?@#*$!]")


def tokens(line: str) -> Iterator[Token]:
    """Yield the tokens. Raises `ShellSyntaxError`."""
    at, parts = 0, list[Part]()
    while at < len(line):
        sign = line[at]
        operator = _OPERATOR.match(line, at)
        if operator and not (parts and sign in "12"):
            if parts:
                yield tuple(parts)
                parts = []
            yield Operator(operator[0])
            at = operator.end()
        elif sign in " \t\r":
            if parts:
                yield tuple(parts)
                parts = []
            at += 1
        elif sign == "#" and not parts:
            at = (line.find("\n", at) + len(line) + 1) % (len(line) + 1)
        else:
            at = _piece(line, at, parts)
    if parts:
        yield tuple(parts)


def _piece(line: str, at: int, parts: list[Part]) -> int:
    """Read a quoted piece, an expansion or a character; return the next position."""
    sign = line[at]
    if sign == "'":
        end = _find(line, "'", at + 1)
        parts.append(Part("text", line[at + 1 : end], True))
        return end + 1
    if sign == '"':
        return _quoted(line, at + 1, parts)
    if sign == "\\":
        if line[at + 1 : at + 2] != "\n":
            parts.append(Part("text", line[at + 1 : at + 2], True))
        return at + 2
    if sign == "$":
        return _expansion(line, at, parts, quoted=False)
    parts.append(Part("text", sign))
    return at + 1


def _quoted(line: str, at: int, parts: list[Part]) -> int:
    parts.append(Part("text", "", True))
    while at < len(line):
        sign = line[at]
        if sign == '"':
            return at + 1
        if sign == "$":
            at = _expansion(line, at, parts, quoted=True)
        elif sign == "\\" and line[at + 1 : at + 2] in ("$", '"', "\\", "`", "\n"):
            parts.append(Part("text", line[at + 1].replace("\n", ""), True))
            at += 2
        else:
            parts.append(Part("text", sign, True))
            at += 1
    raise ShellSyntaxError('unterminated "')


def _expansion(line: str, at: int, parts: list[Part], *, quoted: bool) -> int:
    if line.startswith("$((", at):
        end = _find(line, "))", at)
        parts.append(Part("arithmetic", line[at + 3 : end], quoted))
        return end + 2
    if line.startswith("$(", at):
        end = _closing(line, at + 2)
        parts.append(Part("command", line[at + 2 : end], quoted))
        return end + 1
    if line.startswith("${", at):
        end = _find(line, "}", at)
        if not _NAME.fullmatch(line, at + 2, end):
            raise ShellSyntaxError("only ${NAME} is known of ${...}")
        parts.append(Part("variable", line[at + 2 : end], quoted))
        return end + 1
    name = _NAME.match(line, at + 1)
    if name is None:
        parts.append(Part("text", "$", quoted))
        return at + 1
    parts.append(Part("variable", name[0], quoted))
    return name.end()


def _closing(line: str, at: int) -> int:
    depth = 1
    for context in range(at, len(line)):
        depth += {"(": 1, ")": -1}.get(line[context], 0)
        if not depth:
            return context
    raise ShellSyntaxError("unterminated $(")


def _find(line: str, what: str, at: int) -> int:
    found = line.find(what, at)
    if found < 0:
        raise ShellSyntaxError(f"unterminated {what}")
    return found
