"""The shape of every object: which fields a struct has, of which types, and with which numbers.

``types.txt`` beside this file is generated from the Go types of the API by ``tools/types``; it is
read once, at the first use. `vk.devcluster.validation.decoding` drops unknown fields by it and
refuses wrong types; `vk.devcluster.protobuf` finds fields by their numbers.

Note: two packages have an ``Event`` each, and two an ``EndpointPort``; the one that is not of the
core group carries its group's name, ``events.Event``. Go writes an empty struct even where the
field may be left out, so ``resources: {}`` and ``status: {}`` are in every answer.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

import attrs

__all__ = ["Field", "Shape", "Struct", "struct_of"]

_PLAIN = frozenset(
    {"string", "bool", "int32", "int64", "bytes", "any", "Time", "MicroTime", "Quantity"}
    | {"IntOrString"}
)
_TWICE = ("discovery.", "events.")
"""Groups whose structs have the name of a core one, so they carry it in front."""
_GROUPED = {("events.k8s.io", "Event"): "events.Event"}
_COLLECTION = re.compile(r"([\[{])([^\]}]*)[\]}](.*)")


@attrs.frozen
class Shape:
    """The type of a value."""

    form: str
    """``list``, ``map``, ``struct``, or one of the plain types: ``string``, ``int32``, ``Time``."""
    go: str
    """Its name in Go's messages: ``v1.PullPolicy``, ``[]v1.Container``."""
    pointer: bool = False
    """An empty value differs from none, so it is kept."""
    element: Shape | None = None
    struct: str = ""

    @property
    def always_written(self) -> bool:
        """Go's omitempty does not touch structs, and these are structs."""
        return not self.pointer and self.form in _WRITTEN


_WRITTEN = frozenset({"struct", "Time", "MicroTime", "Quantity", "IntOrString"})


@attrs.frozen
class Field:
    """One field of a struct."""

    name: str
    path: str
    """The name as Go's messages have it: after the struct that it is embedded from, if any."""
    shape: Shape
    always: bool
    """Written even when it was not given."""
    numbers: tuple[int, ...]
    """Its number in protobuf, after that of the struct that it is embedded from; empty if none."""

    keeps_empty: bool = attrs.field(init=False)
    """A given value that is empty is kept."""

    @keeps_empty.default
    def _keeps_empty(self) -> bool:
        return self.always or self.shape.pointer or self.shape.always_written


@attrs.frozen
class Struct:
    """One struct: its Go name and its fields by their JSON names."""

    name: str
    fields: dict[str, Field]
    always: tuple[Field, ...]
    by_numbers: dict[tuple[int, ...], Field | None]
    """Fields by their numbers; None stands for an embedded struct."""


@cache
def struct_of(name: str, group: str = "") -> Struct:
    """Return the struct of that name; ``group`` decides between the two Events."""
    return _structs()[_GROUPED.get((group, name), name)]


@cache
def _structs() -> dict[str, Struct]:
    text = resources.files(__package__).joinpath("types.txt").read_text(encoding="utf-8")
    lines = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {name: _struct(name, fields) for name, *fields in lines}


def _struct(name: str, texts: list[str]) -> Struct:
    fields = [_field(text) for text in texts]
    always = tuple(field for field in fields if field.always)
    embedded = {field.numbers[:1]: None for field in fields if len(field.numbers) > 1}
    by_numbers = embedded | {field.numbers: field for field in fields if field.numbers}
    by_name = {field.name: field for field in fields}
    return Struct(name.rpartition(".")[2], by_name, always, by_numbers)


def _field(text: str) -> Field:
    mark = text[-1] if text[-1] in "!?" else ""
    path, _, expression = text.rstrip("!?").partition(":")
    steps = [step.partition("=") for step in path.split(".")]
    names, numbers = [name for name, _, _ in steps], [int(number) for *_, number in steps if number]
    shape = _shape(expression or "string")
    always = mark == "!" or (shape.always_written and mark != "?")
    return Field(names[-1], ".".join(names), shape, always, tuple(numbers))


@cache
def _shape(expression: str) -> Shape:
    if expression.startswith("*"):
        return attrs.evolve(_shape(expression[1:]), pointer=True)
    collection = _COLLECTION.fullmatch(expression)
    if collection:
        bracket, name, rest = collection.groups()
        element = _shape(rest)
        prefix = "[]" if bracket == "[" else "map[string]"
        return Shape(
            "list" if bracket == "[" else "map", name or prefix + element.go, False, element
        )
    if expression in _PLAIN:
        return Shape(expression, _GO_NAMES.get(expression, expression))
    if "." in expression and not expression.startswith(_TWICE):
        return Shape("string", expression)
    return Shape("struct", "v1." + expression.rpartition(".")[2], struct=expression)


_GO_NAMES = {
    "bytes": "[]uint8",
    "Time": "string",
    "MicroTime": "string",
    "Quantity": "resource.Quantity",
    "IntOrString": "int32",
}
