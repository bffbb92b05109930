"""kubectl shows the cells that kube-apiserver 1.36 gave it for the same objects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from golden_cases import golden, kind
from hypothesis import given
from hypothesis import strategies as st

from vk.devcluster.kinds import KINDS
from vk.devcluster.tables.column import duration_text, since
from vk.devcluster.tables.nodes import node_status
from vk.devcluster.tables.pods import pod_status
from vk.devcluster.tables.table import table
from vk.devcluster.validation import for_create

Object = dict[str, Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TABLES = golden("table")
IDS = [f"{one['kind']} {one['apiVersion']}" for one in TABLES]
ROWS = [
    pytest.param(one, row, id=f"{one['kind']} {row['object']['metadata']['name']}")
    for one in TABLES
    for row in one["rows"]
]


def tabled(objects: list[Object], **options: Any) -> Object:
    options = {"now": NOW, "resource_version": "5", **options}
    return table(kind(objects[0]), objects, **options)


@pytest.mark.parametrize("real", TABLES, ids=IDS)
def test_columns_are_those_of_the_real_server(real: Object) -> None:
    definitions = tabled([real["rows"][0]["object"]])["columnDefinitions"]
    shown = [[one[key] for key in ("name", "type", "format", "priority")] for one in definitions]
    assert shown == real["columns"]
    assert all(one["description"] for one in definitions)


@pytest.mark.parametrize(("real", "row"), ROWS)
def test_a_row_is_that_of_the_real_server(real: Object, row: Object) -> None:
    now = datetime.fromisoformat(real["now"])
    (mine,) = tabled([row["object"]], now=now, include="Object")["rows"]
    assert mine == row


def test_a_row_carries_as_much_of_its_object_as_is_requested() -> None:
    row = TABLES[0]["rows"][0]["object"]
    assert tabled([row])["rows"][0]["object"] == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": row["metadata"],
    }
    assert tabled([row], include="None")["rows"][0]["object"] is None


def test_a_page_has_a_token_to_continue() -> None:
    row = TABLES[0]["rows"][0]["object"]
    page = tabled([row, row], continue_="token", remaining=3)
    assert page["metadata"] == {
        "resourceVersion": "5",
        "continue": "token",
        "remainingItemCount": 3,
    }
    assert len(page["rows"]) == 2
    assert tabled([row])["metadata"] == {"resourceVersion": "5"}


def test_later_events_of_a_watch_have_no_definitions() -> None:
    assert tabled([TABLES[0]["rows"][0]["object"]], columns=False)["columnDefinitions"] is None


def test_every_stored_kind_has_columns_and_can_show_an_empty_object() -> None:
    for one in KINDS:
        if not one.stored:
            continue
        stored = for_create(one, {"metadata": {"name": "a"}})
        shown = table(one, [stored], now=NOW, resource_version="1")
        assert len(shown["rows"][0]["cells"]) == len(shown["columnDefinitions"]), one
        assert "a" in shown["rows"][0]["cells"]


def test_no_objects_make_a_table_without_rows() -> None:
    pods = kind({"apiVersion": "v1", "kind": "Pod"})
    assert table(pods, [], now=NOW, resource_version="1")["rows"] == []


def test_words_for_displays() -> None:
    assert pod_status({"metadata": {"name": "a"}, "status": {"phase": "Running"}}) == "Running"
    assert node_status({"metadata": {"name": "a"}}) == "Unknown"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "<invalid>"),
        (-1.9, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (121, "2m1s"),
        (599, "9m59s"),
        (601, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (8 * 3600, "8h"),
        (2 * 86400 - 1, "47h"),
        (2 * 86400, "2d"),
        (2 * 86400 + 3600, "2d1h"),
        (8 * 86400, "8d"),
        (2 * 365 * 86400 - 1, "729d"),
        (2 * 365 * 86400, "2y"),
        (2 * 365 * 86400 + 86400, "2y1d"),
        (8 * 365 * 86400, "8y"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    assert duration_text(timedelta(seconds=seconds)) == text


def test_an_unknown_time_has_an_unknown_age() -> None:
    assert since(None, NOW) == "<unknown>"
    assert since("", NOW) == "<unknown>"


@given(st.integers(0, 10**10))
def test_an_age_is_short_and_not_more_than_the_time_that_passed(seconds: int) -> None:
    text = duration_text(timedelta(seconds=seconds))
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}
    total, number = 0, ""
    for char in text:
        if char.isdigit():
            number += char
        else:
            total, number = total + int(number) * units[char], ""
    assert 0 <= seconds - total < max(1, seconds / 8 + 1)
    assert len(text) <= 6
