"""Latest keeps one value a key, from any thread and however slow the consumer is."""

import asyncio
import threading

from vk.aio.latest import Latest


async def take(channel: Latest[str, int], count: int) -> list[int]:
    return [await anext(channel) for _ in range(count)]


async def test_a_slow_consumer_gets_only_the_newest_value_of_each_key():
    channel: Latest[str, int] = Latest()
    for value in range(5):
        channel.put("a", value)
    channel.put("b", 10)
    assert await take(channel, 2) == [4, 10]
    assert len(channel) == 0


async def test_a_key_that_changes_all_the_time_does_not_starve_the_others():
    channel: Latest[str, int] = Latest()
    channel.put("busy", 1)
    channel.put("quiet", 2)
    assert await anext(channel) == 1
    channel.put("busy", 3)
    assert await take(channel, 2) == [2, 3]


async def test_a_waiting_consumer_wakes_for_a_put_from_another_thread():
    channel: Latest[str, int] = Latest()
    waiting = asyncio.ensure_future(anext(channel))
    await asyncio.sleep(0)
    thread = threading.Thread(target=channel.put, args=("a", 1))
    thread.start()
    assert await asyncio.wait_for(waiting, 10) == 1
    thread.join()


async def test_no_value_is_lost_when_its_consumer_is_cancelled():
    channel: Latest[str, int] = Latest()
    waiting = asyncio.ensure_future(anext(channel))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    channel.put("a", 1)
    assert await asyncio.wait_for(anext(channel), 10) == 1


def test_a_channel_serves_one_loop_after_another():
    channel: Latest[str, int] = Latest()

    async def wait_in_vain() -> None:
        waiting = asyncio.ensure_future(anext(channel))
        await asyncio.sleep(0)
        waiting.cancel()

    async def receive() -> int:
        return await asyncio.wait_for(anext(channel), 10)

    asyncio.run(wait_in_vain())
    channel.put("a", 1)
    assert asyncio.run(receive()) == 1


async def test_a_discarded_value_is_not_handed_out():
    channel: Latest[str, int] = Latest()
    channel.put("a", 1)
    channel.put("b", 2)
    channel.discard("a")
    channel.discard("never put")
    assert await anext(channel) == 2
