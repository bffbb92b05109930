"""When so many pods are missing that the provider is suspect, as a table."""

from __future__ import annotations

import pytest

from vk.pods.sync.feed import is_suspect


@pytest.mark.parametrize(
    ("expected", "missing", "suspect"),
    [
        (0, 0, False),
        (1, 0, False),
        (1, 1, False),
        (3, 3, False),
        (4, 3, False),
        (4, 4, True),
        (10, 3, False),
        (10, 4, True),
        (100, 10, False),
        (100, 11, True),
        (1000, 100, False),
        (1000, 1000, True),
    ],
)
def test_more_than_three_and_a_tenth_or_all_of_four(
    expected: int, missing: int, suspect: bool
) -> None:
    assert is_suspect(expected=expected, missing=missing) is suspect
