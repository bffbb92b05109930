"""Label selectors and node selectors: which objects ``app=web,tier in (a, b)`` selects. Pure.

In: the text of a query, or the JSON of an object. Out: a selector, which matches sets of labels or
not. The texts of errors are those of kube-apiserver 1.36, and so is this: ``a in ()`` means the
empty value, ``a!=b`` and ``a notin (b)`` match where ``a`` is missing, and a node selector's
term without any expression matches nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from vk.notation.label_names import key_faults, value_faults

__all__ = [
    "LabelSelector",
    "Requirement",
    "label_selector_from_json",
    "node_selector_matches",
    "parse_label_selector",
]

_INTEGER = re.compile(r"[+-]?[0-9]+")
_OPERATORS = {
    "=": "In",
    "==": "In",
    "!=": "NotIn",
    "in": "In",
    "notin": "NotIn",
    ">": "Gt",
    "<": "Lt",
}


@attrs.frozen
class Requirement:
    """One condition on one label; operators are In, NotIn, Exists, DoesNotExist, Gt and Lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether these labels meet the condition."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case _:
                return value is not None and self._compares(value)

    def _compares(self, value: str) -> bool:
        bound = self.values[0] if len(self.values) == 1 else ""
        if not _is_int64(value) or not _is_int64(bound):
            return False
        return int(value) > int(bound) if self.operator == "Gt" else int(value) < int(bound)


@attrs.frozen
class LabelSelector:
    """Conditions that all have to hold; without any it matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether these labels meet every condition."""
        return all(requirement.matches(labels) for requirement in self.requirements)


def parse_label_selector(text: str) -> LabelSelector:
    """Return the label selector that ``text`` means, as ``kubectl get -l`` takes it.

    Its method ``matches(labels)`` returns whether an object with these labels is selected. An empty
    text selects everything.

    Args:
        text: Such as ``app=web,tier in (a, b),!legacy``.

    Raises:
        ValueError: The text is not a selector; the message is one line, as kube-apiserver's.
    """
    return LabelSelector(_Parser(_tokens(text)).selector())


def label_selector_from_json(selector: Mapping[str, Any]) -> LabelSelector:
    """Return the selector of ``matchLabels`` and ``matchExpressions``; raises ValueError."""
    labels = selector.get("matchLabels") or {}
    found = [_checked(key, "In", [labels[key]]) for key in sorted(labels)]
    for expression in selector.get("matchExpressions") or ():
        operator, values = expression.get("operator", ""), expression.get("values") or []
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            raise ValueError(f"{_quoted(operator)} is not a valid label selector operator")
        if operator in ("In", "NotIn") and not values:
            raise ValueError(
                "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
            )
        if operator in ("Exists", "DoesNotExist") and values:
            raise ValueError(
                f"values: Invalid value: {json.dumps(values)}: values set must be empty for "
                "exists and does not exist"
            )
        found.append(_checked(expression.get("key", ""), operator, values))
    return LabelSelector(tuple(found))


def node_selector_matches(
    terms: Sequence[Mapping[str, Any]], labels: Mapping[str, str], fields: Mapping[str, str]
) -> bool:
    """Return whether one of the ``nodeSelectorTerms`` matches a node's labels and fields.

    An invalid condition matches no node, and nor does a term without conditions.
    """
    return any(_term_matches(term, labels, fields) for term in terms)


def _term_matches(
    term: Mapping[str, Any], labels: Mapping[str, str], fields: Mapping[str, str]
) -> bool:
    expressions = term.get("matchExpressions") or ()
    conditions = term.get("matchFields") or ()
    if not expressions and not conditions:
        return False
    return all(_holds(one, labels) for one in expressions) and all(
        _holds(one, fields) and one.get("operator") in ("In", "NotIn") for one in conditions
    )


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    operator, values = expression.get("operator", ""), tuple(expression.get("values") or ())
    match operator:
        case "In" | "NotIn":
            sound = bool(values)
        case "Exists" | "DoesNotExist":
            sound = not values
        case _:
            sound = operator in ("Gt", "Lt")
    return sound and Requirement(expression.get("key", ""), operator, values).matches(labels)


