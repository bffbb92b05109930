"""A terminal in memory: takes text with the few control sequences that `vk dev` writes."""

from __future__ import annotations

import io
import re

_PART = re.compile(r"\x1b\[(\d*)([A-Z])|[\r\n]|[^\x1b\r\n]+")


class Terminal(io.StringIO):
    """What a person sees: `screen` is every line written so far, as it stands now."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = [""]
        self._row = 0

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        for match in _PART.finditer(text):
            self._take(match[0], match[1], match[2])
        return len(text)

    @property
    def screen(self) -> str:
        """All lines, with what was replaced gone."""
        return "\n".join(self._lines)

    def _take(self, part: str, count: str | None, control: str | None) -> None:
        if control == "A":
            self._row -= int(count or 1)
            assert self._row >= 0, "moved above the first line"
        elif control == "J":
            del self._lines[self._row + 1 :]
            self._lines[self._row] = ""
        elif part == "\n":
            self._row += 1
            if self._row == len(self._lines):
                self._lines.append("")
        elif part == "\r":
            return  # every line is written from its start
        elif control is None:
            self._lines[self._row] += part
        else:
            raise AssertionError(f"unknown control sequence {part!r}")
