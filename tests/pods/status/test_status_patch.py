"""From a status that stands to one that should: the patch, as a table."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pod_world import merge, raw

from vk.pods.status.patch import difference


def condition(type: str, status: str = "True", **more: Any) -> dict[str, Any]:
    return {"type": type, "status": status, "reason": None, "message": None, **more}


ONE, TWO = [{"ip": "10.0.0.1"}], [{"ip": "10.0.0.2"}]
FOREIGN = {"type": "x.io/gate", "status": "True"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"phase": "Running"}, {"phase": "Running"}, None),
        ({"phase": "Running"}, {"phase": "Running", "reason": None}, None),
        ({"phase": "Pending"}, {"phase": "Running"}, {"phase": "Running"}),
        ({"reason": "x"}, {"reason": None}, {"reason": None}),
        ({}, {"podIPs": ONE}, {"podIPs": ONE}),
        ({"podIPs": ONE}, {"podIPs": ONE}, None),
        ({"podIPs": ONE}, {"podIPs": TWO}, {"podIPs": [{"$patch": "replace"}, *TWO]}),
        ({"hostIPs": ONE}, {"hostIPs": TWO}, {"hostIPs": [{"$patch": "replace"}, *TWO]}),
        ({"conditions": [condition("Ready"), FOREIGN]}, {"conditions": [condition("Ready")]}, None),
        (
            {"conditions": [condition("A"), condition("B")]},
            {"conditions": [condition("A"), condition("B", "False")]},
            {"conditions": [condition("B", "False")]},
        ),
        (
            {"conditions": [{**condition("A"), "reason": "x"}]},
            {"conditions": [condition("A")]},
            {"conditions": [condition("A")]},
        ),
        (
            {"conditions": [condition("A", lastTransitionTime="x")]},
            {"conditions": [condition("A", lastTransitionTime="y")]},
            None,
        ),
        (
            {"containerStatuses": [{"name": "a", "state": {}, "ready": False}]},
            {"containerStatuses": [{"name": "a", "state": {"waiting": {}}, "ready": False}]},
            None,
        ),
    ],
)
def test_only_what_differs_is_written(
    old: dict[str, Any], new: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    patch = difference(raw(status={"phase": "x", **old}), new, {})
    assert patch == (None if expected is None else {"metadata": {"uid": "u"}, "status": expected})


def test_annotations_that_are_missing_are_written_and_others_left() -> None:
    pod = raw()
    pod["metadata"]["annotations"] = {"a": "1", "theirs": "x"}
    assert difference(pod, {}, {"a": "1"}) is None
    patch = difference(pod, {}, {"a": "2", "b": "3"})
    assert patch is not None
    assert patch["metadata"] == {"uid": "u", "annotations": {"a": "2", "b": "3"}}
    assert merge(pod, patch)["metadata"]["annotations"]["theirs"] == "x"


ADDRESSES = st.sampled_from([ONE, TWO])
CONDITIONS = st.dictionaries(
    st.sampled_from(["A", "B", "C"]),
    st.tuples(st.sampled_from(["True", "False"]), st.sampled_from([None, "x", "y"])),
).map(lambda by: [{**condition(type, one), "reason": why} for type, (one, why) in by.items()])
STATUS = st.fixed_dictionaries(
    {"phase": st.sampled_from(["Pending", "Running", "Failed"])},
    optional={
        "reason": st.sampled_from([None, "x", "y"]),
        "podIPs": ADDRESSES,
        "hostIPs": ADDRESSES,
        "conditions": CONDITIONS,
        "containerStatuses": st.just([{"name": "a", "state": {"waiting": {"reason": "x"}}}]),
    },
)


@settings(deadline=None)
@given(STATUS, STATUS)
def test_applying_the_patch_leaves_no_difference(old: dict[str, Any], new: dict[str, Any]) -> None:
    have = merge({**raw(), "status": {}}, {"status": {**old, "conditions": [FOREIGN]}})
    patch = difference(have, new, {"a": "b"})
    assert patch is not None
    result = merge(have, patch)
    assert difference(result, new, {"a": "b"}) is None
    assert FOREIGN in result["status"]["conditions"]
