"""Creates, updates and patches record in managedFields what kube-apiserver 1.36 did."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ownership_cases import (
    MANAGERS,
    PODS,
    Object,
    config,
    container,
    data,
    node,
    owned,
    pod,
    update,
)


def test_a_create_records_all_that_differs_from_nothing() -> None:
    """Containers are always in a pod's JSON, so the list has no owner; volumes has one."""
    spec = {"containers": [container("a", resources={})], "volumes": [{"name": "v"}]}
    created = update(None, {**pod(), "spec": spec, "status": {"phase": "Pending"}}, "kubectl-run")
    assert owned(created) == {
        "kubectl-run Update": {
            "f:spec": {
                "f:containers": {'k:{"name":"a"}': {".": {}, "f:name": {}, "f:resources": {}}},
                "f:volumes": {".": {}, 'k:{"name":"v"}': {".": {}, "f:name": {}}},
            }
        }
    }


def test_an_update_takes_what_it_changes_and_the_rest_stays() -> None:
    live = update(None, config({"a": "1", "b": "2"}, labels={"x": "1"}), "one")
    live = update(live, {**live, "data": {"b": "3", "c": "4"}}, "two")
    assert owned(live) == {
        "one Update": {"f:data": {}, "f:metadata": {"f:labels": {".": {}, "f:x": {}}}},
        "two Update": data("b", "c"),
    }
    assert update(live, live, "three") == live


def test_a_status_update_is_an_entry_of_its_own() -> None:
    live = update(None, node(spec={"taints": [{"key": "a"}]}), "vk")
    conditions = [{"type": "Ready", "status": "True"}]
    changed = {**live, "spec": {}, "status": {"conditions": conditions}}
    assert owned(update(live, changed, "vk", "status")) == {
        "vk Update": {"f:spec": {"f:taints": {}}},
        "vk Update status": {
            "f:status": {
                "f:conditions": {
                    ".": {},
                    'k:{"type":"Ready"}': {".": {}, "f:status": {}, "f:type": {}},
                }
            }
        },
    }


@pytest.mark.parametrize("reset", [[], [{}]])
def test_a_writer_may_reset_the_list(reset: list[Object]) -> None:
    live = update(None, config({"a": "1"}, uid="u"), "one")
    changed = config({"a": "2"}, uid="u", managedFields=reset)
    bare = update(live, changed, "two")
    assert owned(bare) == {}
    assert owned(update(bare, config({"a": "3"}, uid="u"), "two")) == {}


def test_a_writer_may_bring_a_list_but_not_through_a_subresource() -> None:
    live = update(None, node(spec={"podCIDR": "c"}), "one")
    entry = {**live["metadata"]["managedFields"][0], "manager": "renamed"}
    changed = {**live, "metadata": {**live["metadata"], "managedFields": [entry]}}
    assert list(owned(update(live, changed, "two"))) == ["renamed Update"]
    assert list(owned(update(live, changed, "two", "status"))) == ["one Update"]


@pytest.mark.parametrize(
    "entry",
    [
        {"manager": "x", "operation": "Update", "apiVersion": "v1"},
        {"manager": "x", "operation": "Sing", "apiVersion": "v1", "fieldsType": "FieldsV1"},
        {
            "manager": "x",
            "operation": "Update",
            "apiVersion": "v1",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"nonsense": {}},
        },
        "text",
    ],
)
def test_a_list_that_cannot_be_read_is_ignored(entry: Any) -> None:
    live = update(None, config({"a": "1"}), "one")
    changed = {**live, "metadata": {**live["metadata"], "managedFields": [entry]}}
    assert owned(update(live, changed, "two")) == owned(live)


def test_the_oldest_updates_are_folded() -> None:
    live = config({}, labels={})
    live = update(None, config({"a": "1"}), "m00")
    for number in range(1, 13):
        labels = {**live["metadata"].get("labels", {}), f"k{number:02}": "1"}
        changed = {**live, "metadata": {**live["metadata"], "labels": labels}}
        live = update(live, changed, f"m{number:02}")
    managers = list(owned(live))
    assert len(managers) == 10
    assert managers[0] == "ancient-changes Update"
    assert owned(live)["ancient-changes Update"] == {
        "f:data": {".": {}, "f:a": {}},
        "f:metadata": {"f:labels": {".": {}, "f:k01": {}, "f:k02": {}, "f:k03": {}}},
    }


@given(st.lists(st.tuples(MANAGERS, PODS), min_size=1, max_size=6))
def test_after_an_update_each_changed_field_has_one_owner(
    steps: list[tuple[str, Object]],
) -> None:
    live: Object | None = None
    for manager, wanted in steps:
        metadata = dict(wanted["metadata"])
        if live and "managedFields" in live["metadata"]:
            metadata["managedFields"] = live["metadata"]["managedFields"]
        live = update(live, {**wanted, "metadata": metadata}, manager)
        labels = wanted["metadata"].get("labels", {})
        fields = [one.get("f:metadata", {}).get("f:labels", {}) for one in owned(live).values()]
        owners = [name for one in fields for name in one if name != "."]
        assert sorted(owners) == sorted(f"f:{name}" for name in labels)
