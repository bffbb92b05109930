"""Work that must not be left half done: whoever is cancelled while it runs waits for its end.

A thread or a program cannot be stopped at any moment: left alone it would go on in folders and
namespaces that others own by then. So what is given here is short.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["finish_before_cancel"]

T = TypeVar("T")


async def finish_before_cancel(work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` gives; a cancellation is raised once it has ended."""
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        running.exception()  # nobody is left to hear of it
        raise
