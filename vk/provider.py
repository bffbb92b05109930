"""The one class that a provider's author implements, and what the core hands to it.

Four methods are required; everything else has an honest default. The framework owns the tasks: it
calls, times out, retries and cancels; a provider returns values and raises the errors of
`vk.errors`.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

import attrs

from vk.aio.tasks import supervise
from vk.errors import TemporaryError, UnsupportedError
from vk.fields import FieldTable
from vk.log_lines import follow
from vk.models.api_object import container_statuses_of
from vk.models.check import Check
from vk.models.files import FileTree
from vk.models.keys import ContainerKey, PodKey
from vk.models.logs import LogOptions
from vk.models.node import NodeInfo
from vk.models.pod import Json, Pod
from vk.models.stats import NodeStats
from vk.models.status import PodChange, PodStatus
from vk.streams import ByteStream, ExecIO

__all__ = ["API_VERSION", "Emit", "Provider", "ProviderContext", "implements", "open_provider"]

API_VERSION = 2
"""Version of the interface between core and providers; raised when a provider would break."""


class Emit(Protocol):
    """Writes an event about a pod, as `kubectl describe pod` shows it."""

    def __call__(
        self, key: PodKey, type: str, reason: str, message: str, *, id: str | None = None
    ) -> None:
        """Queue one event and return at once; never blocks and never raises.

        ``type`` is ``Normal`` or ``Warning``. ``reason`` is one word in CamelCase, of at most 128
        characters; ``message`` is for people, and what is longer than 1024 characters is cut.
        Equal events within some minutes become one with a count. An event with an ``id`` is
        written once for that pod and id, also after a restart of the process. Call it in the event
        loop's thread; from another one by ``loop.call_soon_threadsafe``.
        """


@attrs.frozen(kw_only=True)
class ProviderContext:
    """What the core gives a provider. Everything here may be used from `__aenter__` on."""

    api_version: int = API_VERSION
    node_name: str
    cluster_uid: str
    """UID of namespace kube-system: the identity to mark backend objects with, next to the node."""
    config: Any = None
    """An instance of the provider's ``config_class``, or None where it has none."""
    pods: Mapping[str, Pod]
    """The node's pods by UID, each with its last API status; live, and filled before enter."""
    secret: Callable[[str, str], Awaitable[Json | None]] = attrs.field(repr=False)
    """``await secret(namespace, name)``: the object, None where there is none."""
    config_map: Callable[[str, str], Awaitable[Json | None]] = attrs.field(repr=False)
    """``await config_map(namespace, name)``: the object, None where there is none."""
    annotate: Callable[[PodKey, Mapping[str, str]], Awaitable[None]] = attrs.field(repr=False)
    """Keep annotations on the pod, durably; does nothing when the pod is gone or another."""
    check_lease: Callable[[], None] = attrs.field(repr=False)
    """Raises TemporaryError when this process may no longer act for the node."""
    emit: Emit = attrs.field(repr=False)
    node_changed: Callable[[], None] = attrs.field(repr=False)
    """Ask the core to call `Provider.describe_node` soon."""
    _supervised: set[asyncio.Task[None]] = attrs.field(
        factory=set, init=False, repr=False, eq=False
    )

    @classmethod
    def read_only(
        cls,
        reason: str,
        *,
        node_name: str,
        cluster_uid: str,
        config: Any = None,
        pods: Mapping[str, Pod] | None = None,
        secret: Callable[[str, str], Awaitable[Json | None]] | None = None,
        config_map: Callable[[str, str], Awaitable[Json | None]] | None = None,
    ) -> Self:
        """Return a context through which nothing can be changed, for commands beside a node.

        ``check_lease`` and ``annotate`` raise TemporaryError with ``reason``, events are not
        written. ``secret`` and ``config_map`` raise it too where they are not given.
        """

        def refuse(*_: object) -> None:
            raise TemporaryError(reason)

        async def refuse_call(*_: object) -> None:
            raise TemporaryError(reason)

        return cls(
            node_name=node_name,
            cluster_uid=cluster_uid,
            config=config,
            pods={} if pods is None else pods,
            secret=secret or refuse_call,
            config_map=config_map or refuse_call,
            annotate=refuse_call,
            check_lease=refuse,
            emit=lambda *_, **__: None,
            node_changed=lambda: None,
        )

    def follow(
        self,
        container: ContainerKey,
        options: LogOptions,
        poll: Callable[[datetime | None], Awaitable[bytes]],
        *,
        interval: float = 2.0,
    ) -> AsyncIterator[bytes]:
        """Yield, for `Provider.logs`, a log that can only be asked for.

        ``poll(since)`` returns whole lines that begin with their times, in RFC 3339 and a space:
        all from ``since`` on, or None: all that there are. It is called each ``interval`` seconds
        until the container's status says that it ended; without ``follow`` in ``options`` once.
        """
        ended = (lambda: self._ended(container)) if options.follow else (lambda: True)
        return follow(options, poll, ended, interval=interval)

    def supervise(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run ``run()`` in the background for as long as the provider is open.

        When it raises or returns, that is logged with ``name`` and it is started again, after waits
        that grow from 0.5 s to 30 s. It is cancelled, and waited for, before `Provider.__aexit__`
        is called. Call it from `Provider.__aenter__` on, in the event loop's thread.
        """
        task = asyncio.get_running_loop().create_task(supervise(name, run), name=name)
        self._supervised.add(task)

    async def cancel_supervised(self) -> None:
        """Cancel what `supervise` started and wait for its end. Called by the core; repeatable."""
        tasks = list(self._supervised)
        self._supervised.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, container: ContainerKey) -> bool:
        pod = self.pods.get(container.pod.uid)
        statuses = container_statuses_of(pod.raw, ephemeral=True) if pod is not None else ()
        return not any(
            one["name"] == container.name and "running" in (one.get("state") or {})
            for one in statuses
        )


@attrs.define(eq=False)
class Provider(ABC):
    """Runs pods on a backend, for one node.

    Create, update and delete are shielded from cancellation: when the process stops they get 25 s,
    then their outcome counts as unknown. One pod's calls never overlap; calls for different pods
    do. Raising NotFoundError, UnsupportedError, TemporaryError or PermanentError says what the core
    does next; any other exception, and running out of time, is an unknown outcome.
    """

    config_class: ClassVar[type[Any] | None] = None
    """An attrs class that `--provider-config`, the environment and `--set` fill.

    Where a file has another layout than the class, a class method ``from_file(data, node_name)``
    translates it: it gets the parsed file and returns values by field. ValueError, TypeError and
    LookupError that it raises become a ConfigError with the file's name.
    """
    fields: ClassVar[FieldTable] = FieldTable()
    """Which fields of a PodSpec the backend honours, ignores and refuses."""
    resolves: ClassVar[frozenset[str]] = frozenset({"env", "files"})
    """What the core resolves before the provider sees a pod; empty: nothing.

    ``env``: environment, command, args, DNS settings. ``files``: `Pod.files`, what claims are bound
    to, and registry credentials, each only where ``fields`` honours it.
    """
    file_limit: ClassVar[int | None] = None
    """Bytes that one file of a volume may have; a pod with a larger one is refused."""
    poll_interval: ClassVar[float] = 5.0
    """Seconds between two lists where `watch_pods` is not implemented."""
    list_interval: ClassVar[float] = 60.0
    """Seconds between two complete lists beside `watch_pods`."""
    splits_logs: ClassVar[bool] = False
    """True where `logs` can give stdout or stderr alone."""
    create_timeout: ClassVar[float] = 120.0
    """Seconds that `create_pod` may take. Then its outcome is unknown: it is looked up."""
    update_timeout: ClassVar[float] = 120.0
    """Seconds that `update_pod` and `update_files` may take; then they are called again."""
    delete_timeout: ClassVar[float] = 120.0
    """Seconds that `delete_pod` may take; then it is called again."""
    list_timeout: ClassVar[float] = 60.0
    """Seconds that `list_pods` may take; then nothing is known from it."""
    get_timeout: ClassVar[float] = 15.0
    """Seconds that `get_pods` may take; then nothing is known from it."""

    context: ProviderContext

    @property
    def durable(self) -> bool:
        """True where workloads outlive this process; override it as a class attribute or property.

        False: after a restart the core marks its former pods Failed with reason ProviderRestarted.
        """
        return True

    @property
    def list_lag(self) -> float:
        """Seconds for which a new workload may be missing from a list. Override it likewise."""
        return 0.0

    @classmethod
    @asynccontextmanager
    async def development(cls) -> AsyncIterator[Mapping[str, str]]:
        """Give `vk dev` a configuration that needs no account: keys and values as of ``--set``.

        What it starts, such as an emulator, runs until it is left. The default gives nothing.
        """
        yield {}

    async def __aenter__(self) -> Self:
        """Open connections; called once, while this process holds the node's lease."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        """Close what was opened; workloads stay. ``*_: object`` will do in an override."""
        return

    @abstractmethod
    async def describe_node(self) -> NodeInfo:
        """Return what the node offers: ``cpu``, ``memory`` and ``pods`` at least.

        Called every 60 s and after ``context.node_changed()``; may be cancelled. While it raises,
        the node keeps its last description.
        """

    @abstractmethod
    async def create_pod(self, pod: Pod) -> PodStatus | None:
        """Start the pod; return once the backend has accepted it, not once it runs.

        Must be safe to repeat for one UID: a second call finds the first one's workload. Returns
        its status, or None where the backend does not say yet.
        """

    @abstractmethod
    async def delete_pod(self, key: PodKey, *, grace_period: float) -> PodStatus | None:
        """Ask the backend to end the pod within ``grace_period`` seconds; never wait for that.

        Called again with backoff while the pod has not ended, when the grace period shrinks, and
        once more after a terminal status: then the backend must hold nothing that costs. Success
        or NotFoundError of that last call lets the core remove the pod's object; an error is
        retried with backoff. Returns the status, or None.
        """

    @abstractmethod
    async def list_pods(self) -> Sequence[PodStatus]:
        """Return a status for every pod that carries this cluster's and this node's identity.

        Raises rather than return a part.
        """

    async def update_pod(self, pod: Pod, changed: Collection[str]) -> PodStatus | None:
        """Apply a change of the pod; ``changed`` names the fields, such as ``spec.containers``.

        For containers it also names what changed in them, such as ``spec.containers[].image`` or
        ``spec.containers[].resources`` (a resize). ``pod`` comes without the variables and
        files whose source is gone; only a change that may start containers (an image, an ephemeral
        container, a resize that restarts) waits until all variables are there.

        The default raises UnsupportedError: one event, no retry, the status is kept.
        """
        raise UnsupportedError(f"this provider cannot change a running pod: {sorted(changed)}")

    async def update_files(self, key: PodKey, volume: str, files: FileTree) -> None:
        """Give a running pod new ``files`` of ``volume``, all of them, in place of the old ones.

        Called when a config map, a secret, a label or an annotation changed or a token was renewed,
        and once for each volume after a restart of this process: must be safe to repeat. The
        default raises UnsupportedError: the files stay as they were when the pod was created.
        """
        raise UnsupportedError("this provider cannot change the files of a running pod")

    async def get_pods(self, keys: Sequence[PodKey]) -> Sequence[PodStatus]:
        """Return the statuses of ``keys``; a key missing in the answer is known to be absent.

        Raises where absent and not-permitted look alike; the ``retry_after`` of a TemporaryError
        says when to ask again. The default raises UnsupportedError: the core then relies on several
        complete lists.
        """
        raise UnsupportedError("this provider has no direct look-up")

    async def watch_pods(self) -> AsyncIterator[PodChange]:
        """Yield each change as it happens. When it ends or raises it is started again.

        The default says that there is no stream, and the core polls `list_pods`.
        """
        nothing: tuple[PodChange, ...] = ()
        for change in nothing:  # makes this an async generator, as every override must be
            yield change
        raise UnsupportedError("this provider has no stream of changes")

    async def ping(self) -> None:
        """Raise when the backend cannot be reached; taking over 10 s counts as that too."""
        return

    async def checks(self) -> AsyncIterator[Check]:
        """Yield one Check for each thing that must be right for this provider to work.

        `vk doctor` asks, before a node exists or beside one that runs: the provider has been made
        but is not entered, this process holds no lease, and nothing may be changed. What cannot be
        found out is a Check that says so; an exception counts as a failed one. May be cancelled at
        any await; the iterator is closed. The default yields nothing.
        """
        nothing: tuple[Check, ...] = ()
        for check in nothing:  # makes this an async generator, as every override must be
            yield check

    async def logs(self, container: ContainerKey, options: LogOptions) -> AsyncIterator[bytes]:
        """Yield the container's log, in pieces of any size.

        What must be refused is raised before the first piece: NotFoundError for a log that does not
        exist. The server answers the client after the first piece, or after the end of an empty
        log; what is raised later breaks the answer off. The core has checked that pod and container
        exist. With ``follow`` the log ends when the container does; the server first reads what is
        there without it, so a follower of a silent log is answered at once. May be cancelled at any
        await; the iterator is closed. The default raises UnsupportedError.
        """
        nothing: tuple[bytes, ...] = ()
        for piece in nothing:  # makes this an async generator, as every override must be
            yield piece
        raise UnsupportedError("this provider has no logs")

    async def exec(self, container: ContainerKey, command: Sequence[str], io: ExecIO) -> int | None:
        """Run ``command`` in the container and return its exit code, None if it is not known.

        A code other than 0 is a result, no error. May be cancelled at any await: then the client
        has gone, and the command shall end too.
        """
        raise UnsupportedError("this provider cannot run commands in a container")

    async def attach(self, container: ContainerKey, io: ExecIO) -> None:
        """Connect ``io`` to the container's main process until that ends or the client leaves."""
        raise UnsupportedError("this provider cannot attach to a container")

    async def port_forward(self, key: PodKey, port: int, stream: ByteStream) -> None:
        """Connect ``stream`` to ``port`` of the pod; return once both sides have ended.

        One call a connection. Raises TemporaryError where nothing listens.
        """
        raise UnsupportedError("this provider cannot forward ports")

    async def stats(self) -> NodeStats:
        """Return what the pods use now. Called at most every 10 s; may be cancelled."""
        raise UnsupportedError("this provider has no statistics")


def implements(provider: Provider, method: str) -> bool:
    """Return whether a provider overrides an optional method, such as ``watch_pods``."""
    return getattr(type(provider), method) is not getattr(Provider, method)


@asynccontextmanager
async def open_provider(provider: Provider) -> AsyncIterator[Provider]:
    """Enter a provider; at the end cancel what it supervises, then leave it."""
    context = provider.context
    try:
        async with provider:
            try:
                yield provider
            finally:
                await context.cancel_supervised()
    finally:  # what a failed enter has left
        await context.cancel_supervised()
