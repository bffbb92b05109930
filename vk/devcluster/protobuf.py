"""Protobuf as typed Go clients send it: the bytes of one object in, its JSON out.

`vk.devcluster.bodies` calls `decode_message`. kubectl sends protobuf from ``create configmap``,
``drain``, ``auth can-i`` and others, whatever the server announces; answers may be JSON all the
same. Numbers and types of the fields come from `vk.devcluster.validation.types`.

Note: Go writes every field that is no pointer, also when it is empty; the rules drop that
again, as they do for JSON.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from vk.devcluster.validation.types import Shape, Struct, struct_of

__all__ = ["PREFIX", "decode_message"]

PREFIX = b"k8s\x00"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def decode_message(body: bytes) -> dict[str, Any]:
    """Return the object in ``body``, with its kind and apiVersion. Raises ValueError."""
    if not body.startswith(PREFIX):
        raise ValueError("provided data does not appear to be a protobuf message")
    envelope = dict(_fields(body[len(PREFIX) :]))
    meta = dict(_fields(_bytes(envelope.get(1, b""))))
    version, kind = _text(meta.get(1, b"")), _text(meta.get(2, b""))
    try:
        struct = struct_of(kind, version.rpartition("/")[0])
    except KeyError:
        raise ValueError(f'no kind "{kind}" is registered for version "{version}"') from None
    content = _decode(struct, _bytes(envelope.get(2, b"")))
    return {**content, "kind": kind, "apiVersion": version}


def _decode(struct: Struct, data: bytes, embedded_in: tuple[int, ...] = ()) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for number, value in _fields(data):
        numbers = (*embedded_in, number)
        if numbers not in struct.by_numbers:
            continue
        field = struct.by_numbers[numbers]
        if field is None:
            result |= _decode(struct, _bytes(value), numbers)
        elif field.shape.form == "list":
            result.setdefault(field.name, []).extend(_items(field.shape, value))
        elif field.shape.form == "map":
            key, item = _map_entry(field.shape, _bytes(value))
            result.setdefault(field.name, {})[key] = item
        else:
            result[field.name] = _value(field.shape, value)
    return {key: value for key, value in result.items() if value is not None}


def _items(shape: Shape, value: int | bytes) -> list[Any]:
    element = _element(shape)
    if element.form in ("int32", "int64", "bool") and isinstance(value, bytes):
        return [_value(element, number) for number in _packed(value)]
    return [_value(element, value)]


def _map_entry(shape: Shape, data: bytes) -> tuple[str, Any]:
    entry, element = dict(_fields(data)), _element(shape)
    value = entry.get(2, b"")
    if element.form == "list":  # protobuf has no map of lists: a message with one repeated field
        inner = _element(element)
        return _text(entry.get(1, b"")), [_value(inner, item) for _, item in _fields(_bytes(value))]
    return _text(entry.get(1, b"")), _value(element, value)


def _value(shape: Shape, value: int | bytes) -> Any:
    if shape.form == "struct":
        return _decode(struct_of(shape.struct), _bytes(value))
    return _READERS[shape.form](value)


def _integer(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("a number was expected")
    return value - (1 << 64) if value >= 1 << 63 else value


def _time(value: int | bytes) -> str | None:
    parts = dict(_fields(_bytes(value)))
    if not parts:
        return None
    seconds, nanos = _integer(parts.get(1, 0)), _integer(parts.get(2, 0))
    moment = _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _whole_seconds(value: int | bytes) -> str | None:
    text = _time(value)
    return text and f"{text.partition('.')[0]}Z"


def _quantity(value: int | bytes) -> str:
    return _text(dict(_fields(_bytes(value))).get(1, b"0")) or "0"


def _int_or_string(value: int | bytes) -> int | str:
    parts = dict(_fields(_bytes(value)))
    return _text(parts.get(3, b"")) if parts.get(1) else _integer(parts.get(2, 0))


def _raw_json(value: int | bytes) -> Any:
    raw = _bytes(dict(_fields(_bytes(value))).get(1, b""))
    return orjson.loads(raw) if raw else None


def _text(value: int | bytes) -> str:
    return _bytes(value).decode()


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("bytes were expected")
    return value


_READERS: dict[str, Callable[[int | bytes], Any]] = {
    "string": _text,
    "bool": lambda value: bool(_integer(value)),
    "int32": _integer,
    "int64": _integer,
    "bytes": lambda value: base64.b64encode(_bytes(value)).decode(),
    "Time": _whole_seconds,
    "MicroTime": _time,
    "Quantity": _quantity,
    "IntOrString": _int_or_string,
    "any": _raw_json,
}


def _element(shape: Shape) -> Shape:
    assert shape.element is not None  # lists and maps have one
    return shape.element


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and the raw value of each field, in order. Raises ValueError."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == _BYTES:
            length, position = _varint(data, position)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"proto: illegal wireType {wire}")
        if position + length > len(data):
            raise ValueError("unexpected EOF")
        yield number, data[position : position + length]
        position += length


def _packed(data: bytes) -> Iterator[int]:
    position = 0
    while position < len(data):
        value, position = _varint(data, position)
        yield value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError("unexpected EOF")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
