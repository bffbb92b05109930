"""docs/logs.md names every line that the core can log, with its level and its keys."""

from __future__ import annotations

from pathlib import Path

from log_calls import LogLine, log_lines

ROOT = Path(__file__).parents[2]
OTHERS = {"dev", "devcluster", "testing"}


def documented() -> list[LogLine]:
    """Return the rows of the table."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs/logs.md").read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| message")
    ]
    return [
        LogLine(message, level, () if keys == "-" else tuple(keys.replace("`", "").split(", ")))
        for message, level, keys, meaning in rows
        if meaning
    ]


def test_the_table_and_the_source_name_the_same_lines() -> None:
    files = [
        path
        for path in (ROOT / "vk").rglob("*.py")
        if not OTHERS & set(path.relative_to(ROOT).parts)
    ]
    found, rows = log_lines(files), documented()
    assert len(rows) > 70
    assert sorted(map(str, set(rows) - found)) == [], "not in the source"
    assert sorted(map(str, found - set(rows))) == [], "not in docs/logs.md"


def test_the_table_is_in_order_and_names_each_line_once() -> None:
    rows = [(row.message.lower(), row.level) for row in documented()]
    assert rows == sorted(set(rows))
