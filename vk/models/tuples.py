"""The converter of sequence fields: any iterable comes in, a tuple stays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["as_tuple"]


def as_tuple(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return ``values`` as a tuple. Typed, which ``tuple`` itself is not as an attrs converter."""
    return tuple(values)