def _is_int64(text: str) -> bool:
    return bool(_INTEGER.fullmatch(text)) and len(text) < 40 and -(2**63) <= int(text) < 2**63


def _checked(key: str, operator: str, values: Sequence[str]) -> Requirement:
    """Return the requirement; raises ValueError for names that no label can have."""
    faults = key_faults(key)
    if faults:
        raise ValueError(f"<nil>: Invalid value: {_quoted(key)}: {'; '.join(faults)}")
    values = sorted(set(values))
    if operator in ("Gt", "Lt") and not all(map(_is_int64, values)):
        raise ValueError(
            f"values[0]: Invalid value: {_quoted(values[0])}: "
            "for 'Gt', 'Lt' operators, the value must be an integer"
        )
    for at, value in enumerate(values):
        faults = value_faults(value)
        if faults:
            text = f"Invalid value: {_quoted(value)}: {'; '.join(faults)}"
            raise ValueError(f"values[{at}][{key}]: {text}")
    return Requirement(key, operator, tuple(values))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


_TOKEN = re.compile(r"[ \t\r\n]*(==|!=|[=!(),<>]|[^=!(),<> \t\r\n]+|$)")
_SYMBOLS = frozenset(["", "=", "==", "!=", "!", "(", ")", ",", "<", ">"])


def _tokens(text: str) -> list[str]:
    """Split the text into symbols and names; the empty token ends it."""
    return [match[1] for match in _TOKEN.finditer(text)]


@attrs.define
class _Parser:
    """Reads requirements off a list of tokens; every method may raise ValueError."""

    _tokens: list[str]
    _at: int = 0

    def selector(self) -> tuple[Requirement, ...]:
        """Return all requirements."""
        found: list[Requirement] = []
        while self._next:
            if self._next in _SYMBOLS - {"!"}:
                raise ValueError(
                    f"found '{self._next}', expected: !, identifier, or 'end of string'"
                )
            try:
                found.append(self._requirement())
            except ValueError as error:
                raise ValueError(f"unable to parse requirement: {error}") from None
            end = self._take()
            if not end:
                break
            if end != ",":
                raise ValueError(f"found '{end}', expected: ',' or 'end of string'")
            if self._next in _SYMBOLS - {"!"}:
                raise ValueError(f"found '{self._next}', expected: identifier after ','")
        return tuple(found)

    @property
    def _next(self) -> str:
        return self._tokens[self._at]

    def _take(self) -> str:
        token = self._next
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _word(self) -> str:
        token = self._take()
        if token in _SYMBOLS:
            raise ValueError(f"found '{token}', expected: identifier")
        return token

    def _requirement(self) -> Requirement:
        if self._next == "!":
            self._take()
            return _checked(self._word(), "DoesNotExist", ())
        key = self._word()
        if self._next in ("", ",") or key_faults(key):
            return _checked(key, "Exists", ())
        sign = self._take()
        if sign not in _OPERATORS:
            raise ValueError(f"found '{sign}', expected: in, notin, =, ==, !=, gt, lt")
        values = self._values() if sign in ("in", "notin") else [self._value()]
        return _checked(key, _OPERATORS[sign], values)

    def _value(self) -> str:
        return "" if self._next in ("", ",") else self._word()

    def _values(self) -> list[str]:
        """Return the values of ``(a, b)``; nothing between commas counts as the empty value."""
        opening = self._take()
        if opening != "(":
            raise ValueError(f"found '{opening}' expected: '('")
        if self._next in _SYMBOLS - {",", ")"}:
            raise ValueError(f"found '{self._next}', expected: ',', ')' or identifier")
        values = [self._value_in_list()]
        while self._next == ",":
            self._take()
            values.append(self._value_in_list())
        closing = self._take()
        if closing != ")":
            raise ValueError(f"found '{closing}', expected: ',' or ')'")
        return values

    def _value_in_list(self) -> str:
        if self._next in (",", ")"):
            return ""
        token = self._take()
        if token in _SYMBOLS:
            raise ValueError(f"found '{token}', expected: ',', or identifier")
        return token
