"""The blocks of code in the pages that people read, for the tests that run them.

A test asks for what it runs by page and beginning, so it runs what the page shows. tests/docs looks
for these calls: a block that no test asks for fails it. Printed lines are compared as a reader
would: runs of spaces are one, and ``...`` stands for anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

__all__ = ["ROOT", "Block", "Step", "block", "blocks", "fits"]

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@attrs.frozen
class Step:
    """One command and the lines that it prints; none: whatever it prints."""

    command: str
    printed: tuple[str, ...]


@attrs.frozen
class Block:
    """One fenced block."""

    page: str
    language: str
    title: str
    text: str

    def steps(self, **names: str) -> Iterator[Step]:
        """Yield its commands; ``names`` says what stands for the words in capitals."""
        text = self.text.replace("\\\n", "")
        for name, value in names.items():
            text = re.sub(rf"\b{name}\b", value, text)
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, *printed = part.rstrip("\n").split("\n")
            yield Step(command, tuple(printed))

    def commands(self, **names: str) -> list[str]:
        """Return its commands without what they print."""
        return [step.command for step in self.steps(**names)]


def blocks(page: str) -> list[Block]:
    """Return all blocks of a page, which is named by its path."""
    found = _FENCE.findall((ROOT / page).read_text())
    parts = [(*info.partition(" ")[::2], text) for info, text in found]
    return [Block(page, language, title, text) for language, title, text in parts]


def block(page: str, begins: str) -> Block:
    """Return the one block of a page that begins so."""
    (found,) = [one for one in blocks(page) if one.text.startswith(begins)]
    return found


def fits(printed: Sequence[str], text: str) -> bool:
    """Whether a text is what a page shows; the last line may be cut with ``...``."""
    wanted = " ".join("\n".join(printed).split(" "))
    pattern = r"\s*\n\s*".join(
        r"\s+".join(
            ".*?".join(re.escape(piece) for piece in word.split("...")) for word in line.split()
        )
        for line in wanted.split("\n")
    )
    return re.fullmatch(pattern + r"\s*", text.strip(), re.DOTALL) is not None
