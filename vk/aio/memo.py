"""Memo: answers kept for a while, a bounded number of them, each asked for once at a time.

Many callers with one question share one run of the function that answers it; cancelling one of them
does not cancel the run for the others. Used by `vk.server` for what others ask of the API server
and of the provider through us.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import attrs

__all__ = ["Memo"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@attrs.define(eq=False)
class Memo(Generic[K, V]):
    """Answers by key. ``keep`` says for how many seconds an answer holds; 0: not at all.

    What the function raises goes to all who wait, and is not kept. At most ``size`` answers are
    kept; of more, those go that were asked for the longest time ago.
    """

    keep: Callable[[V], float]
    size: int = 4096
    _kept: OrderedDict[K, tuple[float, V]] = attrs.field(factory=OrderedDict, init=False)
    _running: dict[K, asyncio.Task[V]] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        """Count the answers that are kept."""
        return len(self._kept)

    def peek(self, key: K) -> V | None:
        """Return the answer if there is one that holds."""
        found = self._kept.get(key)
        if found is None or found[0] <= asyncio.get_running_loop().time():
            return None
        self._kept.move_to_end(key)
        return found[1]

    async def get(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        """Return the answer that holds, else what ``ask`` gives."""
        found = self.peek(key)
        if found is not None:
            return found
        task = self._running.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(key, ask))
            self._running[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Cancel what runs; who waits for it is cancelled too."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, key: K, task: asyncio.Task[V]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # retrieved here: every waiter may have left

    async def _ask(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        answer = await ask()
        seconds = self.keep(answer)
        if seconds > 0:
            self._kept[key] = (asyncio.get_running_loop().time() + seconds, answer)
            self._kept.move_to_end(key)
            if len(self._kept) > self.size:
                self._kept.popitem(last=False)
        return answer
