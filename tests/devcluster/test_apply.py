"""Server-side apply merges, refuses and records what kube-apiserver 1.36 did in the same place."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ownership_cases import (
    LAST_APPLIED,
    LATER,
    MANAGERS,
    NOW,
    PODS,
    Object,
    apply,
    config,
    container,
    data,
    node,
    owned,
    pod,
    update,
)

from vk.devcluster.apply.server_side import ApplyConflict
from vk.devcluster.patch.error import PatchError


def conflicts(live: Object, applied: Object, manager: str) -> list[tuple[str, str]]:
    with pytest.raises(ApplyConflict) as caught:
        apply(live, applied, manager)
    return list(caught.value.causes)


def test_an_apply_creates_what_is_not_there() -> None:
    created = apply(None, config({"a": "1", "b": "2"}), "one")
    assert created["data"] == {"a": "1", "b": "2"}
    assert created["metadata"]["managedFields"] == [
        {
            "manager": "one",
            "operation": "Apply",
            "apiVersion": "v1",
            "time": NOW,
            "fieldsType": "FieldsV1",
            "fieldsV1": data("a", "b"),
        }
    ]


def test_another_managers_field_is_a_conflict() -> None:
    live = apply(None, config({"a": "1", "b": "2"}), "one")
    with pytest.raises(ApplyConflict) as caught:
        apply(live, config({"a": "2", "c": "1"}), "two")
    assert caught.value.causes == (('"one"', ".data.a"),)
    assert str(caught.value) == 'Apply failed with 1 conflict: conflict with "one": .data.a'


def test_several_conflicts_are_listed_by_manager() -> None:
    live = apply(None, config({"a": "1", "b": "2"}), "one")
    changed = {**live, "data": {"a": "1", "b": "u", "d": "u"}}
    live = update(live, changed, "upd")
    with pytest.raises(ApplyConflict) as caught:
        apply(live, config({"a": "x", "b": "y", "d": "z"}), "two")
    assert str(caught.value) == (
        'Apply failed with 3 conflicts: conflicts with "one":\n- .data.a\n'
        'conflicts with "upd" using v1:\n- .data.b\n- .data.d'
    )


def test_force_takes_the_fields() -> None:
    live = apply(None, config({"a": "1", "b": "2"}), "one")
    taken = apply(live, config({"a": "2"}), "two", force=True)
    assert taken["data"] == {"a": "2", "b": "2"}
    assert owned(taken) == {"one Apply": data("b"), "two Apply": data("a")}


def test_equal_values_are_shared_and_an_apply_without_effect_has_no_time() -> None:
    live = apply(None, config({"a": "1"}), "one")
    shared = apply(live, config({"a": "1"}), "two", now=LATER)
    assert owned(shared) == {"two Apply": data("a"), "one Apply": data("a")}
    times = {one["manager"]: one.get("time") for one in shared["metadata"]["managedFields"]}
    assert times == {"one": NOW, "two": None}
    assert apply(shared, config({"a": "1"}), "one", now=LATER) == shared


def test_fields_left_out_go_when_nobody_else_owns_them() -> None:
    live = apply(None, config({"a": "1", "b": "2"}), "one")
    live = apply(live, config({"b": "2", "c": "3"}), "two")
    live = apply(live, config({"c": "3"}), "one", force=True)
    assert live["data"] == {"b": "2", "c": "3"}
    live = apply(live, config({"c": "3"}), "two")
    assert live["data"] == {"c": "3"}


def test_the_last_field_takes_its_map_along() -> None:
    live = apply(None, config({"a": "1"}, labels={"x": "1"}), "one")
    assert "data" not in apply(live, config(labels={"x": "1"}), "one")
    bare = apply(live, config(), "one")
    assert bare == config()


def test_a_writers_fields_stay_when_an_applier_leaves_them_out() -> None:
    live = apply(None, config({"a": "1"}), "one")
    live = update(live, {**live, "data": {"a": "1", "b": "u"}}, "upd")
    assert apply(live, config(), "one")["data"] == {"b": "u"}


def test_an_object_of_nobody_is_listed_before_the_first_apply() -> None:
    live = config({"a": "1"}, uid="u")
    first = apply(live, config({"a": "1"}), "three")
    assert owned(first) == {
        "three Apply": data("a"),
        "before-first-apply Update": {"f:data": {".": {}, "f:a": {}}},
    }
    assert conflicts(live, config({"a": "2"}), "three") == [
        ('"before-first-apply" using v1', ".data.a")
    ]


def test_items_with_keys_are_owned_one_by_one() -> None:
    ports = [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP", "name": "u"}]
    created = apply(None, pod(container("a", image="i", ports=ports, env=[{"name": "E"}])), "one")
    assert owned(created)["one Apply"] == {
        "f:spec": {
            "f:containers": {
                'k:{"name":"a"}': {
                    ".": {},
                    "f:env": {'k:{"name":"E"}': {".": {}, "f:name": {}}},
                    "f:image": {},
                    "f:name": {},
                    "f:ports": {
                        'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}},
                        'k:{"containerPort":80,"protocol":"UDP"}': {
                            ".": {},
                            "f:containerPort": {},
                            "f:name": {},
                            "f:protocol": {},
                        },
                    },
                }
            }
        }
    }
    changed = pod(container("a", image="j"))
    assert conflicts(created, changed, "two") == [('"one"', '.spec.containers[name="a"].image')]


def test_items_of_the_object_keep_their_place_and_new_ones_follow() -> None:
    live = apply(None, pod(container("a"), container("b"), container("c")), "one")
    merged = apply(live, pod(container("d"), container("c"), container("a")), "two")
    names = [one["name"] for one in merged["spec"]["containers"]]
    assert names == ["b", "d", "c", "a"]
    fewer = apply(merged, pod(container("c")), "one")
    assert [one["name"] for one in fewer["spec"]["containers"]] == ["d", "c", "a"]


def test_lists_and_maps_that_are_one_value_have_one_owner() -> None:
    live = apply(None, pod(container("a"), nodeSelector={"x": "1"}, tolerations=[]), "one")
    fields = owned(live)["one Apply"]["f:spec"]
    assert (fields["f:nodeSelector"], fields["f:tolerations"]) == ({}, {})
    other = pod(container("a"), nodeSelector={"y": "1"})
    assert conflicts(live, other, "two") == [('"one"', ".spec.nodeSelector")]
    assert apply(live, other, "two", force=True)["spec"]["nodeSelector"] == {"y": "1"}


def test_finalizers_are_a_set() -> None:
    live = apply(None, config(finalizers=["x/a", "x/b"]), "one")
    live = apply(live, config(finalizers=["x/c"]), "two")
    assert live["metadata"]["finalizers"] == ["x/a", "x/b", "x/c"]
    assert owned(live)["two Apply"] == {"f:metadata": {"f:finalizers": {'v:"x/c"': {}}}}
    assert apply(live, config(), "one")["metadata"]["finalizers"] == ["x/c"]


@pytest.mark.parametrize(
    ("applied", "code", "text"),
    [
        (
            pod(container("a"), container("a")),
            500,
            "failed to create typed patch object (/p; /v1, Kind=Pod): "
            '.spec.containers: duplicate entries for key [name="a"]',
        ),
        (
            pod("x"),
            500,
            "failed to create typed patch object (/p; /v1, Kind=Pod): .spec.containers: "
            "element 0: associative list with keys may not have non-map elements",
        ),
        (
            config(finalizers=["x/a", "x/a"]),
            500,
            "failed to create typed patch object (/c; /v1, Kind=ConfigMap): "
            '.metadata.finalizers: duplicate entries for key [="x/a"]',
        ),
        (
            config(finalizers=[{"x": 1}]),
            500,
            "failed to create typed patch object (/c; /v1, Kind=ConfigMap): "
            ".metadata.finalizers: element 0: associative list without keys has an element "
            "that's a map type",
        ),
        (config(managedFields=[]), 400, "metadata.managedFields must be nil"),
    ],
)
def test_a_faulty_configuration_is_refused(applied: Object, code: int, text: str) -> None:
    with pytest.raises(PatchError) as caught:
        apply(None, applied, "one")
    assert (caught.value.code, caught.value.answer) == (code, text)


def test_each_subresource_has_an_owner_of_its_own_and_only_its_fields() -> None:
    whole = node(spec={"podCIDR": "c"}, status={"capacity": {"cpu": "1"}})
    live = apply(None, whole, "n")
    live = apply(live, whole, "n", subresource="status")
    assert owned(live) == {
        "n Apply": {"f:spec": {"f:podCIDR": {}}},
        "n Apply status": {"f:status": {"f:capacity": {"f:cpu": {}}}},
    }
    other = node(status={"capacity": {"cpu": "2"}})
    with pytest.raises(ApplyConflict) as caught:
        apply(live, other, "m", subresource="status")
    assert caught.value.causes == (('"n" with subresource "status"', ".status.capacity.cpu"),)


def test_kubectl_takes_over_from_client_side_apply() -> None:
    last = json.dumps(config({"a": "1"}))
    live = update(None, config({"a": "1"}, annotations={LAST_APPLIED: last}), "client-side")
    assert conflicts(live, config({"a": "2"}), "other") == [('"client-side" using v1', ".data.a")]
    taken = apply(live, config({"a": "2", "b": "<é>"}), "kubectl")
    assert owned(taken) == {
        "kubectl Apply": data("a", "b"),
        "client-side Update": {
            "f:data": {},
            "f:metadata": {"f:annotations": {".": {}, f"f:{LAST_APPLIED}": {}}},
        },
    }
    assert taken["metadata"]["annotations"][LAST_APPLIED] == (
        '{"apiVersion":"v1","data":{"a":"2","b":"\\u003cé\\u003e"},"kind":"ConfigMap",'
        '"metadata":{"name":"c"}}\n'
    )


def test_kubectl_does_not_take_what_somebody_changed_since() -> None:
    last = json.dumps(config({"a": "1"}))
    live = update(None, config({"a": "1"}, annotations={LAST_APPLIED: last}), "client-side")
    live = update(live, {**live, "data": {"a": "changed"}}, "editor")
    assert conflicts(live, config({"a": "2"}), "kubectl") == [('"editor" using v1', ".data.a")]


def test_other_managers_leave_the_annotation_alone() -> None:
    live = update(None, config({"a": "1"}, annotations={LAST_APPLIED: "{}"}), "client-side")
    changed = apply(live, config({"b": "2"}), "other")
    assert changed["metadata"]["annotations"] == {LAST_APPLIED: "{}"}


@given(st.lists(st.tuples(MANAGERS, PODS, st.booleans()), min_size=1, max_size=6))
def test_what_is_applied_is_there_and_only_that_is_owned(
    steps: list[tuple[str, Object, bool]],
) -> None:
    """After each apply its values are in the object, once, and applying them again does nothing."""
    live: Object | None = None
    for manager, applied, force in steps:
        before = copy.deepcopy((live, applied))
        try:
            new = apply(live, applied, manager, force)
        except ApplyConflict:
            assert not force
            continue
        finally:
            assert (live, applied) == before
        assert apply(new, applied, manager, now=LATER) == new
        labels = new["metadata"].get("labels", {})
        assert labels.items() >= applied["metadata"].get("labels", {}).items()
        found = {one["name"]: one for one in new["spec"]["containers"]}
        assert len(found) == len(new["spec"]["containers"])
        for one in applied["spec"]["containers"]:
            assert found[one["name"]].items() >= one.items()
        live = new
