"""Quantities and times, read and written as the API server does. Pure.

In: the text of a client. Out: the canonical text: ``1000m`` becomes ``1``, a time becomes UTC.
Raises LiteralError with the text of Go's parser. Called by decoding.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from vk.notation.quantity import format_quantity, parse_quantity, to_milli

__all__ = ["LiteralError", "micro_time", "quantity", "round_up_to_milli", "time"]

_SECONDS = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}"
_ZONE = r"(?:Z|[+-]\d{2}:\d{2})"
_TIME = re.compile(rf"{_SECONDS}(?:[.,]\d+)?{_ZONE}")
_MICRO_TIME = re.compile(rf"{_SECONDS}\.\d{{6}}{_ZONE}")
_EXPONENT = re.compile(r".*[eE][+-]?\d+")
_BINARY = re.compile(r".*[KMGTPE]i")
_QUANTITY_HELP = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)
_LARGEST = 2**63 - 1
_LAYOUT = "2006-01-02T15:04:05Z07:00"
_MICRO_LAYOUT = "2006-01-02T15:04:05.000000Z07:00"


class LiteralError(ValueError):
    """A text is no quantity, time or base64."""


def quantity(value: object) -> str:
    """Return the canonical text of a quantity; whole and broken JSON numbers are quantities too."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise LiteralError(_QUANTITY_HELP)
    return _canonical(str(value).strip())


@lru_cache(maxsize=4096)
def _canonical(text: str) -> str:
    try:
        number = parse_quantity(text)
    except ValueError:
        raise LiteralError(_QUANTITY_HELP) from None
    if _EXPONENT.fullmatch(text) or abs(number) >= _LARGEST:  # kept as it was written
        return text
    if _BINARY.fullmatch(text):
        return format_quantity(number, binary=abs(number) >= 1024)
    return format_quantity(number)


@lru_cache(maxsize=4096)
def round_up_to_milli(text: str) -> str:
    """Return a canonical quantity of which nothing is finer than a thousandth, rounded up."""
    thousandths = to_milli(text)
    exact = parse_quantity(text) * 1000 == thousandths
    return text if exact else format_quantity(Decimal(thousandths) / 1000)


def time(text: str) -> str:
    """Return a time in UTC, cut to whole seconds."""
    return _parse(text, _TIME, _LAYOUT).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_time(text: str) -> str:
    """Return a time in UTC with six digits after the point; it must be written with six."""
    return _parse(text, _MICRO_TIME, _MICRO_LAYOUT).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _parse(text: str, pattern: re.Pattern[str], layout: str) -> datetime:
    if pattern.fullmatch(text):
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            raise LiteralError(f'parsing time "{text}": day out of range') from None
    rest, expected = _mismatch(text, layout)
    raise LiteralError(
        f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as "{expected}"'
    )


def _mismatch(text: str, layout: str) -> tuple[str, str]:
    """Return where reading stopped and what the layout has there, for Go's error text."""
    seconds = re.match(_SECONDS, text)
    if seconds is None:
        return text, "2006"
    rest = text[seconds.end() :]
    fraction = re.match(r"\.\d{6}", rest)
    if layout == _MICRO_LAYOUT and fraction is None:
        return rest, ".000000"
    return rest[fraction.end() if fraction else 0 :], "Z07:00"
