"""From the text of a manifest file to plain JSON and the lines that its fields stand on."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from vk.devcluster.documents import DocumentError, parse_documents

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def values(text: str) -> list[Any]:
    return [document.value for document in parse_documents(text)]


@given(st.dictionaries(st.text(max_size=5), _JSON))
def test_json_is_read_as_it_is(value: dict[str, Any]) -> None:
    assert values(json.dumps(value)) == [value]
    assert values(json.dumps(value, indent="\t")) == [value]


@given(_JSON.filter(lambda value: value is not None))
def test_yaml_is_read_as_it_is(value: Any) -> None:
    assert values(yaml.safe_dump(value)) == [value]


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@`,? \n\t\x00\x07\ud7ff", max_size=40))
@example("&a [*a]")
@example("a: &a {b: *a}")
@example("- " * 2000)
@example("=")
@example("!!binary aGk=")
@example("? [a]\n: b")
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        found = values(text)
    except DocumentError as error:
        assert str(error).strip()
        assert "\n" not in str(error)
        assert 0 <= error.line <= text.count("\n") + 1
    else:
        json.dumps(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: 2026-01-01T10:00:00Z", {"a": "2026-01-01T10:00:00Z"}),
        ("a: 10:30", {"a": "10:30"}),
        ("a: 1:30.5", {"a": "1:30.5"}),
        ("a: 0644", {"a": 0o644}),
        ("a: 80", {"a": 80}),
        ("a: -1.5", {"a": -1.5}),
        ("a: 1.5e+3", {"a": 1500.0}),
        ("a: yes", {"a": True}),
        ("a: 'yes'", {"a": "yes"}),
        ("a: ~", {"a": None}),
        ("a: =", {"a": "="}),
        ("1: b\ntrue: c", {"1": "b", "true": "c"}),
        ("x: &x {a: 1}\ny: {<<: *x, b: 2}", {"x": {"a": 1}, "y": {"a": 1, "b": 2}}),
        ("\ufeffa: 1", {"a": 1}),
    ],
)
def test_yaml_means_what_kubectl_takes_it_for(text: str, expected: Any) -> None:
    assert values(text) == [expected]


def test_documents_that_hold_nothing_are_left_out() -> None:
    assert values("---\n# nothing\n---\na: 1\n---\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]
    assert values("") == []


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: [", 2, "not YAML"),
        ("a: 1\n b: 2", 2, "not YAML"),
        ("a: 1\nb: 2\na: 3", 3, "key 'a' is given twice"),
        ("x:\n  a: 1\n  a: 2", 3, "key 'a' is given twice"),
        ("a: &a\n  b: *a", 1, "value contains itself"),
        ("a: 1\nb: \x07", 2, "not YAML"),
        ("{\n  'a': 1,\n", 2, "not YAML"),
        ("? [a]\n: 1", 1, "not YAML"),
    ],
)
def test_an_error_names_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(DocumentError, match=message) as caught:
        parse_documents(text)
    assert caught.value.line == line


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [" + "x, " * 10 + "]"]
    lines += [f"a{n}: &a{n} [" + f"*a{n - 1}, " * 10 + "]" for n in range(1, 9)]
    with pytest.raises(DocumentError, match="excessive aliasing"):
        parse_documents("\n".join(lines))


_POD = """\
# a comment
apiVersion: v1
kind: Pod
metadata:
  name: nginx
spec:
  containers:
  - name: a
    image: nginx
  - name: b
    env:
    - name: PORT
      value: 80
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("apiVersion", 2),
        ("metadata.name", 5),
        ("metadata.labels", 4),
        ("spec.containers", 7),
        ("spec.containers[0].image", 9),
        ("spec.containers[1]", 10),
        ("spec.containers[1].image", 10),
        ("spec.containers[1].env[0].value", 13),
        ("spec.containers[7].name", 7),
        ("status", 2),
        ("", 2),
    ],
)
def test_a_field_is_found_on_its_line_or_the_next_one_above(path: str, line: int) -> None:
    (document,) = parse_documents(_POD)
    assert document.at(path) == line


def test_fields_of_json_are_found_too() -> None:
    (document,) = parse_documents('{\n\t"a": [\n\t\t{"b": "\\ud83d\\ude00"},\n\t\t{"b": 1}\n\t]\n}')
    assert document.value["a"][0]["b"] == "\N{GRINNING FACE}"
    assert document.at("a[1].b") == 4


def test_the_entries_of_a_list_know_their_lines() -> None:
    (document,) = parse_documents("kind: List\nitems:\n- kind: Pod\n  a: 1\n- kind: Node\n")
    assert [(item.line, item.value["kind"]) for item in document.items()] == [
        (3, "Pod"),
        (5, "Node"),
    ]
