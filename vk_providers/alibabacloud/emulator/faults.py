"""Injected faults: which calls fail, in which way, how often, and what they change in an answer.

``PUT /emulator/faults`` takes ``{"faults": [{"kind": ..., ...}]}`` and replaces the previous
faults. Pure but for the remaining count of each fault and the random numbers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

__all__ = ["KINDS", "Faults", "InjectedFault", "altered_answer", "read_faults"]

KINDS: Mapping[str, str] = {
    "lost_reply": "the call is done, the connection closes without an answer",
    "reset": "the connection closes, nothing is done",
    "server_error": "status 500 or `status`; nothing is done unless `done`",
    "html": "status 502 with a page of HTML; nothing is done unless `done`",
    "truncated": "the call is done, the JSON ends half-way",
    "delay": "the answer comes `seconds` later; the call is done at once unless `done` is false",
    "throttle": "400 Throttling, or `code`",
    "error": "refused with `status` and `code`",
    "denied": "lists are empty, everything else is 403 Forbidden.RAM, as without permission",
    "short_page": "a page of at most `rows` rows, with the token of the next one",
    "cut_list": "a page of at most `rows` rows that claims to be the last",
    "no_stock": "creating is refused with OperationDenied.NoStock",
    "schedule_failed": "a group is created and ends as ScheduleFailed",
    "ignored": "a delete, update or restart is answered as if it were done, and is not",
    "unknown_fields": "answers contain unknown fields",
    "unknown_status": "lists contain an unknown status",
    "broken_row": "the first row of a list has its id, and null for everything else",
}
"""The effect of each kind."""
_LONGEST = 600.0


@attrs.define(eq=False, kw_only=True)
class InjectedFault:
    """A fault that affects some calls."""

    kind: str
    actions: tuple[str, ...] = ()
    """The affected actions; empty: all."""
    probability: float = 1.0
    count: int | None = None
    """Remaining count; None: unlimited."""
    seconds: float = 1.0
    status: int = 0
    code: str = ""
    rows: int = 1
    done: bool | None = None

    def document(self) -> dict[str, Any]:
        """Return the fault as JSON values, in the format of the PUT."""
        usual = InjectedFault(kind=self.kind)
        values = attrs.asdict(self) | {"actions": list(self.actions)}
        given = {name: value for name, value in values.items() if value != getattr(usual, name)}
        return {"kind": self.kind, **given, "actions": values["actions"]}


@attrs.define(eq=False)
class Faults:
    """The configured faults."""

    random: random.Random
    all: Sequence[InjectedFault] = ()

    def pick(self, action: str) -> InjectedFault | None:
        """Return the first fault of this call, and decrease its count."""
        for fault in self.all:
            if fault.count == 0 or (fault.actions and action not in fault.actions):
                continue
            if self.random.random() < fault.probability:
                if fault.count is not None:
                    fault.count -= 1
                return fault
        return None


def read_faults(document: Any) -> list[InjectedFault]:
    """Parse the body of the PUT. Raises ValueError with a one-line message."""
    if not isinstance(document, Mapping) or list(document) != ["faults"]:
        raise ValueError('expected {"faults": [...]}')
    if not isinstance(document["faults"], list):
        raise ValueError("faults: expected a list")
    return [_read(f"faults[{index}]", each) for index, each in enumerate(document["faults"])]


def _read(path: str, document: Any) -> InjectedFault:
    if not isinstance(document, Mapping):
        raise ValueError(f"{path}: expected an object")
    if document.get("kind") not in KINDS:
        raise ValueError(f"{path}.kind: expected one of {', '.join(KINDS)}")
    for name, value in document.items():
        if name not in _MEMBERS:
            raise ValueError(f"{path}.{name}: expected one of {', '.join(_MEMBERS)}")
        holds, expected = _MEMBERS[name]
        if not holds(value):
            raise ValueError(f"{path}.{name}: expected {expected}, found {value!r}")
    fault = InjectedFault(**{**document, "actions": tuple(document.get("actions", ()))})
    if fault.kind == "error" and not (fault.code and fault.status):
        raise ValueError(f"{path}: the kind error needs code and status")
    return fault


def _is_number(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    )


def _is_whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


_MEMBERS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "kind": (lambda value: True, ""),
    "actions": (_are_texts, "a list of actions"),
    "probability": (_is_number(0, 1), "a number from 0 to 1"),
    "count": (
        lambda value: value is None or (type(value) is int and value >= 0),
        "an integer of at least 0, or null",
    ),
    "seconds": (_is_number(0, _LONGEST), f"a number from 0 to {_LONGEST:g}"),
    "status": (_is_whole(400, 599), "a status from 400 to 599"),
    "code": (lambda value: isinstance(value, str) and value != "", "a code"),
    "rows": (_is_whole(0, 1000), "an integer from 0 to 1000"),
    "done": (lambda value: type(value) is bool, "true or false"),
}


_UNKNOWN_STATUS = "Hibernating"
Row = dict[str, Any]
_ROW_LISTS = ("ContainerGroups", "Data")


def altered_answer(kind: str, document: dict[str, Any]) -> dict[str, Any]:
    """Return the answer as altered by this kind of fault."""
    match kind:
        case "unknown_fields":
            return dict(_with_unknown(document))
        case "unknown_status":
            return _with_rows(document, lambda number, row: _strange(row))
        case "broken_row":
            return _with_rows(document, lambda number, row: row if number else _broken_row(row))
    return document


def _with_rows(document: dict[str, Any], change: Callable[[int, Row], Row]) -> dict[str, Any]:
    changed = {
        name: [change(number, row) for number, row in enumerate(document[name])]
        for name in _ROW_LISTS
        if name in document
    }
    return document | changed


def _strange(row: Row) -> Row:
    return row | {name: _UNKNOWN_STATUS for name in ("Status", "status") if name in row}


def _broken_row(row: Row) -> Row:
    """Return a row with its id, and null for everything else."""
    ids = ("ContainerGroupId", "containerGroupId")
    return {name: value if name in ids else None for name, value in row.items()}


def _with_unknown(value: Any) -> Any:
    if isinstance(value, dict):
        known = {key: _with_unknown(each) for key, each in value.items()}
        return {**known, "EmulatorUnknown": {"Nested": [1, None]}}
    return [_with_unknown(each) for each in value] if isinstance(value, list) else value
