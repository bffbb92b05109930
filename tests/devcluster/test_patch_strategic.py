"""Strategic merge patches; results and refusals are recorded answers of kube-apiserver 1.36."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.devcluster.patch.error import PatchError
from vk.devcluster.patch.schemas import schema_of
from vk.devcluster.patch.strategic_merge import strategic_merge_patch

POD = schema_of("Pod")
TARGET: dict[str, Any] = {
    "metadata": {"labels": {"a": "1", "b": "2"}, "finalizers": ["x/1", "x/2"]},
    "spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]},
    "status": {
        "conditions": [{"type": "A", "status": "True"}, {"type": "B", "status": "True"}],
        "podIPs": [{"ip": "10.0.0.1"}],
    },
}


def metadata(patch: dict[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = strategic_merge_patch(TARGET, {"metadata": patch}, POD)["metadata"]
    return merged


@pytest.mark.parametrize(
    ("patch", "labels"),
    [
        ({"c": "3"}, {"a": "1", "b": "2", "c": "3"}),
        ({"a": None, "z": None}, {"b": "2"}),
        ({"$patch": "replace", "z": "1"}, {"z": "1"}),
        ({"$patch": "delete", "z": "1"}, {}),
        ({"$retainKeys": ["a"], "a": "9"}, {"a": "9"}),
        ({"$retainKeys": ["b"]}, {"b": "2"}),
    ],
)
def test_a_map_merges(patch: dict[str, Any], labels: dict[str, str]) -> None:
    assert metadata({"labels": patch})["labels"] == labels


@pytest.mark.parametrize(
    ("patch", "finalizers"),
    [
        ({"finalizers": ["x/3", "x/1"]}, ["x/3", "x/1", "x/2"]),
        ({"finalizers": ["x/3", "x/2"]}, ["x/3", "x/1", "x/2"]),
        ({"finalizers": []}, ["x/1", "x/2"]),
        ({"finalizers": None}, None),
        ({"$deleteFromPrimitiveList/finalizers": ["x/1"]}, ["x/2"]),
        (
            {"$deleteFromPrimitiveList/finalizers": ["x/1"], "finalizers": ["x/0"]},
            ["x/0", "x/2"],
        ),
        (
            {"$setElementOrder/finalizers": ["x/2", "x/3", "x/1"], "finalizers": ["x/3"]},
            ["x/2", "x/3", "x/1"],
        ),
        ({"$setElementOrder/finalizers": ["x/2", "x/1"]}, ["x/2", "x/1"]),
    ],
)
def test_a_list_of_plain_values_merges(patch: dict[str, Any], finalizers: Any) -> None:
    assert metadata(patch).get("finalizers") == finalizers


def condition(kind: str, status: str = "True") -> dict[str, str]:
    return {"type": kind, "status": status}


def order(*kinds: str) -> dict[str, Any]:
    return {"$setElementOrder/conditions": [{"type": kind} for kind in kinds]}


@pytest.mark.parametrize(
    ("patch", "conditions"),
    [
        ({"conditions": [condition("C"), condition("B", "False")]}, "C:True A:True B:False"),
        ({"conditions": [condition("C"), condition("A", "False")]}, "C:True A:False B:True"),
        ({"conditions": [condition("B"), condition("A", "False")]}, "B:True A:False"),
        (order("B", "A"), "B:True A:True"),
        ({**order("C"), "conditions": [condition("C")]}, "C:True A:True B:True"),
        (
            {
                **order("B", "A", "C"),
                "conditions": [condition("C"), {"$patch": "delete", "type": "A"}],
            },
            "B:True C:True",
        ),
        (
            {**order("D"), "conditions": [{"$patch": "delete", "type": "B"}, condition("D")]},
            "A:True D:True",  # the new item takes the place that the deleted one left
        ),
        ({"conditions": [{"$patch": "replace"}, condition("Z")]}, "Z:True"),
        ({"conditions": [{"$patch": "delete", "type": "A"}]}, "B:True"),
        ({"conditions": [{"$patch": "delete", "type": "none"}]}, "A:True B:True"),
    ],
)
def test_a_list_with_a_key_merges(patch: dict[str, Any], conditions: str) -> None:
    merged = strategic_merge_patch(TARGET, {"status": patch}, POD)
    found = [f"{one['type']}:{one['status']}" for one in merged["status"]["conditions"]]
    assert " ".join(found) == conditions


def test_pod_ips_add_up_unless_replaced() -> None:
    """The reason why a node's report of addresses begins with a replace."""
    added = strategic_merge_patch(TARGET, {"status": {"podIPs": [{"ip": "10.0.0.2"}]}}, POD)
    assert added["status"]["podIPs"] == [{"ip": "10.0.0.2"}, {"ip": "10.0.0.1"}]
    patch = {"status": {"podIPs": [{"$patch": "replace"}, {"ip": "10.0.0.2"}]}}
    replaced = strategic_merge_patch(TARGET, patch, POD)
    assert replaced["status"]["podIPs"] == [{"ip": "10.0.0.2"}]


def test_a_list_without_a_merge_key_is_replaced() -> None:
    target = {"spec": {"tolerations": [{"key": "a"}, {"key": "b"}]}}
    merged = strategic_merge_patch(target, {"spec": {"tolerations": [{"key": "c"}]}}, POD)
    assert merged == {"spec": {"tolerations": [{"key": "c"}]}}


