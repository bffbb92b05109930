"""Merge patch and JSON patch; the quirks of the latter are recorded answers of kube-apiserver."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.devcluster.patch.error import PatchError
from vk.devcluster.patch.json_patch import json_patch
from vk.devcluster.patch.patch import merge_patch

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=12,
)


@pytest.mark.parametrize(  # the examples of RFC 7386, appendix A
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, result: Any) -> None:
    assert merge_patch(target, patch) == result


@given(JSON, JSON)
def test_a_merge_patch_changes_neither_input_and_applies_once(target: Any, patch: Any) -> None:
    before = copy.deepcopy((target, patch))
    merged = merge_patch(target, patch)
    assert merge_patch(merged, patch) == merged
    assert (target, patch) == before


POD: dict[str, Any] = {"labels": {"a": "1", "b": "2"}, "list": ["x", "y"], "zero": 0}


@pytest.mark.parametrize(
    ("operation", "changed"),
    [
        ({"op": "add", "path": "/labels/c", "value": "3"}, {"labels": {**POD["labels"], "c": "3"}}),
        ({"op": "add", "path": "/labels/c"}, {"labels": {**POD["labels"], "c": None}}),
        ({"op": "add", "path": "/list/-", "value": "z"}, {"list": ["x", "y", "z"]}),
        ({"op": "add", "path": "/list/2", "value": "z"}, {"list": ["x", "y", "z"]}),
        ({"op": "add", "path": "/list/1", "value": "z"}, {"list": ["x", "z", "y"]}),
        ({"op": "add", "path": "/list/-1", "value": "z"}, {"list": ["x", "y", "z"]}),
        ({"op": "add", "path": "/a~1b~0", "value": 1}, {"a/b~": 1}),
        ({"op": "remove", "path": "/labels/a"}, {"labels": {"b": "2"}}),
        ({"op": "remove", "path": "/list/-1"}, {"list": ["x"]}),
        (
            {"op": "replace", "path": "/labels/c", "value": "3"},
            {"labels": {**POD["labels"], "c": "3"}},
        ),
        ({"op": "replace", "path": "/list/01", "value": "z"}, {"list": ["x", "z"]}),
        (
            {"op": "move", "from": "/labels/a", "path": "/labels/q"},
            {"labels": {"b": "2", "q": "1"}},
        ),
        ({"op": "move", "from": "/list/0", "path": "/list/-"}, {"list": ["y", "x"]}),
        ({"op": "copy", "from": "/labels/a", "path": "/q"}, {"q": "1"}),
        ({"op": "copy", "from": "/labels/none", "path": "/q"}, {"q": None}),
        ({"op": "test", "path": "/labels", "value": {"b": "2", "a": "1"}}, {}),
        ({"op": "test", "path": "/labels/none", "value": None}, {}),
        ({"op": "test", "path": "/labels/none"}, {}),
        ({"op": "test", "path": "/zero", "value": 0}, {}),
    ],
    ids=str,
)
def test_json_patch(operation: dict[str, Any], changed: dict[str, Any]) -> None:
    assert json_patch(POD, [operation]) == {**POD, **changed}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/labels/none"},
        {"op": "remove", "path": "/list/5"},
        {"op": "remove", "path": ""},
        {"op": "add", "path": "/list/9", "value": "z"},
        {"op": "add", "path": "/none/a", "value": "z"},
        {"op": "add", "path": "/zero/a", "value": "z"},
        {"op": "add", "path": "labels/a", "value": "z"},
        {"op": "add", "value": "z"},
        {"op": "replace", "path": "/list/x", "value": "z"},
        {"op": "replace", "path": "/list/-3", "value": "z"},
        {"op": "replace", "path": "", "value": "z"},
        {"op": "move", "from": "/labels/none", "path": "/q"},
        {"op": "move", "from": "", "path": "/q"},
        {"op": "copy", "path": "/q"},
        {"op": "test", "path": "/labels/a", "value": "2"},
        {"op": "test", "path": "/labels/none", "value": "2"},
        {"op": "test", "path": "/zero", "value": 0.0},
        {"op": "test", "path": "/zero", "value": False},
        {"op": "increment", "path": "/zero"},
        {"path": "/zero"},
    ],
    ids=str,
)
def test_a_json_patch_that_does_not_apply_is_refused(operation: dict[str, Any]) -> None:
    """All of them get one answer from the API server, 422; the error's text says more."""
    with pytest.raises(PatchError, match=r"^JSON patch: ") as caught:
        json_patch(POD, [operation])
    assert caught.value.code == 422
    answer = "the server rejected our request due to an error in our request"
    assert caught.value.answer == answer


@pytest.mark.parametrize(
    ("operations", "text"),
    [
        ({"op": "add"}, "object into Go value of type []handlers.jsonPatchOp"),
        ([1], "number into Go value of type handlers.jsonPatchOp"),
    ],
)
def test_what_is_no_json_patch_is_a_bad_request(operations: Any, text: str) -> None:
    with pytest.raises(PatchError) as caught:
        json_patch(POD, operations)
    assert caught.value.code == 400
    assert caught.value.answer == f"error decoding patch: json: cannot unmarshal {text}"


def test_a_json_patch_is_one_whole() -> None:
    with pytest.raises(PatchError):
        json_patch(POD, [{"op": "remove", "path": "/zero"}, {"op": "remove", "path": "/zero"}])
    assert POD["zero"] == 0


def test_a_json_patch_has_a_limit() -> None:
    with pytest.raises(PatchError, match="10000, got 10001") as caught:
        json_patch(POD, [{"op": "test", "path": "/zero", "value": 0}] * 10_001)
    assert caught.value.code == 413


PATHS = st.sampled_from(["", "/a", "/a/0", "/a/-", "/a/-1", "/b/c", "/b", "/b/d/e"])
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), "path": PATHS},
    optional={"value": JSON, "from": PATHS},
)


@given(st.lists(OPERATIONS, max_size=4))
def test_any_json_patch_applies_or_is_refused_and_changes_no_input(
    operations: list[dict[str, Any]],
) -> None:
    target = {"a": ["x"], "b": {"c": "y"}}
    before = copy.deepcopy((target, operations))
    try:
        json_patch(target, operations)
    except PatchError as error:
        assert len(str(error).splitlines()) == 1
    assert (target, operations) == before
