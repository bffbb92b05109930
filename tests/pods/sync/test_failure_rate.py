"""The pace at which refused pods of one owner may fail."""

from __future__ import annotations

from typing import Any

from pod_world import raw

from vk.pods.sync.failure_rate import FIRST, LONGEST, Refusals


def owned(owner: str = "rs", *, controller: bool = True) -> dict[str, Any]:
    pod = raw()
    pod["metadata"]["ownerReferences"] = [{"uid": owner, "controller": controller}]
    return pod


def test_the_first_of_an_owner_fails_at_once_and_the_next_waits() -> None:
    refusals = Refusals()
    assert refusals.wait(owned(), "r", 0.0) == 0.0
    assert refusals.wait(owned(), "r", 0.0) == FIRST
    assert refusals.wait(owned(), "r", 4.0) == FIRST - 4.0
    assert refusals.wait(owned(), "r", FIRST) == 0.0
    assert refusals.wait(owned(), "r", FIRST) == 2 * FIRST


def test_the_waits_grow_to_five_minutes() -> None:
    refusals, now, waits = Refusals(), 0.0, []
    refusals.wait(owned(), "r", now)
    for _ in range(8):
        waits.append(refusals.wait(owned(), "r", now))
        now += waits[-1]
        assert refusals.wait(owned(), "r", now) == 0.0
    assert waits == [10.0, 20.0, 40.0, 80.0, 160.0, LONGEST, LONGEST, LONGEST]


def test_owners_and_reasons_have_a_pace_of_their_own() -> None:
    refusals = Refusals()
    for owner, reason in (("a", "r"), ("b", "r"), ("a", "s")):
        assert refusals.wait(owned(owner), reason, 0.0) == 0.0


def test_pods_without_a_controller_fail_at_once() -> None:
    refusals = Refusals()
    for pod in (raw(), owned(controller=False)):
        assert [refusals.wait(pod, "r", 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_what_is_long_over_is_forgotten() -> None:
    refusals = Refusals()
    for number in range(50):
        refusals.wait(owned(f"rs{number}"), "r", 0.0)
    later = 3 * LONGEST
    assert refusals.wait(owned("rs0"), "r", later) == 0.0
    assert refusals.wait(owned("rs0"), "r", later) == FIRST
    assert len(refusals._paces) == 1
