"""Field selectors: ``spec.nodeName=a,status.phase!=Running``.

In: the text of a query. Out: a selector, which answers for a map of field paths to texts; which
paths a kind has is not known here. Used by `vk.devcluster.storage.selection`.

The texts of errors are those of kube-apiserver 1.36. As there: blanks count, and a
path that the map lacks has the empty value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

__all__ = ["FieldSelector", "parse_field_selector"]

_TERM = re.compile(r"(?:[^,\\]|\\.|\\$)+", re.DOTALL)
_OPERATOR = re.compile(r"!=|==|=")


@attrs.frozen
class FieldSelector:
    """Conditions that all have to hold, each a path, "=" or "!=", and a value."""

    requirements: tuple[tuple[str, str, str], ...] = ()

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Return whether these fields meet every condition."""
        return all(
            (fields.get(path, "") == value) == (operator == "=")
            for path, operator, value in self.requirements
        )


def parse_field_selector(text: str) -> FieldSelector:
    """Return the selector of ``text``; raises ValueError, one line, for anything else."""
    return FieldSelector(tuple(_requirement(term, text) for term in _TERM.findall(text)))


def _requirement(term: str, text: str) -> tuple[str, str, str]:
    found = _OPERATOR.search(term)
    if found is None:
        raise ValueError(f"invalid selector: '{text}'; can't understand '{term}'")
    operator = "!=" if found[0] == "!=" else "="
    return term[: found.start()], operator, _unescaped(term[found.end() :])


def _unescaped(value: str) -> str:
    characters: list[str] = []
    rest = iter(value)
    for character in rest:
        if character == "\\":
            character = next(rest, "")
            if character not in ("\\", ",", "="):
                raise ValueError(f"invalid field selector: invalid escape sequence: \\{character}")
        elif character in ",=":
            raise ValueError(
                f"invalid field selector: unescaped character in value: {ord(character)}"
            )
        characters.append(character)
    return "".join(characters)
