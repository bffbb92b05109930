"""One printer column, and the columns of one kind. Pure.

A value each; the tables of the kinds are in the files beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import attrs

__all__ = ["AGE", "NAME", "NONE", "Cells", "Column", "Columns", "wide"]

NONE = "<none>"
Cells = Callable[[dict[str, Any], datetime], list[Any]]
"""The cells of one object, in the order of the columns; the time is now."""


@attrs.frozen
class Column:
    """One entry of ``columnDefinitions``."""

    name: str
    description: str
    priority: int = 0
    """0 is always shown, 1 with ``-o wide``."""
    type: str = "string"
    format: str = ""

    def definition(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


@attrs.frozen
class Columns:
    """The columns of one kind."""

    columns: tuple[Column, ...]
    cells: Cells
    conditions: Callable[[dict[str, Any]], list[dict[str, str]]] | None = None
    """What a row says beside its cells: that a pod has come to its end."""


NAME = Column("Name", "Name of the object, unique in its namespace.", format="name")
AGE = Column("Age", "Time since the object was created.")


def wide(name: str, description: str) -> Column:
    """Return a column that only ``-o wide`` shows."""
    return Column(name, description, 1)
