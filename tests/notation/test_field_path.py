"""Field paths and maps are written as the kubelet writes them."""

from __future__ import annotations

import pytest

from vk.notation.field_path import format_map, split_subscript


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("metadata.name", ("metadata.name", None)),
        ("metadata.labels['a/b.c']", ("metadata.labels", "a/b.c")),
        ("metadata.labels['']", ("metadata.labels", "")),
        ("metadata.labels['a['b']", ("metadata.labels", "a['b")),
        ("['a']", ("['a']", None)),
        ("metadata.labels[a]", ("metadata.labels[a]", None)),
    ],
)
def test_a_subscript_is_split_off(path: str, parts: tuple[str, str | None]) -> None:
    assert split_subscript(path) == parts


def test_a_map_is_sorted_lines_of_quoted_values() -> None:
    assert format_map({}) == ""
    values = {"b": 'say "hi"\n', "a": "é\x00\u2028\U000e0001\\"}
    assert format_map(values) == 'a="é\\x00\\u2028\\U000e0001\\\\"\nb="say \\"hi\\"\\n"'
