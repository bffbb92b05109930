"""Cancellation that waits for work which must not be interrupted.

A thread or a program cannot be stopped at any moment: left running, it would continue in folders
and namespaces that others own by then. The work must be short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["finish_before_cancel"]

T = TypeVar("T")


async def finish_before_cancel(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of ``work``; a cancellation is raised after its end."""
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        running.exception()  # retrieved, so that asyncio does not log it
        raise
