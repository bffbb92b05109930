"""Keeping a part of the process running, whatever happens in it.

`supervise` is what `kubelet.py` puts into its TaskGroup for each part whose end must not end the
process. A part that ran well for a while starts over with a short wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from vk.aio.backoff import Backoff

__all__ = ["SAY_EVERY", "retry_forever", "supervise"]

log = logging.getLogger(__name__)

_HEALTHY_AFTER = 60.0

SAY_EVERY = 60.0
"""Seconds between two log lines of `retry_forever`."""

T = TypeVar("T")


async def supervise(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run ``run`` for ever: when it raises or returns, log it and start it again.

    The waits between two starts grow from 0.5 s to 30 s, and start over once a run lasted 60 s.
    Cancellation passes through and ends it; so do KeyboardInterrupt and SystemExit.
    """
    loop = asyncio.get_running_loop()
    backoff = Backoff()
    while True:
        started = loop.time()
        try:
            await run()
            log.error("part ended and is started again", extra={"part": name})
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            log.error("part was cancelled from within and is started again", extra={"part": name})
        except Exception as error:  # one part must not end the others
            log.error(
                "part failed and is started again",
                extra={"part": name, "error": repr(error)},
                exc_info=True,
            )
        if loop.time() - started >= _HEALTHY_AFTER:
            backoff.reset()
        await asyncio.sleep(backoff.next())


async def retry_forever(problem: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """Return what ``attempt`` gives, tried for ever: any Exception is said and means once more.

    The waits grow to 15 s; the log says ``problem`` at once and then once a minute.
    """
    loop = asyncio.get_running_loop()
    backoff, said = Backoff(first=0.5, cap=15.0), float("-inf")
    while True:
        try:
            return await attempt()
        except Exception as error:  # noqa: BLE001 # the caller's code decides what is fatal: nothing
            if loop.time() - said >= SAY_EVERY:
                said = loop.time()
                log.warning(problem, extra={"error": str(error) or type(error).__name__})
        await asyncio.sleep(backoff.next())
