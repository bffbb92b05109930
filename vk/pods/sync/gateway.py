"""A time-out around a call of the provider, which also notes how long the call took.

`vk.pods.sync.actions` and `vk.pods.sync.feed` make every call inside one; `kubelet.py` says who is
told. Absence and lack of support are answers, no failures.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from vk.errors import NotFoundError, UnsupportedError

__all__ = ["Timed", "timing", "untimed"]

Timed = Callable[[str, float], AbstractAsyncContextManager[None]]
"""Called with the name of the method and the seconds that it may take."""


def timing(told: Callable[[str, float, bool], None]) -> Timed:
    """Return a time-out that tells method, seconds, and whether the call failed."""

    @asynccontextmanager
    async def timed(operation: str, seconds: float) -> AsyncIterator[None]:
        clock, failed = asyncio.get_running_loop().time, True
        began = clock()
        try:
            async with asyncio.timeout(seconds), _one_error():
                yield
            failed = False
        except (NotFoundError, UnsupportedError):
            failed = False
            raise
        finally:
            told(operation, clock() - began, failed)

    return timed


@asynccontextmanager
async def untimed(operation: str, seconds: float) -> AsyncIterator[None]:
    """Be a time-out that tells nobody."""
    async with asyncio.timeout(seconds), _one_error():
        yield


@asynccontextmanager
async def _one_error() -> AsyncIterator[None]:
    """Make what a provider's own tasks raise an error like any other.

    A cancellation that nobody asked of this task is a failure inside the provider; a group of one
    error is that error.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError("a task of the provider was cancelled") from error
    except ExceptionGroup as group:
        first = group.exceptions[0]
        raise first if len(group.exceptions) == 1 else group from None
