"""Selectors mean, and refuse, what the API server's do; the refusals are its recorded answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.devcluster.storage.field_selector import parse_field_selector
from vk.notation.selector import (
    label_selector_from_json,
    node_selector_matches,
    parse_label_selector,
)

LABELS = {"app": "web", "tier": "", "size": "10", "in": "x"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app", True),
        ("!app", False),
        ("none", False),
        ("!none", True),
        ("app=web", True),
        ("app==web", True),
        ("app!=web", False),
        ("none!=web", True),
        (" app = web , tier ", True),
        ("app\t=\nweb", True),
        ("app=web,app=db", False),
        ("app in (db, web)", True),
        ("app in(db)", False),
        ("app notin (db)", True),
        ("none notin (db)", True),
        ("app notin (web)", False),
        ("tier=", True),
        ("tier=,app", True),
        ("tier in ()", True),
        ("app in ()", False),
        ("tier in (,x)", True),
        ("tier in (x,)", True),
        ("tier in (x,,y)", True),
        ("in in (x)", True),
        ("size>9", True),
        ("size>10", False),
        ("size<11", True),
        ("app>1", False),
        ("none<1", False),
    ],
)
def test_a_label_selector_matches(text: str, matches: bool) -> None:
    assert parse_label_selector(text).matches(LABELS) is matches


NAME_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("=b", "found '=', expected: !, identifier, or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("a,,b", "found ',', expected: identifier after ','"),
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        (
            "a b",
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        (
            "a>x",
            'unable to parse requirement: values[0]: Invalid value: "x": '
            "for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("!!a", "unable to parse requirement: found '!', expected: identifier"),
        ("a===b", "unable to parse requirement: found '=', expected: identifier"),
        ("a=!=b", "unable to parse requirement: found '!=', expected: identifier"),
        ("a=(b)", "unable to parse requirement: found '(', expected: identifier"),
        ("(a)", "found '(', expected: !, identifier, or 'end of string'"),
        ("a notin(b,!)", "unable to parse requirement: found '!', expected: ',', or identifier"),
        (
            "-a",
            'unable to parse requirement: <nil>: Invalid value: "-a": name part ' + NAME_RULE,
        ),
        (
            "a/b/c=d",
            'unable to parse requirement: <nil>: Invalid value: "a/b/c": a valid label key '
            + NAME_RULE
            + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        ),
        (
            "x" * 64,
            f'unable to parse requirement: <nil>: Invalid value: "{"x" * 64}": '
            "name part must be no more than 63 bytes",
        ),
        (
            f"a={'x' * 64}",
            f'unable to parse requirement: values[0][a]: Invalid value: "{"x" * 64}": '
            "must be no more than 63 bytes",
        ),
    ],
)
def test_a_label_selector_is_refused_in_the_api_servers_words(text: str, error: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_label_selector(text)
    assert str(caught.value) == error


@given(st.text(alphabet="ab=!<>(), intos/.-é", max_size=30))
def test_any_text_is_a_selector_or_one_line(text: str) -> None:
    for parse in (parse_label_selector, parse_field_selector):
        try:
            parse(text).matches({"a": "b"})
        except ValueError as error:
            assert len(str(error).splitlines()) == 1


NAMES = st.from_regex(r"[a-z]([-a-z0-9.]{0,8}[a-z0-9])?", fullmatch=True)


@given(st.dictionaries(NAMES, NAMES, max_size=4), st.dictionaries(NAMES, NAMES, max_size=4))
def test_text_and_json_agree(wanted: dict[str, str], labels: dict[str, str]) -> None:
    text = parse_label_selector(",".join(f"{key}={value}" for key, value in wanted.items()))
    parsed = label_selector_from_json({"matchLabels": wanted})
    assert text.matches(labels) == parsed.matches(labels) == (wanted.items() <= labels.items())


@pytest.mark.parametrize(
    ("expression", "matches"),
    [
        ({"key": "app", "operator": "In", "values": ["web", "db"]}, True),
        ({"key": "app", "operator": "NotIn", "values": ["web"]}, False),
        ({"key": "none", "operator": "NotIn", "values": ["web"]}, True),
        ({"key": "app", "operator": "Exists"}, True),
        ({"key": "app", "operator": "DoesNotExist"}, False),
    ],
)
def test_expressions_of_an_object(expression: dict[str, Any], matches: bool) -> None:
    selector = label_selector_from_json({"matchExpressions": [expression]})
    assert selector.matches(LABELS) is matches


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ({"key": "a", "operator": "Gt", "values": ["1"]}, "not a valid label selector operator"),
        ({"key": "a", "operator": "In"}, "values set can't be empty"),
        ({"key": "a", "operator": "Exists", "values": ["1"]}, "values set must be empty"),
        ({"key": "", "operator": "Exists"}, "name part must be non-empty"),
    ],
)
def test_wrong_expressions_are_refused(expression: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        label_selector_from_json({"matchExpressions": [expression]})


def node_term(**conditions: Any) -> list[dict[str, Any]]:
    return [conditions]


WEB = {"key": "app", "operator": "In", "values": ["web"]}
NAMED = {"key": "metadata.name", "operator": "In", "values": ["n1"]}


@pytest.mark.parametrize(
    ("terms", "matches"),
    [
        ([], False),
        ([{}], False),
        (node_term(matchExpressions=[WEB]), True),
        (node_term(matchExpressions=[WEB], matchFields=[NAMED]), True),
        (node_term(matchFields=[{**NAMED, "values": ["n2"]}]), False),
        (node_term(matchFields=[{**NAMED, "operator": "NotIn", "values": ["n2"]}]), True),
        (node_term(matchFields=[{"key": "metadata.name", "operator": "Exists"}]), False),
        ([{"matchExpressions": [{**WEB, "values": ["db"]}]}, {"matchFields": [NAMED]}], True),
        (node_term(matchExpressions=[{"key": "size", "operator": "Gt", "values": ["9"]}]), True),
        (node_term(matchExpressions=[{"key": "size", "operator": "Lt", "values": ["9"]}]), False),
        (node_term(matchExpressions=[{"key": "size", "operator": "Lt", "values": ["x"]}]), False),
        (
            node_term(matchExpressions=[{"key": "size", "operator": "Near", "values": ["99"]}]),
            False,
        ),
        (node_term(matchExpressions=[{"key": "none", "operator": "NotIn"}]), False),
        (node_term(matchExpressions=[{"key": "none", "operator": "DoesNotExist"}]), True),
    ],
)
def test_a_node_selector_matches(terms: list[dict[str, Any]], matches: bool) -> None:
    assert node_selector_matches(terms, LABELS, {"metadata.name": "n1"}) is matches


@pytest.mark.parametrize(
    ("text", "requirements"),
    [
        ("", ()),
        (",", ()),
        ("metadata.name=a,", (("metadata.name", "=", "a"),)),
        ("metadata.name==a", (("metadata.name", "=", "a"),)),
        ("a!=b,c=d", (("a", "!=", "b"), ("c", "=", "d"))),
        (r"a=b\,c", (("a", "=", "b,c"),)),
        (r"a=b\=c\\", (("a", "=", "b=c\\"),)),
        ("a=b!c", (("a", "=", "b!c"),)),
        (" a = b", ((" a ", "=", " b"),)),
    ],
)
def test_a_field_selector(text: str, requirements: tuple[tuple[str, str, str], ...]) -> None:
    assert parse_field_selector(text).requirements == requirements


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
        ("a=b\\", "invalid field selector: invalid escape sequence: \\"),
        ("a=b\\x", "invalid field selector: invalid escape sequence: \\x"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
    ],
)
def test_a_field_selector_is_refused_in_the_api_servers_words(text: str, error: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_field_selector(text)
    assert str(caught.value) == error


def test_a_field_that_is_not_there_is_empty() -> None:
    assert parse_field_selector("spec.nodeName=").matches({})
    assert parse_field_selector("spec.nodeName!=a").matches({})
    assert not parse_field_selector("spec.nodeName=a,metadata.name!=b").matches({})
