"""What of a volume a container sees: subPath, and subPathExpr with its variables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vk


def container(**env: str) -> vk.Container:
    return vk.Container(name="main", env=env, raw={"name": "main"})


@pytest.mark.parametrize(
    ("mount", "path"),
    [
        ({}, ""),
        ({"subPath": "a/b"}, "a/b"),
        ({"subPath": "./a//b/"}, "a/b"),
        ({"subPath": "$(NAME)"}, "$(NAME)"),
        ({"subPathExpr": "logs/$(NAME)"}, "logs/web-1"),
        ({"subPathExpr": "$$(NAME)"}, "$(NAME)"),
        ({"subPathExpr": "$(NAME)/$(NAME)"}, "web-1/web-1"),
    ],
)
def test_the_path_is_cleaned_and_only_an_expression_is_expanded(
    mount: dict[str, Any], path: str
) -> None:
    assert vk.sub_path({"mountPath": "/m", **mount}, container(NAME="web-1")) == path


@pytest.mark.parametrize(
    ("mount", "told"),
    [
        ({"subPath": "../x"}, "subPath: must not contain '..'"),
        ({"subPath": "/x"}, "subPath: must be a relative path"),
        ({"subPathExpr": "$(UP)/x"}, "subPathExpr: must not contain '..'"),
        ({"subPathExpr": "$(ROOT)"}, "subPathExpr: must be a relative path"),
        ({"subPathExpr": "a/$(NONE)"}, "subPathExpr: no value for NONE"),
        ({"subPathExpr": "$(EMPTY)"}, "subPathExpr: no value for EMPTY"),
    ],
)
def test_a_path_that_leaves_the_volume_or_is_not_known_is_refused_by_name(
    mount: dict[str, Any], told: str
) -> None:
    with pytest.raises(vk.InvalidInputError) as caught:
        vk.sub_path({"mountPath": "/m", **mount}, container(UP="..", ROOT="/etc", EMPTY=""))
    assert "volumeMounts '/m' of container 'main'" in str(caught.value)
    assert told in str(caught.value)


@given(st.text(max_size=12), st.text(max_size=12))
def test_no_value_of_a_variable_leads_out_of_the_volume(text: str, value: str) -> None:
    mount = {"mountPath": "/m", "subPathExpr": f"{text}/$(V)"}
    try:
        path = vk.sub_path(mount, container(V=value))
    except vk.InvalidInputError:
        return
    assert not path.startswith("/")
    assert ".." not in path.split("/")


def test_files_below_a_path_are_those_of_its_folder_or_the_file_itself() -> None:
    one, two, three = vk.File(b"1"), vk.File(b"2"), vk.File(b"3")
    tree = {"a": one, "b/c": two, "b/d/e": three, "bc": one}
    assert vk.files_below(tree, "") == tree
    assert vk.files_below(tree, "b") == {"c": two, "d/e": three}
    assert vk.files_below(tree, "a") == {"": one}
    assert vk.files_below(tree, "none") == {}
