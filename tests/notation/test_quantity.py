"""Quantities mean what Kubernetes says they mean."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.notation.quantity import (
    ceil_divide,
    format_quantity,
    parse_quantity,
    to_integer,
    to_milli,
)

LARGEST = 2**63 - 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", "0"),
        ("1", "1"),
        ("+1", "1"),
        ("-1.5", "-1.5"),
        (".5", "0.5"),
        ("1.", "1"),
        ("500m", "0.5"),
        ("1n", "1e-9"),
        ("7u", "7e-6"),
        ("1k", "1000"),
        ("2M", "2000000"),
        ("1.5Gi", "1610612736"),
        ("1Ki", "1024"),
        ("1E", "1e18"),
        ("1E3", "1000"),
        ("1e3", "1000"),
        ("1e-3", "0.001"),
        ("0.1n", "1e-9"),
        ("100E", str(LARGEST)),
        ("1e999999999", str(LARGEST)),
        ("-8Ei", str(-LARGEST)),
        ("1e-999999999", "1e-9"),
    ],
)
def test_a_quantity_has_its_value(text: str, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", " 1", "1 ", "1K", "1ki", "m", ".", "1.5.5", "1e", "NaN", "١"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)


def test_integers_are_rounded_up() -> None:
    assert to_milli("0.1m") == 1
    assert to_milli("1.5") == 1500
    assert to_integer("1500m") == 2
    assert to_integer("-1500m") == -1
    assert ceil_divide(Decimal(1025), Decimal(1024)) == 2


@pytest.mark.parametrize(
    ("value", "binary", "text"),
    [
        (0, False, "0"),
        (1500, False, "1500"),
        (2000, False, "2k"),
        (Decimal("0.5"), False, "500m"),
        (1024, True, "1Ki"),
        (1536 * 1024, True, "1536Ki"),
        (1000, True, "1000"),
        (Decimal("0.5"), True, "500m"),
        (-(2**30), True, "-1Gi"),
    ],
)
def test_a_value_is_written_with_the_largest_suffix(
    value: Decimal | int, binary: bool, text: str
) -> None:
    assert format_quantity(value, binary=binary) == text


@given(st.integers(-LARGEST, LARGEST), st.booleans())
def test_what_is_written_reads_back(value: int, binary: bool) -> None:
    assert to_integer(format_quantity(value, binary=binary)) == value


@given(st.text(alphabet="0123456789.eE+-KMGinum", max_size=20))
def test_any_text_is_a_bounded_value_or_refused(text: str) -> None:
    try:
        value = parse_quantity(text)
    except ValueError:
        return
    assert abs(value) <= LARGEST
