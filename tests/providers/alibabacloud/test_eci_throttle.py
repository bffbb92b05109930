"""The rates of the service: kept, shared, shrunk by its refusals; deletes before creates."""

from __future__ import annotations

import asyncio

import pytest

from vk_providers.alibabacloud.throttle import CallBucket, ConcurrencyLimit, Throttle

pytestmark = pytest.mark.looptime


async def took(bucket: CallBucket, count: int) -> float:
    before = asyncio.get_running_loop().time()
    for _ in range(count):
        await bucket.take()
    return asyncio.get_running_loop().time() - before


async def test_a_thousand_creates_take_what_the_service_allows() -> None:
    """A hundred at once, then twenty a second, would be 45 s; we stay within 1.05 of that."""
    bucket = Throttle(share=1.0).bucket("CreateContainerGroup")
    assert 45.0 <= await took(bucket, 1000) <= 1.05 * 45.0


async def test_a_share_is_a_share_of_both() -> None:
    bucket = Throttle(share=0.5).bucket("CreateContainerGroup")
    assert await took(bucket, 40) == 0
    assert await took(bucket, 10) == pytest.approx(1.0, abs=0.01)


async def test_no_more_than_the_burst_is_saved_up() -> None:
    bucket = CallBucket(rate=10.0, burst=5.0)
    await took(bucket, 5)
    await asyncio.sleep(3600)
    assert await took(bucket, 5) == 0
    assert await took(bucket, 1) == pytest.approx(0.1)


async def test_a_refusal_halves_the_rate_which_comes_back_within_a_minute() -> None:
    bucket = CallBucket(rate=10.0, burst=10.0)
    bucket.shrink()
    assert await took(bucket, 10) > 1.5
    await asyncio.sleep(60)
    now = asyncio.get_running_loop().time()
    assert bucket.factor(now) == 1.0
    for _ in range(20):
        bucket.shrink()
    assert bucket.factor(now) == pytest.approx(0.05)


async def test_deletes_go_before_creates() -> None:
    gate, order = ConcurrencyLimit(places=1), list[str]()

    async def call(name: str, rank: int) -> None:
        async with gate.place(rank):
            order.append(name)
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as tasks:
        for name, rank in (("first", 2), ("create", 2), ("read", 1), ("delete", 0)):
            tasks.create_task(call(name, rank))
            await asyncio.sleep(0)
    assert order == ["first", "delete", "read", "create"]


async def test_a_cancelled_call_releases_its_place() -> None:
    gate = ConcurrencyLimit(places=1)
    async with gate.place(0):
        waiting = asyncio.create_task(_hold(gate))
        await asyncio.sleep(1)
        waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    async with asyncio.timeout(1), gate.place(0):
        pass


async def _hold(gate: ConcurrencyLimit) -> None:
    async with gate.place(0):
        pass
