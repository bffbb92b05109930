"""Kubernetes quantities: ``500m``, ``1.5Gi``, ``2e3``.

In: the text of a quantity. Out: an exact Decimal, or integers in the unit a caller counts in.
Used by admission, the downward API and providers. As in Kubernetes, what is finer than a
billionth is rounded away from zero and what is beyond 2**63 - 1 counts as that.
"""

from __future__ import annotations

import re
from decimal import MAX_EMAX, MIN_EMIN, ROUND_CEILING, ROUND_UP, Context, Decimal
from functools import lru_cache

__all__ = ["ceil_divide", "format_quantity", "parse_quantity", "to_integer", "to_milli"]

_BINARY = {
    suffix: Decimal(1024) ** n for n, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)
}
_DECIMAL = {
    suffix: Decimal(10) ** (3 * n)
    for n, suffix in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), -3)
}
_FACTORS = _BINARY | _DECIMAL
_PATTERN = re.compile(
    r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:([KMGTPE]i|[numkMGTPE])|([eE][+-]?[0-9]{1,9}))?"
)
_NANO = Decimal("1e-9")
_LARGEST = Decimal(2**63 - 1)
# Wide enough that no product or quotient of two capped quantities loses a digit that counts; no
# traps: an exponent out of range becomes infinity or zero and is capped.
_CONTEXT = Context(prec=80, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])


@lru_cache(maxsize=4096)
def parse_quantity(text: str) -> Decimal:
    """Return the exact value of a Kubernetes quantity.

    As in Kubernetes, a value finer than a billionth is rounded away from zero, and one beyond
    2**63 - 1 is cut to that. Results are cached; calls are cheap and may come from any thread.

    Args:
        text: Such as ``500m``, ``1.5Gi`` or ``2e3``.

    Raises:
        ValueError: The text is not a quantity.
    """
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"not a quantity: {text!r}, expected a number such as 500m or 1.5Gi")
    number, suffix, exponent = match.groups()
    value = _CONTEXT.create_decimal(number + (exponent or ""))
    value = _CONTEXT.multiply(value, _FACTORS[suffix or ""])
    if value.copy_abs() > _LARGEST:
        return _LARGEST.copy_sign(value)
    return value.quantize(_NANO, rounding=ROUND_UP, context=_CONTEXT)


def ceil_divide(value: Decimal, divisor: Decimal) -> int:
    """Return how many times ``divisor`` (not 0) is needed to hold ``value``."""
    quotient = _CONTEXT.divide(value, divisor)
    return int(quotient.to_integral_value(rounding=ROUND_CEILING, context=_CONTEXT))


@lru_cache(maxsize=4096)
def to_integer(text: str) -> int:
    """Return the quantity as an integer, rounded up: bytes, pods, devices."""
    return ceil_divide(parse_quantity(text), Decimal(1))


@lru_cache(maxsize=4096)
def to_milli(text: str) -> int:
    """Return the quantity in thousandths, rounded up: the unit of CPU."""
    return ceil_divide(parse_quantity(text), _DECIMAL["m"])


def format_quantity(value: Decimal | int, *, binary: bool = False) -> str:
    """Return ``value`` with the largest suffix that leaves an integer.

    ``binary`` takes Ki, Mi, ...; a value that is not whole is written with a decimal suffix all the
    same, as Kubernetes does. Reading the text gives ``value`` back, rounded up to a billionth.
    """
    exact = Decimal(value).quantize(_NANO, rounding=ROUND_UP, context=_CONTEXT)
    if not exact.is_finite():
        raise ValueError(f"cannot be written as a quantity: {value!r}")
    if not exact:
        return "0"
    whole = exact == exact.to_integral_value(context=_CONTEXT)
    factors = {"": Decimal(1), **_BINARY} if binary and whole else _DECIMAL
    for suffix, factor in reversed(factors.items()):
        quotient = _CONTEXT.divide(exact, factor)
        if quotient == quotient.to_integral_value(context=_CONTEXT):
            return f"{int(quotient)}{suffix}"
    raise AssertionError("every value in billionths fits the smallest suffix")
