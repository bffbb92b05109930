"""Rules of the stream of changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

import attrs

from vk.errors import UnsupportedError
from vk.models.pod import Pod
from vk.models.status import ContainerStatus, Gone, PodChange, PodStatus, Terminated, Unplaced
from vk.provider import Provider
from vk.testing.contract.base import Base, ends
from vk.testing.contract.bench import Bench
from vk.testing.contract.rule import Broken, require, rule

__all__ = ["Watching"]


class Watching(Base):
    """The stream of changes, where there is one, and the order of what is said."""

    @rule
    async def test_the_stream_tells_each_change(self, bench: Bench) -> None:
        """What happens to a pod by itself comes through watch_pods, not in the next list only.

        A provider without a stream is polled, and has nothing to prove here.
        """
        async with _watching(bench.provider) as seen:
            pod = await self.ended(bench)
            await _tells_the_end(bench, seen, pod)

    @rule
    async def test_the_stream_may_be_started_again(self, bench: Bench) -> None:
        """After it was cancelled, a new stream tells what the first one would have told."""
        async with _watching(bench.provider) as seen:
            pod = await self.ended(bench)
            try:
                await _tells_the_end(bench, seen, pod)
            except Broken:
                return  # which is a rule of its own
        async with _watching(bench.provider) as seen:
            await _tells_the_end(bench, seen, await self.ended(bench))

    @rule
    async def test_a_status_only_moves_forward(self, bench: Bench) -> None:
        """A container that has ended stays so; with restartPolicy Never nothing starts it again."""
        self.need_ends()
        async with _watching(bench.provider) as seen:
            pod = self.make(bench, ends(1))
            said = [await bench.create(pod)]
            late = asyncio.get_running_loop().time() + bench.patience
            over = 0
            while over < 5 and asyncio.get_running_loop().time() < late:
                status = await bench.find(pod.key)
                said.append(status)
                over += status is not None and bench.is_over(pod, status)
                await asyncio.sleep(0.05)
        _only_forward([one for one in said if one is not None])
        _only_forward([one for one in seen.changes if _is_status(one) and one.key == pod.key])  # type: ignore[misc] # _is_status narrows them


@attrs.define(eq=False)
class _Seen:
    """What the stream has told."""

    changes: list[PodChange] = attrs.field(factory=list)
    unsupported: bool = False
    error: Exception | None = None
    news: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def run(self, provider: Provider) -> None:
        try:
            async with aclosing(provider.watch_pods()) as changes:  # type: ignore[type-var] # an async generator by contract
                async for change in changes:
                    self.changes.append(change)
                    self.news.set()
        except UnsupportedError:
            self.unsupported = True
        except Exception as error:  # noqa: BLE001 # told by the rule
            self.error = error
        self.news.set()


@asynccontextmanager
async def _watching(provider: Provider) -> AsyncIterator[_Seen]:
    seen = _Seen()
    task = asyncio.ensure_future(seen.run(provider))
    try:
        yield seen
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _tells_the_end(bench: Bench, seen: _Seen, pod: Pod) -> None:
    late = asyncio.get_running_loop().time() + bench.patience
    while not any(_is_end(bench, pod, change) for change in seen.changes):
        if seen.unsupported:
            return
        require(seen.error is None, f"watch_pods raised {seen.error!r}")
        told = [change for change in seen.changes if change.key == pod.key]
        in_time = asyncio.get_running_loop().time() < late
        require(in_time, f"the list says that the pod has ended, the stream told {told}")
        seen.news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await seen.news.wait()


def _is_end(bench: Bench, pod: Pod, change: PodChange) -> bool:
    if change.key != pod.key or isinstance(change, Unplaced):
        return False
    return isinstance(change, Gone) or bench.is_over(pod, change)


def _is_status(change: PodChange) -> bool:
    return isinstance(change, PodStatus)


def _only_forward(said: list[PodStatus]) -> None:
    ended: dict[str, ContainerStatus] = {}
    for status in said:
        for one in status.containers:
            before = ended.get(one.name)
            if isinstance(one.state, Terminated):
                ended[one.name] = one
            text = f"container {one.name} was {before and before.state}, then {one.state}"
            require(before is None or isinstance(one.state, Terminated), text)
