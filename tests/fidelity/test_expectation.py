"""The comparison of the fidelity cases finds what differs, and only that."""

from __future__ import annotations

from typing import Any

import pytest
from case_files import lay_over
from expectation import differences, event_differences

POD = {"kind": "Pod", "spec": {"nodeName": "n", "ports": [{"port": 80}, {"port": 81}]}}


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ({"kind": "Pod"}, POD),
        ({"kind": "~P.d"}, POD),
        ({"kind": "<any>", "status": None}, POD),
        ({"kind": "<not Node>"}, POD),
        ({"spec": {"ports": [{"port": 80}, {}]}}, POD),
        ({"spec": {"ports": {"$contains": [{"port": 81}]}}}, POD),
        ({"spec": {"$keys": ["ports", "nodeName"]}}, POD),
        ({"$is": POD}, POD),
        ({"status": {"phase": None}}, {"status": {}}),
    ],
)
def test_what_is_as_expected(expected: Any, actual: Any) -> None:
    assert differences(expected, actual) == []


@pytest.mark.parametrize(
    ("expected", "actual", "path"),
    [
        ({"kind": "Node"}, POD, "kind"),
        ({"kind": "~P"}, POD, "kind"),
        ({"kind": None}, POD, "kind"),
        ({"status": "<any>"}, POD, "status"),
        ({"kind": "<not Pod>"}, POD, "kind"),
        ({"status": "<not x>"}, POD, "status"),
        ({"spec": {"ports": [{"port": 80}]}}, POD, "spec.ports"),
        ({"spec": {"ports": [{"port": 80}, {"port": "81"}]}}, POD, "spec.ports[1].port"),
        ({"spec": {"ports": {"$contains": [{"port": 82}]}}}, POD, "spec.ports"),
        ({"spec": {"$keys": ["ports"]}}, POD, "spec keys"),
        ({"spec": {"$is": {"nodeName": "n"}}}, POD, "spec"),
        ({"status": {"phase": "Running"}}, {"status": None}, "status"),
        ({"items": []}, {"items": None}, "items"),
        (1, True, "answer"),
    ],
)
def test_each_difference_names_its_place(expected: Any, actual: Any, path: str) -> None:
    (line,) = differences(expected, actual)
    assert line.startswith(f"{path}: expected ")


def test_events_are_compared_by_type_and_name_or_object() -> None:
    event = {"type": "ADDED", "object": {"metadata": {"name": "a"}}}
    assert event_differences("ADDED a", event, "event 0") == []
    assert event_differences({"ADDED": {"metadata": {"name": "a"}}}, event, "event 0") == []
    assert event_differences("ADDED b", event, "event 0")
    assert event_differences("DELETED", event, "event 0")


def test_laying_over_merges_mappings_replaces_lists_and_removes_by_null() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": [1, 2]}
    over = {"a": {"b": None, "e": 3}, "d": [3]}
    assert lay_over(base, over) == {"a": {"c": 2, "e": 3}, "d": [3]}
