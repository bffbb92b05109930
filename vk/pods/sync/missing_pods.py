"""What a complete list proves about pods that are missing in it. Pure (design 5.4)."""

from __future__ import annotations

__all__ = ["APART", "LISTS", "is_suspect"]

LISTS = 3
"""Complete lists in which a pod must be missing before it counts as gone."""
APART = 30.0
"""Seconds between two lists that count."""


def is_suspect(*, expected: int, missing: int) -> bool:
    """Say whether so many vanished at once that the provider is to be doubted, not the pods."""
    if missing == expected and expected >= 4:
        return True
    return missing > max(3, expected / 10)