def test_what_is_new_loses_its_nulls_and_directives() -> None:
    patch = {
        "status": {"initContainerStatuses": [{"$patch": "replace"}, {"name": "x", "image": None}]},
        "spec": {"containers": [{"name": "c", "image": "j", "command": None}]},
        "new": {"a": None, "b": {"$patch": "delete"}},
    }
    merged = strategic_merge_patch(TARGET, patch, POD)
    assert merged["status"]["initContainerStatuses"] == [{"name": "x"}]
    assert merged["spec"]["containers"][0] == {"name": "c", "image": "j"}
    assert merged["new"] == {}


def test_retain_keys_of_a_volume_drop_its_former_source() -> None:
    target = {"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}
    change = {"name": "v", "hostPath": {"path": "/"}, "$retainKeys": ["name", "hostPath"]}
    merged = strategic_merge_patch(target, {"spec": {"volumes": [change]}}, POD)
    assert merged["spec"]["volumes"] == [{"name": "v", "hostPath": {"path": "/"}}]


@pytest.mark.parametrize(
    ("patch", "code", "answer"),
    [
        (
            {"spec": {"containers": [{"image": "x"}]}},
            500,
            "map: map[image:x] does not contain declared merge key: name",
        ),
        (
            {"spec": {"containers": [{"$patch": "foo", "name": "b"}]}},
            500,
            "unknown patch type: foo in map: map[$patch:foo name:b]",
        ),
        (
            {"spec": {"containers": [{"$patch": "merge", "name": "b"}]}},
            500,
            "merging lists cannot yet be specified in the patch",
        ),
        (
            {"status": {"conditions": [{"$patch": "delete"}]}},
            500,
            "map: map[$patch:delete] does not contain declared merge key: type",
        ),
        ({"metadata": {"$patch": "foo"}}, 500, "unknown patch type: foo in map: map[$patch:foo]"),
        (
            {"metadata": {"labels": {"$retainKeys": ["b"], "a": "9"}}},
            400,
            "invalid patch format of retainKeys",
        ),
        (
            {"metadata": {"labels": {"$retainKeys": "b"}}},
            400,
            "invalid patch format of retainKeys",
        ),
        (
            {"metadata": {"$deleteFromPrimitiveList": ["x"]}},
            400,
            "invalid patch format of primitive list",
        ),
        (
            {"metadata": {"$setElementOrder": ["x"]}},
            400,
            "invalid patch format of setElementOrder list",
        ),
        (
            {"metadata": {"$setElementOrder/finalizers": "x"}},
            500,
            "expected a []interface {}, but received a string",
        ),
        (
            {"metadata": {"$setElementOrder/finalizers": ["x/2"], "finalizers": ["x/4"]}},
            500,
            "The order in patch list:\n[x/4]\n doesn't match $setElementOrder list:\n[x/2]\n",
        ),
        (
            {"metadata": {"finalizers": ["x/3", {"a": 1}]}},
            500,
            "list element types are not identical: [[x/1 x/2] [x/3 map[a:1]]]",
        ),
        (
            [1],
            400,
            "json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
    ],
)
def test_a_faulty_patch_is_refused_in_the_api_servers_words(
    patch: Any, code: int, answer: str
) -> None:
    with pytest.raises(PatchError) as caught:
        strategic_merge_patch(TARGET, patch, POD)
    assert (caught.value.code, caught.value.answer) == (code, answer)
    assert len(str(caught.value).splitlines()) == 1


KINDS = st.lists(st.sampled_from("ABCD"), unique=True)


@given(KINDS, KINDS, KINDS)
def test_a_merged_list_has_each_item_once_and_keeps_the_given_order(
    old: list[str], new: list[str], others: list[str]
) -> None:
    asked = new + [kind for kind in others if kind not in new]
    target = {"status": {"conditions": [condition(kind, "old") for kind in old]}}
    status = {"conditions": [condition(kind, "new") for kind in new]}
    merged = strategic_merge_patch(target, {"status": status}, POD)["status"]["conditions"]
    kinds = [one["type"] for one in merged]
    assert sorted(kinds) == sorted({*old, *new})
    assert [kind for kind in kinds if kind in new] == new
    assert {one["type"] for one in merged if one["status"] == "new"} == set(new)
    if old or new:
        patch = {"status": {**status, **order(*asked)}}
        merged = strategic_merge_patch(target, patch, POD)["status"]["conditions"]
        kinds = [one["type"] for one in merged]
        assert [one for one in kinds if one in asked] == [one for one in asked if one in kinds]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "type", "$patch", "$retainKeys", "$setElementOrder/conditions"]
            ),
            inner,
        )
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["conditions", "podIPs", "phase", "$patch"]), JSON))
def test_any_patch_merges_or_is_refused_and_changes_no_input(patch: dict[str, Any]) -> None:
    target = copy.deepcopy(TARGET)
    before = copy.deepcopy(patch)
    try:
        strategic_merge_patch(target, {"status": patch}, POD)
    except PatchError as error:
        assert error.code in (400, 422, 500)
    assert (target, patch) == (TARGET, before)
