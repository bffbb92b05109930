"""Every line that the source can log, found in its syntax trees: level, message and keys.

A message or a dict of keys may be a constant, a name that is given a constant in the same module, a
parameter that callers give a constant, or what a small function returns.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import attrs

_LEVELS = {"exception": "error"}
_METHODS = ("debug", "info", "warning", "error", "exception", "critical", "log")


@attrs.frozen
class LogLine:
    """One message; ``keys`` are what ``extra`` names."""

    message: str
    level: str
    keys: tuple[str, ...]


@attrs.define
class _Source:
    tree: ast.Module
    every: Mapping[Path, ast.Module]

    def lines(self) -> Iterator[LogLine]:
        for function in ast.walk(self.tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for call in _own_calls(function):
                    yield from self._of(call, function)

    def _of(
        self, call: ast.Call, function: ast.FunctionDef | ast.AsyncFunctionDef
    ) -> Iterator[LogLine]:
        target = call.func
        if not (isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name)):
            return
        if target.value.id != "log" or target.attr not in _METHODS:
            return
        name, arguments = _LEVELS.get(target.attr, target.attr), list(call.args)
        if name == "log":  # the level is decided at run time
            name, arguments = "varies", arguments[1:]
        extra = next((word.value for word in call.keywords if word.arg == "extra"), None)
        for message in self._texts(arguments[0], function, call.lineno):
            yield LogLine(message, name, tuple(sorted(self._keys(extra, function, call.lineno))))

    def _texts(
        self, node: ast.expr, function: ast.FunctionDef | ast.AsyncFunctionDef, line: int
    ) -> Iterable[str]:
        if isinstance(node, ast.Constant):
            return [str(node.value)]
        assert isinstance(node, ast.Name), ast.unparse(node)
        assigned = self._value(node.id, function, line)
        if assigned is not None:
            return [_text(assigned)]
        position = [one.arg for one in function.args.args if one.arg != "self"].index(node.id)
        return sorted(
            text
            for tree in self.every.values()
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and _called(call) == function.name
            for text in [_text(call.args[position]) if len(call.args) > position else ""]
            if text
        )

    def _value(self, name: str, function: ast.AST, line: int) -> ast.expr | None:
        """Return what a name was last given before ``line``, in the function or in the module."""
        before = [one for one in _assigned(function, name) if one.lineno <= line]
        own = max(before, key=lambda one: one.lineno, default=None)
        top = (one for one in self.tree.body if isinstance(one, ast.Assign))
        return own or next((value for one in top for value in _assigned(one, name)), None)

    def _keys(self, node: ast.expr | None, function: ast.AST, line: int) -> set[str]:
        if isinstance(node, ast.Dict):
            found: set[str] = set()
            for key, value in zip(node.keys, node.values, strict=True):
                found |= {_text(key)} if key is not None else self._keys(value, function, line)
            return found
        if isinstance(node, ast.Name):
            return self._keys(self._value(node.id, function, line), function, line)
        if isinstance(node, ast.Call):
            returned = (
                one.value
                for function in ast.walk(self.tree)
                if isinstance(function, ast.FunctionDef) and function.name == _called(node)
                for one in ast.walk(function)
                if isinstance(one, ast.Return)
            )
            return set().union(*(self._keys(one, function, line) for one in returned))
        return set()


def log_lines(files: Iterable[Path]) -> set[LogLine]:
    """Return every line that these sources can log."""
    trees = {path: ast.parse(path.read_text()) for path in files}
    return {line for tree in trees.values() for line in _Source(tree, trees).lines()}


def _own_calls(function: ast.AST) -> Iterator[ast.Call]:
    """Give the calls of a function, but not those of functions inside."""
    for child in ast.iter_child_nodes(function):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(child, ast.Call):
            yield child
        yield from _own_calls(child)


def _assigned(tree: ast.AST, name: str) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id == name:
                    yield node.value
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    for one, value in zip(target.elts, node.value.elts, strict=True):
                        if isinstance(one, ast.Name) and one.id == name:
                            yield value


def _called(call: ast.Call) -> str:
    target = call.func
    if isinstance(target, ast.Attribute):
        return target.attr
    return target.id if isinstance(target, ast.Name) else ""


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
