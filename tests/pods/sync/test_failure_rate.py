"""The pace at which refused pods of one owner may fail."""

from __future__ import annotations

from typing import Any

from pod_world import raw

from vk.pods.sync.failure_rate import FIRST, LONGEST, FailureRateLimiter


def owned(owner: str = "rs", *, controller: bool = True) -> dict[str, Any]:
    pod = raw()
    pod["metadata"]["ownerReferences"] = [{"uid": owner, "controller": controller}]
    return pod


def test_the_first_of_an_owner_fails_at_once_and_the_next_waits() -> None:
    limiter = FailureRateLimiter()
    assert limiter.wait(owned(), "r", 0.0) == 0.0
    assert limiter.wait(owned(), "r", 0.0) == FIRST
    assert limiter.wait(owned(), "r", 4.0) == FIRST - 4.0
    assert limiter.wait(owned(), "r", FIRST) == 0.0
    assert limiter.wait(owned(), "r", FIRST) == 2 * FIRST


def test_the_waits_grow_to_five_minutes() -> None:
    limiter, now, waits = FailureRateLimiter(), 0.0, []
    limiter.wait(owned(), "r", now)
    for _ in range(8):
        waits.append(limiter.wait(owned(), "r", now))
        now += waits[-1]
        assert limiter.wait(owned(), "r", now) == 0.0
    assert waits == [10.0, 20.0, 40.0, 80.0, 160.0, LONGEST, LONGEST, LONGEST]


def test_owners_and_reasons_have_a_pace_of_their_own() -> None:
    limiter = FailureRateLimiter()
    for owner, reason in (("a", "r"), ("b", "r"), ("a", "s")):
        assert limiter.wait(owned(owner), reason, 0.0) == 0.0


def test_pods_without_a_controller_fail_at_once() -> None:
    limiter = FailureRateLimiter()
    for pod in (raw(), owned(controller=False)):
        assert [limiter.wait(pod, "r", 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_what_is_long_over_is_forgotten() -> None:
    limiter = FailureRateLimiter()
    for number in range(50):
        limiter.wait(owned(f"rs{number}"), "r", 0.0)
    later = 3 * LONGEST
    assert limiter.wait(owned("rs0"), "r", later) == 0.0
    assert limiter.wait(owned("rs0"), "r", later) == FIRST
    assert len(limiter._rates) == 1
