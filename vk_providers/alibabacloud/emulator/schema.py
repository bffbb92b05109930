"""Parses parameters such as ``Container.1.EnvironmentVar.2.Key`` into a validated tree.

An `ObjectSchema` defines the parameters of a call. Validation is strict, as a check of clients: an
unknown name, a repeated or missing index, or an invalid value is rejected with the name, never with
the value. Lists start at 1. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs
import orjson

from vk_providers.alibabacloud.emulator.errors import invalid, missing

__all__ = [
    "AnyMembers",
    "Leaf",
    "ListSchema",
    "ObjectSchema",
    "ParameterSchema",
    "choice",
    "flag",
    "integer",
    "matching",
    "number",
    "parse",
    "text",
    "words",
]

Leaf = Callable[[str], Any]
"""A parser of a value; raises ValueError with what was expected."""


@attrs.frozen
class ObjectSchema:
    """An object with named members."""

    members: Mapping[str, ParameterSchema]
    required: Collection[str] = ()


@attrs.frozen
class ListSchema:
    """A list with a maximum number of items."""

    item: ParameterSchema
    most: int


@attrs.frozen
class AnyMembers:
    """An object whose members the description does not name."""


ParameterSchema = ObjectSchema | ListSchema | AnyMembers | Leaf


class _TooLongError(ValueError):
    """The value is too long."""


class _TooManyError(ValueError):
    """The value has too many items."""


def text(longest: int, shortest: int = 0) -> Leaf:
    """Return a parser of strings of a length."""

    def read(value: str) -> str:
        if len(value) > longest:
            raise _TooLongError(f"expected at most {longest} characters")
        if len(value) < shortest:
            raise ValueError(f"expected at least {shortest} characters")
        return value

    return read


def matching(pattern: str, expected: str) -> Leaf:
    """Return a parser of strings that match ``pattern``."""
    compiled = re.compile(pattern, re.ASCII)

    def read(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"expected {expected}")
        return value

    return read


def choice(*values: str) -> Leaf:
    """Return a parser of one of these values."""

    def read(value: str) -> str:
        if value not in values:
            raise ValueError("expected one of " + ", ".join(values))
        return value

    return read


def flag(value: str) -> bool:
    """Parse ``true`` or ``false`` in any letter case: the vendor's Python client sends ``True``."""
    if value.lower() not in ("true", "false"):
        raise ValueError("expected true or false")
    return value.lower() == "true"


def integer(low: int, high: int) -> Leaf:
    """Return a parser of integers in this range."""

    def read(value: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", value) or not low <= int(value) <= high:
            raise ValueError(f"expected an integer from {low} to {high}")
        return int(value)

    return read


def number(low: float, high: float) -> Leaf:
    """Return a parser of decimal numbers in this range."""

    def read(value: str) -> float:
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", value) or not low <= float(value) <= high:
            raise ValueError(f"expected a number from {low:g} to {high:g}")
        return float(value)

    return read


def words(what: str, most: int) -> Leaf:
    """Return a parser of a JSON list of at most ``most`` strings."""

    def read(value: str) -> list[str]:
        try:
            found = orjson.loads(value)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise ValueError(f"expected a JSON list of {what}")
        if not 1 <= len(found) <= most:
            raise _TooManyError(f"expected 1 to {most} {what}")
        return found

    return read


_ANY = text(4096)
_GO_LIST = "<[]string Value>"
"""What the vendor's Go client sends for the command of every probe; the service ignores it."""


def parse(shape: ObjectSchema, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return the tree of these parameters. Raises `Refusal` for the first invalid one."""
    tree: dict[Any, Any] = {}
    for name, value in parameters.items():
        _place(shape, tree, name, value)
    found: dict[str, Any] = _finished(shape, tree, "")
    return found


def _place(shape: ObjectSchema, tree: dict[Any, Any], name: str, value: str) -> None:
    node: ParameterSchema = shape
    steps = list[str | int]()
    for segment in name.split("."):
        node, step = _below(node, segment, name)
        steps.append(step)
    if isinstance(node, ListSchema) and value == _GO_LIST:
        return
    if isinstance(node, ObjectSchema | ListSchema | AnyMembers):
        raise invalid(name, "a value was given where members belong")
    branch = tree
    for step in steps[:-1]:
        branch = branch.setdefault(step, {})
    try:
        branch[steps[-1]] = node(value)
    except _TooLongError as error:
        raise invalid(name, str(error), "LengthExceeded") from None
    except _TooManyError as error:
        raise invalid(name, str(error), "ValueExceeded") from None
    except ValueError as error:
        raise invalid(name, str(error)) from None


def _below(node: ParameterSchema, segment: str, name: str) -> tuple[ParameterSchema, str | int]:
    """Return the node below ``node`` and the key that leads to it."""
    if isinstance(node, ObjectSchema) and segment in node.members:
        return node.members[segment], segment
    if isinstance(node, AnyMembers):
        return _ANY, segment
    if isinstance(node, ListSchema):
        if not re.fullmatch(r"[1-9][0-9]{0,5}", segment):
            raise invalid(name, "expected an index of at least 1")
        if int(segment) > node.most:
            raise invalid(name, f"expected at most {node.most} items", "ValueExceeded")
        return node.item, int(segment)
    raise invalid(name, "not a parameter of this action")


def _finished(node: ParameterSchema, branch: Any, name: str) -> Any:
    """Return ``branch`` with lists as lists; checks that it is complete."""
    if isinstance(node, ObjectSchema):
        for member in node.required:
            if member not in branch:
                raise missing(f"{name}{member}")
        return {
            key: _finished(node.members[key], value, f"{name}{key}.")
            for key, value in branch.items()
        }
    if isinstance(node, ListSchema):
        for index in range(1, len(branch) + 1):
            if index not in branch:
                raise missing(f"{name}{index}")
        return [
            _finished(node.item, branch[index], f"{name}{index}.")
            for index in range(1, len(branch) + 1)
        ]
    return branch
