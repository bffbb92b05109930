"""From any JSON to an object of its kind, as the API server decodes and writes it again.

In: a parsed object of a client. Out: `decode`, a fresh copy with the types of the kind: unknown
fields and empty optional values are gone, required empty ones are there, quantities and times are
canonical; and `unknown_fields`, the texts for a strict client. Called by the rules for create and
update; whatever they look at after it has the right type.

Note: errors have the words of Go's decoder, where the path has no indices and starts
after the name of the innermost struct.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any

from vk.devcluster.kinds import Kind
from vk.devcluster.validation.literals import LiteralError, micro_time, quantity, time
from vk.devcluster.validation.types import Field, Shape, Struct, struct_of

__all__ = ["WrongTypeError", "decode", "decode_struct", "unknown_fields"]


class WrongTypeError(ValueError):
    """A field has the wrong JSON type or cannot be read; the text is that of Go's decoder.

    ``json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type
    string``. The server answers a POST or PUT with 400 BadRequest, ``Pod in version "v1" cannot be
    handled as a Pod: <text>``.
    """


class _MismatchError(Exception):
    """A value is not of its type; collects the way to it while it passes the structs."""

    def __init__(self, value: object, go: str) -> None:
        super().__init__()
        self.value, self.go = value, go
        self.struct, self.path = "", [""]

    def pass_field(self, struct: str, field: Field) -> None:
        """Add one step of the way, the innermost first."""
        self.struct = self.struct or struct
        self.path.append(field.path)

    def __str__(self) -> str:
        path = ".".join([self.struct, *reversed(self.path[1:])])
        found = _json_name(self.value, self.go)
        if not self.struct:
            return f"json: cannot unmarshal {found} into Go value of type {self.go}"
        return f"json: cannot unmarshal {found} into Go struct field {path} of type {self.go}"


def decode(kind: Kind, obj: dict[str, Any]) -> dict[str, Any]:
    """Return ``obj`` as an object of ``kind``; raises WrongTypeError."""
    result = decode_struct(struct_of(kind.name, kind.group), obj)
    return {"kind": kind.name, "apiVersion": kind.api_version} | {
        name: value for name, value in result.items() if name not in ("kind", "apiVersion")
    }


def decode_struct(struct: Struct, obj: object) -> dict[str, Any]:
    """Return ``obj`` with the fields and types of ``struct``; raises WrongTypeError."""
    try:
        return _struct(struct, obj)
    except (_MismatchError, LiteralError) as error:
        raise WrongTypeError(str(error)) from None


def unknown_fields(kind: Kind, obj: dict[str, Any]) -> list[str]:
    """Return one text for each field that the kind does not have, ``unknown field "spec.foo"``.

    In document order. ``obj`` may be part of an object (a patch), and of any types.
    """
    found = _unknown(struct_of(kind.name, kind.group), obj, "")
    return [f'unknown field "{path}"' for path in found]


def _struct(struct: Struct, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _MismatchError(value, "v1." + struct.name)
    result: dict[str, Any] = {}
    for name, raw in value.items():
        field = struct.fields.get(name)
        if field is None or raw is None:
            continue
        try:
            decoded = _DECODERS[field.shape.form](field.shape, raw)
        except _MismatchError as error:
            error.pass_field(struct.name, field)
            raise
        if decoded or field.keeps_empty:
            result[name] = None if decoded == [] else decoded
    for field in struct.always:
        if field.name not in result:
            result[field.name] = _zero(field.shape)
    return result


def _zero(shape: Shape) -> Any:
    if shape.form == "struct" and not shape.pointer:
        return _struct(struct_of(shape.struct), {})
    return None if shape.pointer else _ZEROS.get(shape.form)


def _nested(shape: Shape, value: object) -> Any:
    return _struct(struct_of(shape.struct), value)


def _list(shape: Shape, value: object) -> list[Any]:
    element = shape.element
    if not isinstance(value, list) or element is None:
        raise _MismatchError(value, shape.go)
    decoder = _DECODERS[element.form]
    return [_zero(element) if item is None else decoder(element, item) for item in value]


def _map(shape: Shape, value: object) -> dict[str, Any]:
    element = shape.element
    if not isinstance(value, dict) or element is None:
        raise _MismatchError(value, shape.go)
    decoder = _DECODERS[element.form]
    return {
        name: _zero(element) if item is None else decoder(element, item)
        for name, item in value.items()
    }


def _string(shape: Shape, value: object) -> str:
    if not isinstance(value, str):
        raise _MismatchError(value, shape.go)
    return value


def _bool(shape: Shape, value: object) -> bool:
    if not isinstance(value, bool):
        raise _MismatchError(value, shape.go)
    return value


def _integer(shape: Shape, value: object) -> int:
    limit = 2**31 if shape.form == "int32" else 2**63
    if not isinstance(value, int) or isinstance(value, bool) or not -limit <= value < limit:
        raise _MismatchError(value, shape.go)
    return value


def _int_or_string(shape: Shape, value: object) -> int | str:
    return value if isinstance(value, str) else _integer(_INT32, value)


def _bytes(shape: Shape, value: object) -> str:
    text = _string(shape, value)
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode()
    except (binascii.Error, ValueError):
        raise LiteralError(f"illegal base64 data at input byte {_first_bad(text)}") from None


def _first_bad(text: str) -> int:
    good = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return next((at for at, char in enumerate(text) if char not in good), len(text))


def _unchanged(shape: Shape, value: object) -> object:
    return value


def _time(shape: Shape, value: object) -> str:
    return time(_string(shape, value))


def _micro_time(shape: Shape, value: object) -> str:
    return micro_time(_string(shape, value))


def _quantity(shape: Shape, value: object) -> str:
    return quantity(value)


_INT32 = Shape("int32", "int32")
_ZEROS = {"string": "", "bool": False, "int32": 0, "int64": 0, "Quantity": "0", "IntOrString": 0}
_DECODERS: dict[str, Callable[[Shape, Any], Any]] = {
    "struct": _nested,
    "list": _list,
    "map": _map,
    "string": _string,
    "bool": _bool,
    "int32": _integer,
    "int64": _integer,
    "bytes": _bytes,
    "any": _unchanged,
    "Time": _time,
    "MicroTime": _micro_time,
    "Quantity": _quantity,
    "IntOrString": _int_or_string,
}


def _json_name(value: object, go: str) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return f"number {value}" if go in ("int32", "int64") else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _unknown(struct: Struct, value: object, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    for name, item in value.items():
        inner = f"{path}.{name}" if path else str(name)
        field = struct.fields.get(name)
        if field is None:
            yield inner
        elif field.shape.form in ("struct", "list"):
            yield from _unknown_inside(field.shape, item, inner)


def _unknown_inside(shape: Shape, value: object, path: str) -> Iterator[str]:
    if shape.form == "struct":
        yield from _unknown(struct_of(shape.struct), value, path)
    elif shape.form == "list" and shape.element is not None and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown_inside(shape.element, item, f"{path}[{index}]")
