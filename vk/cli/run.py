"""`vk`: make the node and run it until a signal, or until it fails.

In comes Settings; out goes the exit code. The first SIGTERM or SIGINT cancels the node, which then
stops in order; a second one ends the process at once, even where the event loop is stuck, for the
handler is the interpreter's and not the loop's.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING, Protocol, TypeVar

import attrs

from vk import logs
from vk.aio.tasks import supervise
from vk.errors import ConfigError, VkError
from vk.settings import Settings

__all__ = ["Node", "execute", "run"]

if TYPE_CHECKING:
    from vk.cli.reload import Reload
    from vk.kubelet import VirtualKubelet

log = logging.getLogger(__name__)

N = TypeVar("N", bound="Node")


class Node(Protocol):
    """What runs: `vk.kubelet.VirtualKubelet`."""

    ready: asyncio.Event

    async def run(self) -> None:
        """Run until cancelled."""


@attrs.define(eq=False)
class _Stop:
    """What the signals asked for. Counts from before the heavy imports on."""

    requested: bool = False
    cancel: Callable[[], object] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            os._exit(1)
        self.requested = True
        if self.cancel is not None:
            self.cancel()


def run(settings: Settings, reload: Reload, *, ignored: Sequence[str] = ()) -> int:
    """Run the node that ``settings`` describe and return the exit code.

    ``reload`` follows changes of the configuration. Raises ConfigError, before anything is opened,
    where settings and provider do not fit.
    """
    from vk.cli.provider_config import load_for
    from vk.plugins import Plugins

    provider_class = Plugins.load(files=settings.plugins).provider_class(settings.provider)
    provider_config = load_for(settings, provider_class)
    logs.configure(settings.log_level, sys.stderr)
    for flag in ignored:
        log.warning("flag of the Go program has no effect here", extra={"flag": flag})

    def make() -> VirtualKubelet:
        from vk.kubelet import VirtualKubelet

        return VirtualKubelet(settings, provider_class, provider_config)

    return execute(make, startup_timeout=settings.startup_timeout, beside=reload.run)


def execute(
    make: Callable[[], N],
    *,
    startup_timeout: float = 0.0,
    beside: Callable[[N], Awaitable[None]] | None = None,
) -> int:
    """Run the node that ``make`` returns, called inside the loop; return the exit code.

    ``startup_timeout`` seconds without ``ready`` end it; 0: never. ``beside`` runs as long as the
    node does. Raises ConfigError. Must be called in the main thread, which alone receives signals.
    """
    # What is kept here is JSON, which has no cycles: the default would walk all pods every second
    # of a burst, a fifth of its cost.
    gc.set_threshold(50_000, 20, 20)
    with _signals() as stop, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_serve(make, stop, startup_timeout, beside))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        factory: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    except ImportError:  # an extra; asyncio's own loop does as well, slower
        return None
    return factory


@contextmanager
def _signals() -> Iterator[_Stop]:
    stop = _Stop()
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _serve(
    make: Callable[[], N],
    stop: _Stop,
    startup_timeout: float,
    beside: Callable[[N], Awaitable[None]] | None,
) -> int:
    node = make()
    loop = asyncio.get_running_loop()
    task = loop.create_task(node.run(), name="node")
    if beside is not None:
        company = supervise("configuration", partial(beside, node))
        other = loop.create_task(company, name="configuration")
        task.add_done_callback(lambda _: other.cancel())
    stop.cancel = lambda: loop.call_soon_threadsafe(task.cancel)
    if stop.requested:  # while importing, before there was anything to cancel
        task.cancel()
    late = not await _started(node, task, startup_timeout)
    if late and not stop.requested:
        task.cancel()
    await asyncio.wait({task})
    if late and not stop.requested:
        return _failed(f"--startup-timeout: the node was not ready after {startup_timeout:g} s")
    return _outcome(task, stop)


async def _started(node: Node, task: asyncio.Task[None], timeout: float) -> bool:
    """Wait until the node is ready or has ended; False: neither within ``timeout``."""
    ready = asyncio.get_running_loop().create_task(node.ready.wait(), name="ready")
    try:
        done, _ = await asyncio.wait(
            {task, ready}, timeout=timeout or None, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        ready.cancel()
    return bool(done)


def _outcome(task: asyncio.Task[None], stop: _Stop) -> int:
    error = None if task.cancelled() else task.exception()
    if error is None:
        return 0 if stop.requested else _failed("the node ended without being asked to")
    causes = list(_leaves(error))
    for cause in causes:
        if isinstance(cause, ConfigError):
            raise cause
    if not all(isinstance(cause, VkError) for cause in causes):
        log.error("the node failed", exc_info=error)
    return _failed("; ".join(f"{cause}" or type(cause).__name__ for cause in causes))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _failed(message: str) -> int:
    print("vk: error: " + " ".join(message.split()), file=sys.stderr, flush=True)
    return 1
