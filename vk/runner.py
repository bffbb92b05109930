"""Runs a node until a signal: the event loop, SIGTERM and SIGINT, and how it ended.

`run` is for scripts; the command line uses `execute` with a node of its own making. The first
signal cancels the node, which then stops in order. A second one ends the process at once, even
where the event loop is stuck: the handler is the interpreter's and not the loop's.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from vk import logs
from vk.aio.tasks import supervise
from vk.errors import ConfigError, VkError
from vk.models.node import Taint
from vk.settings import Settings

__all__ = ["RunnableNode", "execute", "run"]

if TYPE_CHECKING:
    from vk.kubelet import VirtualKubelet
    from vk.provider import Provider

log = logging.getLogger(__name__)

N = TypeVar("N", bound="RunnableNode")


def run(provider_class: type[Provider], config: Any = None, **settings: Any) -> None:
    """Run a node of ``provider_class`` until SIGTERM or SIGINT, then stop it in order and return.

        vk.run(MyProvider, node_name="edge-1")

    ``config`` is what the provider finds as ``context.config``. ``settings`` are fields of
    `vk.Settings`; without them the cluster is found as kubectl finds it, the node is called
    ``virtual-kubelet``, and the taint ``virtual-kubelet.io/provider`` keeps pods away that do not
    tolerate it (``taints=()`` for none). Logs go to stderr unless logging is configured already.

    Blocks; call it once, in the main thread, without a running event loop. Raises ConfigError for
    settings that cannot work, VkError where the node failed, and TypeError for unknown settings.
    """
    from vk.kubelet import VirtualKubelet, provider_name

    name = settings.pop("provider", "") or provider_name(provider_class)
    taints = settings.pop("taints", (Taint("virtual-kubelet.io/provider", name),))
    chosen = Settings(provider=name, taints=taints, **settings)
    if not logging.getLogger().handlers:
        logs.configure(chosen.log_level, sys.stderr)

    def make() -> VirtualKubelet:
        return VirtualKubelet(provider_class, config, chosen)

    problem = _run_to_end(make, startup_timeout=chosen.startup_timeout)
    if problem:
        raise VkError(problem)


class RunnableNode(Protocol):
    """What runs: `vk.kubelet.VirtualKubelet`."""

    ready: asyncio.Event

    async def run(self) -> None:
        """Run until cancelled."""


@attrs.define(eq=False)
class _Stop:
    """Whether a signal asked for the end. Counts from before the heavy imports on."""

    requested: bool = False
    cancel: Callable[[], object] | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            os._exit(1)
        self.requested = True
        if self.cancel is not None:
            self.cancel()


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
    problem = _run_to_end(make, startup_timeout=startup_timeout, beside=beside)
    if problem:
        sys.stderr.write("vk: error: " + " ".join(problem.split()) + "\n")
    return 1 if problem else 0


def _run_to_end(
    make: Callable[[], N],
    *,
    startup_timeout: float,
    beside: Callable[[N], Awaitable[None]] | None = None,
) -> str:
    """Run a node to its end and return why it failed; empty: it was stopped by a signal."""
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
) -> str:
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
        return f"--startup-timeout: the node was not ready after {startup_timeout:g} s"
    return _outcome(task, stop)


async def _started(node: RunnableNode, task: asyncio.Task[None], timeout: float) -> bool:
    """Wait until the node is ready or has ended; False: neither within ``timeout``."""
    ready = asyncio.get_running_loop().create_task(node.ready.wait(), name="ready")
    try:
        done, _ = await asyncio.wait(
            {task, ready}, timeout=timeout or None, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        ready.cancel()
    return bool(done)


def _outcome(task: asyncio.Task[None], stop: _Stop) -> str:
    error = None if task.cancelled() else task.exception()
    if error is None:
        return "" if stop.requested else "the node ended without being asked to"
    causes = list(_leaves(error))
    for cause in causes:
        if isinstance(cause, ConfigError):
            raise cause
    if not all(isinstance(cause, VkError) for cause in causes):
        log.error("the node failed", exc_info=error)
    return "; ".join(f"{cause}" or type(cause).__name__ for cause in causes)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
