"""``$(NAME)`` references in variables, command and args, by the kubelet's rules.

In: a text and the variables known so far. Out: the text with them filled in, once: what a variable
holds is never expanded again. ``$$`` is a literal ``$``, unknown and unterminated references stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

__all__ = ["expand_variables", "referenced_names"]

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand_variables(text: str, variables: Mapping[str, str]) -> str:
    """Return ``text`` with each ``$(NAME)`` of a known variable replaced by its value.

    By the kubelet's rules: values are not expanded again, ``$$`` is a literal ``$``, and references
    to unknown variables stay as they are.

    Args:
        text: A variable's value, or an element of command or args.
        variables: The known variables by name.
    """
    if "$" not in text:
        return text

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return "$" if name is None else variables.get(name, match[0])

    # Behind the last ")" nothing can be a reference; looking for one there would take time that
    # grows with the square of a hostile text's length.
    end = text.rfind(")") + 1
    return _REFERENCE.sub(value, text[:end]) + text[end:].replace("$$", "$")


def referenced_names(text: str) -> Iterator[str]:
    """Yield the name of every reference in ``text``, in order, known or not."""
    if "$(" not in text:
        return
    for match in _REFERENCE.finditer(text[: text.rfind(")") + 1]):
        if match[1] is not None:
            yield match[1]
