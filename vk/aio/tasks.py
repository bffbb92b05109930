"""Supervision: a component of the process is started again whenever it ends.

`vk.kubelet` puts `supervise` into its task group for each component whose end must not end the
process. After a component ran for a while the waits start over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from vk.aio.backoff import Backoff

__all__ = ["LOG_EVERY", "retry_forever", "supervise"]

log = logging.getLogger(__name__)

_HEALTHY_AFTER = 60.0

LOG_EVERY = 60.0
"""Seconds between two log lines of `retry_forever`."""

T = TypeVar("T")


async def supervise(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run ``run`` until cancelled: when it raises or returns, log that and start it again.

    The waits between two starts grow from 0.5 s to 30 s, and start over once a run lasted 60 s.
    Cancellation passes through and ends it; so do KeyboardInterrupt and SystemExit.
    """
    loop = asyncio.get_running_loop()
    backoff = Backoff()
    while True:
        started = loop.time()
        try:
            await run()
            log.error("component exited; restarting", extra={"component": name})
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            log.error("component was cancelled from within; restarting", extra={"component": name})
        except Exception as error:  # one component must not end the others
            log.error(
                "component failed; restarting",
                extra={"component": name, "error": repr(error)},
                exc_info=True,
            )
        if loop.time() - started >= _HEALTHY_AFTER:
            backoff.reset()
        await asyncio.sleep(backoff.next())


async def retry_forever(problem: str, attempt: Callable[[], Awaitable[T]]) -> T:
    """Return the result of ``attempt``, called until it raises no Exception.

    The waits grow to 15 s; the error is logged with ``problem`` at once and then once a minute.
    """
    loop = asyncio.get_running_loop()
    backoff, logged_at = Backoff(first=0.5, cap=15.0), float("-inf")
    while True:
        try:
            return await attempt()
        except Exception as error:  # noqa: BLE001 # no error is fatal to the caller
            if loop.time() - logged_at >= LOG_EVERY:
                logged_at = loop.time()
                log.warning(problem, extra={"error": str(error) or type(error).__name__})
        await asyncio.sleep(backoff.next())
