"""The one gateway to the provider: every call of its methods by the core goes through it.

It checks the lease before a mutation, limits how long a call takes, counts it in the metrics, and
sorts what a provider raises: errors of `vk.errors` pass, all else is an `OutcomeUnknownError`. The
streams of clients (logs, exec, attach, port-forward) are `vk.server`'s: they have no time-out.

It also notices an outage, which begins when a call about the backend as a whole fails, and ends
with any call that is answered. A failed change of one pod only casts doubt: a ping settles that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import attrs

from vk.errors import NotFoundError, PermanentError, TemporaryError, UnsupportedError, VkError
from vk.models.files import FileTree
from vk.models.keys import PodKey
from vk.models.node import NodeInfo
from vk.models.pod import Pod
from vk.models.status import PodChange, PodStatus
from vk.provider import Provider, implements

__all__ = ["LeaseNotHeldError", "OutcomeUnknownError", "ProviderGateway"]

T = TypeVar("T")

DESCRIBE_TIMEOUT = 60.0
_WHOLE_BACKEND = frozenset({"ping", "list_pods", "get_pods", "describe_node"})
"""Calls whose failure is no single pod's."""

Observe = Callable[[str, float, bool], None]
"""Called with the method, the seconds that the call took, and whether it failed."""


class LeaseNotHeldError(VkError):
    """The call was not made: this process may not act for the node now."""

    def __init__(self, message: str, *, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OutcomeUnknownError(VkError):
    """A call ran out of time or raised what no provider raises on purpose.

    The text names the kind of error alone: what such an error says may hold secrets.
    """


@attrs.define(eq=False, kw_only=True)
class ProviderGateway:
    """Calls one provider. Raises errors of `vk.errors`, LeaseNotHeldError, OutcomeUnknownError."""

    provider: Provider
    check_lease: Callable[[], None]
    """Raises TemporaryError where this process may not act for the node."""
    observe: Observe = lambda operation, seconds, failed: None
    in_doubt: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    """Set when a call failed: the backend may be unreachable. The health check clears it."""
    reachable_again: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    """Set when an outage is over. The reconciler clears it."""
    _unreachable: bool = attrs.field(default=False, init=False)

    @property
    def config(self) -> object:
        """The provider's configuration."""
        return getattr(self.provider, "context", None) and self.provider.context.config

    def may_act(self) -> bool:
        """Return whether this process holds the lease, so that it may draw conclusions."""
        try:
            self.check_lease()
        except TemporaryError:
            return False
        return True

    def implements(self, method: str) -> bool:
        """Return whether the provider has an optional method of its own."""
        return implements(self.provider, method)

    async def create_pod(self, pod: Pod) -> PodStatus | None:
        """Create a pod."""
        return await self._mutate(
            "create_pod", self.provider.create_timeout, lambda: self.provider.create_pod(pod)
        )

    async def update_pod(self, pod: Pod, changed: Collection[str]) -> PodStatus | None:
        """Apply changes of a pod."""
        return await self._mutate(
            "update_pod",
            self.provider.update_timeout,
            lambda: self.provider.update_pod(pod, frozenset(changed)),
        )

    async def update_files(self, key: PodKey, volume: str, files: FileTree) -> None:
        """Replace the files of a volume."""
        await self._mutate(
            "update_files",
            self.provider.update_timeout,
            lambda: self.provider.update_files(key, volume, files),
        )

    async def delete_pod(self, key: PodKey, *, grace_period: float) -> PodStatus | None:
        """Ask for the end of a pod."""
        return await self._mutate(
            "delete_pod",
            self.provider.delete_timeout,
            lambda: self.provider.delete_pod(key, grace_period=grace_period),
        )

    async def list_pods(self) -> Sequence[PodStatus]:
        """List the provider's pods."""
        return await self._call("list_pods", self.provider.list_timeout, self.provider.list_pods)

    async def get_pods(self, keys: Sequence[PodKey]) -> Sequence[PodStatus]:
        """Look pods up."""
        return await self._call(
            "get_pods", self.provider.get_timeout, lambda: self.provider.get_pods(keys)
        )

    def watch_pods(self) -> AsyncIterator[PodChange]:
        """Return the provider's stream of changes; it may raise anything."""
        return self.provider.watch_pods()

    async def describe_node(self) -> NodeInfo:
        """Ask what the node offers."""
        return await self._call("describe_node", DESCRIBE_TIMEOUT, self.provider.describe_node)

    async def ping(self) -> None:
        """Ask whether the provider can be reached. Raises what the provider raises.

        There is no time-out here: `vk.node.health` counts a slow ping as a miss.
        """
        await self._observed("ping", None, self.provider.ping)

    async def _mutate(self, operation: str, seconds: float, call: Callable[[], Awaitable[T]]) -> T:
        try:
            self.check_lease()
        except TemporaryError as error:
            raise LeaseNotHeldError(str(error), retry_after=error.retry_after) from None
        result = await self._call(operation, seconds, call)
        try:
            self.check_lease()
        except TemporaryError as error:  # another replica may have acted on the pod since
            raise OutcomeUnknownError("the lease may have expired meanwhile") from error
        return result

    async def _call(self, operation: str, seconds: float, call: Callable[[], Awaitable[T]]) -> T:
        try:
            return await self._observed(operation, seconds, call)
        except VkError:
            raise
        except Exception as error:
            raise OutcomeUnknownError(_kind(error)) from error

    async def _observed(
        self, operation: str, seconds: float | None, call: Callable[[], Awaitable[T]]
    ) -> T:
        clock, failed = asyncio.get_running_loop().time, True
        began = clock()
        try:
            async with asyncio.timeout(seconds):
                with _one_error():
                    result = await call()
            failed = False
            self._note_answer(operation)
            return result
        except (NotFoundError, UnsupportedError):  # answers, not failures
            failed = False
            raise
        except PermanentError:
            raise
        except Exception:
            self._note_failure(operation)
            raise
        finally:
            self.observe(operation, clock() - began, failed)

    def _note_failure(self, operation: str) -> None:
        self._unreachable = self._unreachable or operation in _WHOLE_BACKEND
        self.in_doubt.set()

    def _note_answer(self, operation: str) -> None:
        # A provider without a ping of its own answers that without its backend.
        if self._unreachable and (operation != "ping" or self.implements("ping")):
            self._unreachable = False
            self.reachable_again.set()


def _kind(error: Exception) -> str:
    return "took too long" if isinstance(error, TimeoutError) else type(error).__name__


@contextmanager
def _one_error() -> Iterator[None]:
    """Turn what a provider's own tasks raise into an error like any other.

    A cancellation that was not requested of this task is a failure inside the provider; a group of
    one error is that error.
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
