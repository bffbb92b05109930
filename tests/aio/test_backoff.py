"""Backoff: the bounds of each wait."""

import pytest

from vk.aio.backoff import Backoff


def test_waits_double_up_to_the_cap_within_their_jitter() -> None:
    backoff = Backoff(first=1.0, factor=2.0, cap=5.0)
    for ceiling in (1.0, 2.0, 4.0, 5.0, 5.0):
        assert ceiling / 2 <= backoff.next() <= ceiling


def test_reset_starts_over_from_the_first_wait() -> None:
    backoff = Backoff(first=1.0, cap=30.0)
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 1.0


@pytest.mark.parametrize("first", [0.1, 7.0])
def test_no_wait_is_longer_than_the_cap(first: float) -> None:
    backoff = Backoff(first=first, cap=2.0)
    assert max(backoff.next() for _ in range(20)) <= 2.0
