"""Tasks that outlive the call that started them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vk.testing.contract.rule import require

__all__ = ["leaves_nothing"]


@asynccontextmanager
async def leaves_nothing(patience: float) -> AsyncIterator[None]:
    """Require that tasks which began in the block have ended ``patience`` seconds after it."""
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before
    if left:
        await asyncio.wait(left, timeout=patience)
    running = [task.get_coro() for task in left if not task.done()]
    require(not running, f"tasks are left behind: {running}")
