"""Defaults, strategy and checks do to an object what kube-apiserver 1.36 did to it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from golden_cases import comparable, expected, golden, kind, parameters

from vk.devcluster.kinds import kind_of
from vk.devcluster.patch.patch import merge_patch
from vk.devcluster.validation import (
    WrongTypeError,
    check_create,
    check_update,
    converted,
    field_labels,
    for_create,
    for_update,
    needs_cluster_ip,
    selectable_fields,
)

Object = dict[str, Any]


def pod(**metadata: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "namespace": "default", **metadata},
        "spec": {"containers": [{"name": "a", "image": "x"}]},
    }


@pytest.mark.parametrize("case", parameters("create", "accepted"))
def test_a_new_object_is_stored_as_the_real_server_stores_it(case: Object) -> None:
    given = copy.deepcopy(case["object"])
    stored = for_create(kind(given), given)
    assert stored == expected(case, given)
    assert given == case["object"], "the caller's object is its own"
    if needs_cluster_ip_of(stored):
        stored["spec"] |= {"clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}
    assert check_create(kind(given), stored) == []


def needs_cluster_ip_of(obj: Object) -> bool:
    return obj["kind"] == "Service" and needs_cluster_ip(obj)


@pytest.mark.parametrize("case", parameters("create", "causes"))
def test_a_new_object_is_refused_for_the_causes_of_the_real_server(case: Object) -> None:
    stored = for_create(kind(case["object"]), case["object"])
    assert comparable(check_create(kind(stored), stored)) == sorted(case["causes"])


@pytest.mark.parametrize("case", parameters("create", "wrong_type"))
def test_a_wrong_type_is_reported_in_the_words_of_the_real_server(case: Object) -> None:
    with pytest.raises(WrongTypeError) as caught:
        for_create(kind(case["object"]), case["object"])
    assert str(caught.value) == case["wrong_type"]


@pytest.mark.parametrize("case", parameters("update", "accepted"))
def test_a_change_is_stored_as_the_real_server_stores_it(case: Object) -> None:
    old = copy.deepcopy(case["old"])
    new = merge_patch(old, case["patch"])
    given = copy.deepcopy(new)
    result = for_update(kind(old), old, new, case["subresource"])
    assert result == expected(case, case["old"])
    assert old == case["old"], "what is stored stays as it is"
    assert new == given
    assert check_update(kind(old), old, result, case["subresource"]) == []


@pytest.mark.parametrize("case", parameters("update", "causes"))
def test_a_change_is_refused_for_the_causes_of_the_real_server(case: Object) -> None:
    old, subresource = case["old"], case["subresource"]
    new = for_update(kind(old), old, merge_patch(old, case["patch"]), subresource)
    assert comparable(check_update(kind(old), old, new, subresource)) == sorted(case["causes"])


def test_a_change_to_a_wrong_type_is_refused() -> None:
    (case,) = [case for case in golden("update") if "wrong_type" in case]
    with pytest.raises(WrongTypeError) as caught:
        for_update(kind(case["old"]), case["old"], merge_patch(case["old"], case["patch"]))
    assert str(caught.value) == case["wrong_type"]


def test_every_golden_pair_has_been_used() -> None:
    for name in ("create", "update"):
        for case in golden(name):
            outcomes = {"changes", "stored", "causes", "wrong_type"} & case.keys()
            assert len(outcomes) == 1, case["case"]


def test_what_is_stored_is_stored_again_as_it_is() -> None:
    for case in golden("create"):
        if not {"changes", "stored"} & case.keys():
            continue
        once = for_create(kind(case["object"]), case["object"])
        assert for_create(kind(once), once) == once, case["case"]
        assert for_update(kind(once), once, once) == once, case["case"]


def test_a_refused_pod_change_shows_the_difference() -> None:
    old = for_create(kind(pod()), pod())
    new = copy.deepcopy(old)
    new["spec"]["nodeName"] = "n"
    (cause,) = check_update(kind(old), old, for_update(kind(old), old, new))
    assert '\n+ "nodeName": "n",\n' in cause.message


def test_a_deletion_raises_the_generation_once() -> None:
    stored = for_create(kind(pod()), pod(uid="u"))
    marked = merge_patch(
        stored,
        {
            "metadata": {
                "deletionTimestamp": "2026-01-01T00:00:30Z",
                "deletionGracePeriodSeconds": 30,
            }
        },
    )
    deleted = for_update(kind(stored), stored, marked, "deletion")
    assert deleted["metadata"]["generation"] == 2
    assert deleted["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:30Z"
    sooner = merge_patch(
        deleted,
        {
            "metadata": {
                "deletionTimestamp": "2026-01-01T00:00:05Z",
                "deletionGracePeriodSeconds": 5,
            }
        },
    )
    again = for_update(kind(stored), deleted, sooner, "deletion")
    assert again["metadata"]["generation"] == 2
    assert again["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:05Z"
    assert check_update(kind(stored), deleted, again, "deletion") == []


def test_a_deleted_objects_timestamp_outlives_an_update() -> None:
    old = for_create(kind(pod()), pod(uid="u"))
    old["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:30Z", "finalizers": ["a/b"]}
    new = merge_patch(old, {"metadata": {"deletionTimestamp": None, "finalizers": ["a/b", "c/d"]}})
    result = for_update(kind(old), old, new)
    assert result["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:30Z"
    (cause,) = check_update(kind(old), old, result)
    assert cause.field == "metadata.finalizers"
    assert cause.message == (
        "Forbidden: no new finalizers can be added if the object is being deleted, found new "
        'finalizers []string{"c/d"}'
    )


def test_a_binding_is_no_change_of_what_is_wanted() -> None:
    old = for_create(kind(pod()), pod())
    bound = merge_patch(old, {"spec": {"nodeName": "n"}, "status": {"phase": "Pending"}})
    result = for_update(kind(old), old, bound, "binding")
    assert result["spec"]["nodeName"] == "n"
    assert result["metadata"]["generation"] == 1
    assert check_update(kind(old), old, result, "binding") == []


def test_finalizers_of_a_namespace_change_through_finalize_alone() -> None:
    given = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
    old = for_create(kind(given), given)
    empty = merge_patch(old, {"spec": {"finalizers": None}})
    assert for_update(kind(old), old, empty)["spec"] == {"finalizers": ["kubernetes"]}
    assert for_update(kind(old), old, empty, "finalize")["spec"] == {}


def test_an_event_is_shown_by_both_kinds() -> None:
    core, new = kind_of("v1", "Event"), kind_of("events.k8s.io/v1", "Event")
    assert core is not None
    assert new is not None
    given = {
        "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "x", "namespace": "default"},
        "message": "m",
        "source": {"component": "c"},
        "count": 2,
    }
    stored = for_create(core, given)
    shown = converted(new, stored)
    assert shown["apiVersion"] == "events.k8s.io/v1"
    assert shown["regarding"] == given["involvedObject"]
    assert (shown["note"], shown["deprecatedCount"]) == ("m", 2)
    assert converted(core, shown) == stored
    assert converted(core, stored) is stored


def test_fields_that_a_selector_may_name() -> None:
    stored = for_create(kind(pod()), pod())
    fields = selectable_fields(kind(stored), stored)
    assert fields.keys() == field_labels(kind(stored))
    assert fields["spec.nodeName"] == ""
    assert fields["status.phase"] == "Pending"
    assert fields["spec.hostNetwork"] == "false"
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
    node["spec"] = {"unschedulable": True}
    assert selectable_fields(kind(node), node) == {
        "metadata.name": "n",
        "spec.unschedulable": "true",
    }


def test_a_core_event_without_component_is_selected_by_its_controller() -> None:
    event = {"metadata": {"name": "e"}, "source": {}, "reportingComponent": "a/b"}
    core = kind_of("v1", "Event")
    assert core is not None
    assert selectable_fields(core, event)["source"] == "a/b"
    assert selectable_fields(core, {**event, "source": {"component": "c"}})["source"] == "c"
