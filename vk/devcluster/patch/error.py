"""The one error of all patch types.

Raised by `vk.devcluster.patch.patch` and by the field rules of server-side apply; caught where
the request is answered. Note: the API server calls some faulty patches an internal error (500),
so the code goes with the text.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["PatchError", "go_text", "go_type"]


class PatchError(ValueError):
    """A patch that cannot be applied; its text is one line.

    ``code`` is the HTTP status that kube-apiserver 1.36 answers (400, 413, 422 or 500), ``answer``
    the message in it, which may have several lines, or less than the text here.
    """

    def __init__(self, text: str, *, code: int = 500, answer: str | None = None) -> None:
        super().__init__(" ".join(text.split()))
        self.code = code
        self.answer = text if answer is None else answer


def go_type(value: object) -> str:
    """Name the type of a parsed JSON value as the API server's messages do."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "bool"
        case int():
            return "int64"
        case float():
            return "float64"
        case str():
            return "string"
        case Mapping():
            return "map[string]interface {}"
        case _:
            return "[]interface {}"


def go_text(value: object) -> str:
    """Write a parsed JSON value as the API server's messages do: ``map[a:1 b:[x y]]``."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case Mapping():
            return "map[" + " ".join(f"{key}:{go_text(value[key])}" for key in sorted(value)) + "]"
        case list() | tuple():
            return "[" + " ".join(map(go_text, value)) + "]"
        case _:
            return str(value)
