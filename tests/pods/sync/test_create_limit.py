"""The cap on creates a minute."""

from __future__ import annotations

import pytest

from vk.pods.sync.create_limit import CreateBudget


def test_no_cap_never_waits() -> None:
    budget = CreateBudget(0.0)
    assert {budget.wait(0.0) for _ in range(1000)} == {0.0}


@pytest.mark.parametrize("per_minute", [1.0, 6.0, 60.0])
def test_a_minutes_creates_go_at_once_and_then_one_at_a_time(per_minute: float) -> None:
    budget = CreateBudget(per_minute)
    assert {budget.wait(0.0) for _ in range(int(per_minute))} == {0.0}
    pause = budget.wait(0.0)
    assert pause == pytest.approx(60.0 / per_minute)
    assert budget.wait(pause / 2) == pytest.approx(pause / 2)
    assert budget.wait(pause + 0.001) == 0.0
    assert budget.wait(pause + 0.001) > 0.0


@pytest.mark.parametrize("per_minute", [0.5, 3.0])
def test_an_hour_never_has_more_than_the_cap_and_one_full_bucket(per_minute: float) -> None:
    budget = CreateBudget(per_minute)
    created = sum(budget.wait(float(second)) == 0.0 for second in range(3600))
    assert 60 * per_minute - 1 <= created <= 60 * per_minute + max(1.0, per_minute)


def test_nothing_is_saved_up_beyond_one_minute() -> None:
    budget = CreateBudget(2.0)
    assert [budget.wait(86400.0) == 0.0 for _ in range(3)] == [True, True, False]
