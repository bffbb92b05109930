"""Breaking a call off at a chosen await, as a leaving client or a stop does.

`cancel_at` counts the awaits at which the call really waits, and cancels the task at the n-th. A
call that rests before that (it waits for its client, say) is cancelled where it rests.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from enum import Enum
from typing import Any

__all__ = ["Cancelled", "cancel_at"]

_REST = 0.5
"""Seconds after which a call counts as resting."""


class Cancelled(Enum):
    """Where the call was when it was broken off."""

    ON_THE_WAY = 1
    RESTING = 2
    ENDED = 3
    """It had returned or raised before: there was nothing to break off."""


async def cancel_at(step: int, call: Callable[[], Coroutine[Any, Any, Any]]) -> Cancelled:
    """Run ``call``, break it off at its await number ``step``, and say where it was.

    Raises what it raises by itself. Raises AssertionError where it goes on or returns in spite of
    being cancelled.
    """
    reached = asyncio.Event()
    task = asyncio.ensure_future(_counted(call(), step, reached))
    await asyncio.wait([task], timeout=_REST)
    where = Cancelled.ON_THE_WAY if reached.is_set() else Cancelled.ENDED
    if not task.done() and not reached.is_set():
        where = Cancelled.RESTING
        task.cancel()
    await asyncio.wait([task], timeout=10 * _REST)
    if not task.done():
        task.cancel()
        raise AssertionError(f"it goes on {10 * _REST:g} s after it was cancelled")
    if task.cancelled():
        return where
    if where is not Cancelled.ENDED and task.exception() is None:
        raise AssertionError(f"cancelled, it swallowed that and returned {task.result()!r}")
    task.result()
    return where


@types.coroutine
def _counted(
    call: Coroutine[Any, Any, Any], step: int, reached: asyncio.Event
) -> Generator[Any, Any, Any]:
    """Run ``call`` inside the current task and cancel that at the await number ``step``."""
    seen, failure = 0, None
    while True:
        try:
            waited = call.send(None) if failure is None else call.throw(failure)
        except StopIteration as stop:
            return stop.value
        seen, failure = seen + 1, None
        if seen == step and (task := asyncio.current_task()) is not None:
            reached.set()
            task.cancel()
        try:
            yield waited
        except BaseException as error:  # noqa: BLE001 # handed on to the call
            failure = error
