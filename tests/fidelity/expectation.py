"""Compare an answer with what a case expects: pure functions that list every difference.

Comes in: the expected value as a case writes it (placeholders filled) and the parsed answer. Goes
out: one line for each difference, empty when the answer is as expected. `runner.py` calls it.

Note: an expected mapping is a subset (other keys may be there), an expected list is whole; a
null means absent or null, ``<any>`` anything but that, ``~x`` a string that the regular expression
x matches as a whole, ``<not x>`` anything there but x. ``{$is: x}`` is x with nothing beside it,
``{$contains: [x]}`` a list with a match for each entry, ``{$keys: [a]}`` a mapping of those keys.
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["differences", "event_differences"]

SHOWN = 300


def differences(expected: Any, actual: Any, at: str = "") -> list[str]:
    """Return what is wrong with ``actual``, each line beginning with its field path."""
    if isinstance(expected, dict):
        return _mapping(expected, actual, at)
    if isinstance(expected, list):
        return _list(expected, actual, at)
    if isinstance(expected, str) and isinstance(actual, str) and expected.startswith("~"):
        matches = re.fullmatch(expected[1:], actual, re.DOTALL) is not None
    elif expected == "<any>":
        matches = actual is not None
    elif isinstance(expected, str) and expected.startswith("<not "):
        matches = actual is not None and str(actual) != expected[5:-1]
    else:
        matches = type(expected) is type(actual) and expected == actual
    return [] if matches else [_line(at, expected, actual)]


def event_differences(expected: Any, event: Any, at: str) -> list[str]:
    """Compare a watch event with ``TYPE name`` or with a mapping of its type to its object."""
    if isinstance(expected, str):
        kind, _, name = expected.partition(" ")
        wanted: dict[str, Any] = {"metadata": {"name": name}} if name else {}
    else:
        ((kind, wanted),) = expected.items()
    wrong = differences(kind, event.get("type"), f"{at} type")
    return wrong + differences(wanted or {}, event.get("object"), at)


def _mapping(expected: dict[str, Any], actual: Any, at: str) -> list[str]:
    if "$is" in expected:
        return [] if expected["$is"] == actual else [_line(at, expected["$is"], actual)]
    if "$contains" in expected:
        return _contains(expected["$contains"], actual, at)
    if not isinstance(actual, dict):
        return [_line(at, expected, actual)]
    if "$keys" in expected:
        return differences(sorted(expected["$keys"]), sorted(actual), f"{at} keys")
    found = []
    for key, value in expected.items():
        found += differences(value, actual.get(key), f"{at}.{key}" if at else key)
    return found


def _list(expected: list[Any], actual: Any, at: str) -> list[str]:
    if not isinstance(actual, list) or len(actual) != len(expected):
        return [_line(at, expected, actual)]
    found = []
    for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
        found += differences(one, other, f"{at}[{index}]")
    return found


def _contains(expected: list[Any], actual: Any, at: str) -> list[str]:
    entries = actual if isinstance(actual, list) else []
    return [
        _line(at, {"$contains": [one]}, actual)
        for one in expected
        if all(differences(one, entry) for entry in entries)
    ]


def _line(at: str, expected: Any, actual: Any) -> str:
    return f"{at or 'answer'}: expected {_short(expected)}, got {_short(actual)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
