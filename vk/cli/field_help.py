"""The docstrings of a class's fields: the string literals below them in its source."""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

__all__ = ["field_help"]


def field_help(cls: type[Any]) -> dict[str, str]:
    """Return the docstring of each field that has one, on one line, by the field's name.

    Fields of base classes count. Empty where the source cannot be read.
    """
    found: dict[str, str] = {}
    for one in reversed(cls.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(one)))
        except (OSError, TypeError, SyntaxError):  # a built-in class, or installed without source
            continue
        definition = tree.body[0]
        assert isinstance(definition, ast.ClassDef)
        for field, below in zip(definition.body, definition.body[1:], strict=False):
            match field, below:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    found[name] = " ".join(inspect.cleandoc(text).split())
    return found
