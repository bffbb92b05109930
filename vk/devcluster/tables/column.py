"""The columns of a table: one value each, the columns of one kind, and ages as kubectl prints them.

The tables of the kinds are in the files beside it. An age is the coarser the larger it is: seconds
up to two minutes, minutes up to three hours, and so on (``5s``, ``3m20s``, ``2d4h``). Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import attrs

from vk.models.time import parse_time

__all__ = [
    "AGE",
    "NAME",
    "NONE",
    "UNKNOWN",
    "Cells",
    "Column",
    "Columns",
    "duration_text",
    "since",
    "wide",
]

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
    """The conditions of a row: that a pod has completed."""


NAME = Column("Name", "Name of the object, unique in its namespace.", format="name")
AGE = Column("Age", "Time since the object was created.")


def wide(name: str, description: str) -> Column:
    """Return a column that only ``-o wide`` shows."""
    return Column(name, description, 1)


UNKNOWN = "<unknown>"
_HOUR, _DAY, _YEAR = 60, 24, 365


def since(time: object, now: datetime) -> str:
    """Return how long ago a time was; ``<unknown>`` for none."""
    moment = parse_time(time)
    return UNKNOWN if moment is None else duration_text(now - moment)


def duration_text(duration: timedelta) -> str:
    """Return a length of time; ``<invalid>`` for one that is more than two seconds below zero."""
    seconds = int(duration.total_seconds())  # towards zero, as Go does
    if seconds < 0:
        return "<invalid>" if seconds < -1 else "0s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 2 * 60:
        return f"{seconds}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % _HOUR, "m")
    if days < 2:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % _DAY, "h")
    if days < 2 * _YEAR:
        return f"{days}d"
    if days < 8 * _YEAR:
        return _two(days // _YEAR, "y", days % _YEAR, "d")
    return f"{days // _YEAR}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"
