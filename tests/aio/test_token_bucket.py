"""A token bucket never gives more than its rate and its burst allow, whatever the calls are."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.aio.token_bucket import TokenBucket
from vk.cluster.rate_limiter import RateLimiter

STEPS = st.lists(st.floats(0.0, 5.0), min_size=1, max_size=60)


@given(STEPS, st.floats(0.1, 20.0), st.integers(1, 10))
def test_no_more_is_taken_than_rate_and_burst_allow(
    steps: list[float], rate: float, burst: int
) -> None:
    bucket, now, taken = TokenBucket(rate, burst), 1000.0, 0
    for step in steps:
        now += step
        wait = bucket.take(now)
        taken += wait == 0.0
        assert taken <= burst + (now - 1000.0) * rate + 1e-6
        if wait:
            assert bucket.take(now + wait) == 0.0
            taken, now = taken + 1, now + wait


@given(STEPS, st.floats(0.1, 20.0), st.integers(1, 10))
def test_reserved_tokens_come_in_the_order_of_the_calls(
    steps: list[float], rate: float, burst: int
) -> None:
    bucket, now, last = TokenBucket(rate, burst), 0.0, 0.0
    for step in steps:
        now += step
        due = now + bucket.reserve(now)
        assert due >= last - 1e-6
        last = due


def test_more_than_the_burst_never_comes() -> None:
    assert TokenBucket(1.0, 3.0).take(0.0, 4.0) == float("inf")


@pytest.mark.looptime
async def test_a_cancelled_wait_gives_its_token_back() -> None:
    limiter, clock = RateLimiter(1.0, 1), asyncio.get_running_loop().time
    await limiter.wait()
    waiting = asyncio.create_task(limiter.wait())
    await asyncio.sleep(0.5)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    began = clock()
    await limiter.wait()
    assert clock() - began == pytest.approx(0.5)
