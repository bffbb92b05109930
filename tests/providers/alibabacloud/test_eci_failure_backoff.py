"""The backoff for owners whose groups keep failing: each attempt is billed before it fails."""

from __future__ import annotations

from typing import Any

import pytest

import vk
from vk_providers.alibabacloud.failure_backoff import FailureBackoff


def owned(by: str) -> vk.Pod:
    owners = [{"uid": by, "controller": True}] if by else []
    metadata: dict[str, Any] = {
        "namespace": "d",
        "name": "p",
        "uid": "u",
        "ownerReferences": owners,
    }
    return vk.Pod({"metadata": metadata, "spec": {}})


def failed(count: int, *, by: str = "job", every: float = 10.0) -> FailureBackoff:
    breaker = FailureBackoff()
    for number in range(count):
        breaker.failed(owned(by), f"eci-{number}", number * every)
    return breaker


@pytest.mark.parametrize(
    ("failures", "wait"), [(0, 0), (4, 0), (5, 60), (6, 120), (8, 480), (9, 600), (20, 600)]
)
def test_the_wait_begins_at_the_fifth_failure_and_doubles_up_to_ten_minutes(
    failures: int, wait: float
) -> None:
    assert failed(failures).wait(owned("job"), max(0, failures - 1) * 10.0) == wait


def test_a_group_counts_once_however_often_it_is_seen() -> None:
    breaker = FailureBackoff()
    for _ in range(10):
        breaker.failed(owned("job"), "eci-a", 0.0)
    assert breaker.wait(owned("job"), 0.0) == 0


def test_owners_do_not_pay_for_each_other_and_pods_without_one_never_wait() -> None:
    breaker = failed(9)
    assert breaker.wait(owned("other"), 80.0) == 0
    assert failed(9, by="").wait(owned(""), 80.0) == 0


def test_failures_are_forgotten_after_ten_minutes() -> None:
    assert failed(9).wait(owned("job"), 80.0 + 601.0) == 0
