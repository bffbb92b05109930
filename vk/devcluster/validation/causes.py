"""One reason why an object is refused, as a 422's ``details.causes`` and message name it. Pure.

The functions make a `Cause` of each sort, with the texts of the real server.
Called by every check.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import attrs

__all__ = [
    "Cause",
    "duplicate",
    "forbidden",
    "invalid",
    "invalid_each",
    "not_found",
    "required",
    "too_long",
    "unsupported",
]


@attrs.frozen
class Cause:
    """One entry of ``details.causes``; the Status message is ``field: message`` for each."""

    reason: str
    """``FieldValueRequired``, ``FieldValueInvalid``, ``FieldValueNotSupported``, ..."""
    message: str
    """``Required value``, ``Invalid value: "x": must be ...``."""
    field: str
    """``spec.containers[0].name``."""


def required(field: str, detail: str = "") -> Cause:
    """Return the cause for a value that is missing."""
    return Cause("FieldValueRequired", "Required value" + (detail and f": {detail}"), field)


def invalid(field: str, value: object, detail: str) -> Cause:
    """Return the cause for a value of the right type that is not good."""
    return Cause("FieldValueInvalid", f"Invalid value: {_quoted(value)}: {detail}", field)


def invalid_each(field: str, value: object, faults: Iterable[str]) -> list[Cause]:
    """Return one cause for each fault of one value."""
    return [invalid(field, value, fault) for fault in faults]


def unsupported(field: str, value: object, supported: Iterable[str]) -> Cause:
    """Return the cause for a value that is none of a list."""
    known = ", ".join(_quoted(one) for one in supported)
    message = f"Unsupported value: {_quoted(value)}: supported values: {known}"
    return Cause("FieldValueNotSupported", message, field)


def duplicate(field: str, value: object, detail: str = "") -> Cause:
    """Return the cause for a value that must be there once only."""
    message = f"Duplicate value: {_quoted(value)}" + (detail and f": {detail}")
    return Cause("FieldValueDuplicate", message, field)


def forbidden(field: str, detail: str) -> Cause:
    """Return the cause for a field that may not be set or changed here."""
    return Cause("FieldValueForbidden", f"Forbidden: {detail}", field)


def not_found(field: str, value: object) -> Cause:
    """Return the cause for a name that nothing has."""
    return Cause("FieldValueNotFound", f"Not found: {_quoted(value)}", field)


def too_long(field: str, limit: int) -> Cause:
    """Return the cause for a value of more than ``limit`` bytes, which is not repeated."""
    message = f"Too long: may not be more than {limit} bytes"
    return Cause("FieldValueTooLong", message, field)


def _quoted(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
