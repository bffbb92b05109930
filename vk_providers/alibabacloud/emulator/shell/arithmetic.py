"""``$((...))`` of the simulated shell: integers with + - * / % and parentheses. Pure."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Mapping

from vk_providers.alibabacloud.emulator.shell.tokens import ShellSyntaxError

__all__ = ["value"]

_KNOWN = re.compile(r"[A-Za-z0-9_ $+\-*/%()]{1,200}", re.ASCII)
_OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.Mod: operator.mod,
}


def value(text: str, variables: Mapping[str, str]) -> int:
    """Return the value of an expression. Raises `ShellSyntaxError`."""
    if not _KNOWN.fullmatch(text) or "**" in text:
        raise ShellSyntaxError("arithmetic is + - * / % of integers")
    try:
        tree = ast.parse(text.replace("$", "").strip(), mode="eval")
        return _value(tree.body, variables)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
        raise ShellSyntaxError("arithmetic is + - * / % of integers") from None


def _value(node: ast.expr, variables: Mapping[str, str]) -> int:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        left, right = _value(node.left, variables), _value(node.right, variables)
        return int(_OPERATIONS[type(node.op)](left, right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, variables)
    if isinstance(node, ast.Name):
        return int(variables.get(node.id) or 0)
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    raise ValueError
