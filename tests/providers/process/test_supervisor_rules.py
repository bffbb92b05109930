"""The kubelet's rules as tables: restarts, backoff, probes, messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk_providers.process.supervisor.children import exit_code_of
from vk_providers.process.supervisor.rules import (
    ProbeRun,
    RestartBackoff,
    next_backoff,
    next_probe_run,
    restart_wait,
    should_restart,
    termination_message,
)
from vk_providers.process.supervisor.states import go_duration


@pytest.mark.parametrize(
    ("kind", "policy", "exit_code", "restarts"),
    [
        ("container", "Always", 0, True),
        ("container", "Always", 1, True),
        ("container", "OnFailure", 0, False),
        ("container", "OnFailure", 1, True),
        ("container", "Never", 1, False),
        ("init", "Always", 0, False),
        ("init", "Always", 1, True),
        ("init", "OnFailure", 1, True),
        ("init", "Never", 1, False),
        ("sidecar", "Never", 0, True),
        ("sidecar", "OnFailure", 0, True),
    ],
)
def test_restart_by_kind_and_policy(kind: str, policy: str, exit_code: int, restarts: bool) -> None:
    assert should_restart(kind, policy, exit_code) is restarts


def test_the_waits_of_a_container_that_always_fails_at_once() -> None:
    """None, then 10 s doubled up to 5 minutes."""
    backoff, now, waits = None, 0.0, []
    for _ in range(9):
        wait = restart_wait(backoff, finished=now, now=now)
        waits.append(wait)
        backoff = next_backoff(backoff, finished=now, now=now + wait)
        now += wait
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300, 300]


@pytest.mark.parametrize(
    ("ran", "passed", "wait", "after"),
    [
        (0.0, 0.0, 80.0, 160.0),
        (0.0, 30.0, 50.0, 160.0),
        (0.0, 90.0, 0.0, 160.0),
        (600.0, 0.0, 80.0, 160.0),
        (600.1, 0.0, 0.0, 10.0),
    ],
)
def test_a_container_that_ran_over_ten_minutes_starts_over(
    ran: float, passed: float, wait: float, after: float
) -> None:
    backoff = RestartBackoff(80.0, since=1_000.0)
    finished = 1_000.0 + ran
    now = finished + passed
    assert restart_wait(backoff, finished=finished, now=now) == pytest.approx(wait)
    assert next_backoff(backoff, finished=finished, now=now).delay == after


@given(st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 400)), max_size=20))
def test_no_wait_is_longer_than_five_minutes(runs: list[tuple[int, int]]) -> None:
    backoff, now = None, 0.0
    for ran, late in runs:
        finished = now + ran
        now = finished + late
        wait = restart_wait(backoff, finished=finished, now=now)
        assert 0 <= wait <= 300
        now += wait
        backoff = next_backoff(backoff, finished=finished, now=now)
        assert 10 <= backoff.delay <= 300


@pytest.mark.parametrize(
    ("answers", "thresholds", "reached"),
    [
        ("+", (1, 3), "+"),
        ("-", (1, 3), ""),
        ("---", (1, 3), "  -"),
        ("--+--", (1, 3), "  +  "),
        ("--+---", (1, 3), "  +  -"),
        ("++", (2, 1), " +"),
        ("+-++", (2, 1), " - +"),
    ],
)
def test_a_probe_counts_only_answers_in_a_row(
    answers: str, thresholds: tuple[int, int], reached: str
) -> None:
    run, seen = ProbeRun(), ""
    for answer in answers:
        run, is_reached = next_probe_run(
            run,
            answer == "+",
            success_threshold=thresholds[0],
            failure_threshold=thresholds[1],
        )
        seen += answer if is_reached else " "
    assert seen.rstrip() == reached.rstrip()


@pytest.mark.parametrize(
    ("content", "log", "policy", "exit_code", "message"),
    [
        (b"said", "log", "File", 1, "said"),
        (b"", "log", "File", 1, ""),
        (b"", "log", "FallbackToLogsOnError", 1, "log"),
        (b"", "log", "FallbackToLogsOnError", 0, ""),
        (b"said", "log", "FallbackToLogsOnError", 1, "said"),
        (b"x" * 5_000, "", "File", 0, "x" * 4_096),
    ],
)
def test_the_termination_message(
    content: bytes, log: str, policy: str, exit_code: int, message: str
) -> None:
    assert termination_message(content, log=log, policy=policy, exit_code=exit_code) == message


@pytest.mark.parametrize(
    ("status", "expected"), [(0, (0, 0)), (3 << 8, (3, 0)), (9, (137, 9)), (15, (143, 15))]
)
def test_a_wait_status_is_an_exit_code_and_a_signal(status: int, expected: tuple[int, int]) -> None:
    assert exit_code_of(status) == expected


@pytest.mark.parametrize(
    ("seconds", "text"), [(10, "10s"), (40, "40s"), (80, "1m20s"), (160, "2m40s"), (300, "5m0s")]
)
def test_a_backoff_is_written_as_the_kubelet_writes_it(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text
