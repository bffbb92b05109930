"""Tasks that outlive the calls that started them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from vk.testing.contract.cancelling import Cancelled, cancel_at
from vk.testing.contract.rule import require

__all__ = ["break_off_everywhere"]

_STEPS = 20
_AGAIN = 3


async def break_off_everywhere(
    call: Callable[[], Coroutine[Any, Any, Any]], *, patience: float
) -> None:
    """Break ``call`` off at each of its awaits and require that no tasks pile up.

    Raises what it raises by itself. One task or two may stay: a connection that is kept for the
    next call, and its other side, where the backend is in the same loop.
    """
    await cancel_at(_STEPS, call)
    async with _no_pile(patience):
        for step in range(1, _STEPS + 1):
            if await cancel_at(step, call) is not Cancelled.ON_THE_WAY:
                break
        for _ in range(_AGAIN):
            await cancel_at(_STEPS, call)


@asynccontextmanager
async def _no_pile(patience: float) -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    late = asyncio.get_running_loop().time() + patience
    while len(left := asyncio.all_tasks() - before) >= _AGAIN:
        in_time = asyncio.get_running_loop().time() < late
        require(in_time, f"tasks are left behind: {[task.get_coro() for task in left]}")
        await asyncio.wait(left, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
