"""fieldsV1 is read and written as the API server does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.devcluster.apply.field_set import Path, decode, encode, in_order, key_step, path_text

STEPS = (
    st.sampled_from(["f:a", "f:b", "f:a.b/c"])
    | st.builds(lambda name: key_step({"name": name}), st.text(max_size=3))
    | st.sampled_from(['v:"x"', "v:1", "i:0"])
)
PATHS = st.lists(STEPS, min_size=1, max_size=4).map(tuple)


@given(st.frozensets(PATHS, max_size=8))
def test_paths_survive_writing_and_reading(paths: frozenset[Path]) -> None:
    assert decode(encode(paths)) == paths


@pytest.mark.parametrize(
    ("written", "paths"),
    [
        ({}, set()),
        ({"f:a": {}}, {("f:a",)}),
        ({"f:a": {".": {}, "f:b": {}}}, {("f:a",), ("f:a", "f:b")}),
        ({"f:a": {"f:b": {}}}, {("f:a", "f:b")}),
        ({'k:{"b": 1, "a": "x"}': {}}, {('k:{"a":"x","b":1}',)}),
        ({"z:new": {}, "f:a": {}}, {("f:a",)}),
    ],
)
def test_reading(written: dict[str, Any], paths: set[Path]) -> None:
    assert decode(written) == paths


@pytest.mark.parametrize("written", [{"name": {}}, {"k:{": {}}, {"f:a": 1}])
def test_what_is_no_field_set_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        decode(written)


def test_a_path_reads_like_one() -> None:
    path = ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:name")
    assert path_text(path) == '.spec.ports[port=80,protocol="TCP"].name'
    assert path_text(("f:finalizers", 'v:"x/a"')) == '.finalizers[="x/a"]'


def test_owned_fields_come_before_deeper_ones() -> None:
    paths = [("f:a", "f:b"), ("f:c",), ("f:a",), ("f:a", "f:b", "f:c")]
    assert in_order(paths) == [("f:a",), ("f:c",), ("f:a", "f:b"), ("f:a", "f:b", "f:c")]
