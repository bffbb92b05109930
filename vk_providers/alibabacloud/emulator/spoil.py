"""What a fault makes of an answer's JSON: fields, statuses, rows that nobody expects. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["spoiled"]

_UNKNOWN = "Hibernating"
Row = dict[str, Any]
_ROWS = ("ContainerGroups", "Data")


def spoiled(kind: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return the document as this kind of fault leaves it."""
    match kind:
        case "unknown_fields":
            return dict(_with_unknown(document))
        case "unknown_status":
            return _with_rows(document, lambda number, row: _strange(row))
        case "broken_row":
            return _with_rows(document, lambda number, row: row if number else _broken(row))
    return document


def _with_rows(document: dict[str, Any], change: Callable[[int, Row], Row]) -> dict[str, Any]:
    changed = {
        name: [change(number, row) for number, row in enumerate(document[name])]
        for name in _ROWS
        if name in document
    }
    return document | changed


def _strange(row: Row) -> Row:
    return row | {name: _UNKNOWN for name in ("Status", "status") if name in row}


def _broken(row: Row) -> Row:
    """Return a row whose id can be read and nothing else."""
    ids = ("ContainerGroupId", "containerGroupId")
    return {name: value if name in ids else None for name, value in row.items()}


def _with_unknown(value: Any) -> Any:
    if isinstance(value, dict):
        known = {key: _with_unknown(each) for key, each in value.items()}
        return {**known, "EmulatorUnknown": {"Nested": [1, None]}}
    return [_with_unknown(each) for each in value] if isinstance(value, list) else value
