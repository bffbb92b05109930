"""The Node object: made or adopted, kept as it must be, restored after another writer's change.

In: the provider's description and pings, conditions set by other parts, and what the reflector sees
of our own Node (`NodeController.observe`). Out: patches of the Node, and `NodeController.info`.
Owned by `kubelet.py`. Every reason to write only wakes one loop, which compares the Node as last
seen with what it must say (`vk.node.document`): a change that was missed is made good by the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

import attrs

from vk.aio.backoff import Backoff
from vk.aio.tasks import supervise
from vk.cluster.client import Client
from vk.cluster.resources import NODES
from vk.errors import ClusterError, ConflictError, ObjectNotFoundError, TemporaryError
from vk.models.node import NodeInfo
from vk.models.pod import Json
from vk.models.status import Condition
from vk.models.time import now
from vk.node.document import (
    Wanted,
    is_draining,
    metadata_patch,
    new_node,
    status_patch,
    wanted,
)
from vk.node.health import Health
from vk.settings import LiveSettings, live

__all__ = ["NodeController"]

log = logging.getLogger(__name__)

_DESCRIBE_INTERVAL = 60.0
_STATUS_INTERVAL = 300.0
_OUTDATED = "ProviderDescriptionOutdated"
_PAUSE = 0.5  # between two writes, so that a fight over a field stays a slow one
_RETRY_CAP = 5.0  # a deleted Node is to be back within 10 s
_EXIT_TIMEOUT = 5.0
_TRIES = 5


class EmitForReference(Protocol):
    """Writes an event about the object that ``reference`` names; never blocks or raises."""

    def __call__(self, reference: Json, type: str, reason: str, message: str, /) -> None: ...


class NodeSource(Protocol):
    """Describes the node and answers pings: the gateway to the provider, with its time-outs."""

    @property
    def in_doubt(self) -> asyncio.Event: ...

    async def describe_node(self) -> NodeInfo: ...

    async def ping(self) -> None: ...


@attrs.define(kw_only=True, eq=False)
class NodeController:
    """Keeps one Node. Call `register` once, then `run` until cancelled, then `stop`.

    ``on_uid`` is called with the Node's UID whenever that is new: the lease's owner follows it.
    """

    client: Client
    settings: LiveSettings = attrs.field(converter=live)
    emit: EmitForReference
    on_uid: Callable[[str], None] = lambda uid: None
    port: int = 0
    """Port of the kubelet's API; 0: it does not listen yet."""
    node: Json | None = attrs.field(default=None, init=False)
    """The Node as last seen or written; None while there is none."""
    written: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    """Set once the status was written for the first time."""
    _info: NodeInfo | None = attrs.field(default=None, init=False)
    _conditions: dict[str, Condition] = attrs.field(factory=dict, init=False)
    _health: Health = attrs.field(init=False)
    _wake: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _again: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _uid: str = attrs.field(default="", init=False)
    _deleted: str | None = attrs.field(default=None, init=False)
    _written_at: float = attrs.field(default=float("-inf"), init=False)

    def __attrs_post_init__(self) -> None:
        self._health = Health(settings=self.settings, on_change=self._report_reachability)

    def described(self) -> NodeInfo:
        """Return the provider's last description; there is one once `register` has returned."""
        if self._info is None:
            raise RuntimeError("the node is not registered yet")
        return self._info

    async def register(self, source: NodeSource) -> None:
        """Create the Node, or adopt the one that is there. The status is left to `run`.

        Raises ClusterError and what ``source`` raises; may be repeated.
        """
        self._info = await source.describe_node()
        await self._write_metadata()

    async def run(self, source: NodeSource) -> None:
        """Keep the Node until cancelled: ask the provider, ping it, write what differs."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(supervise("node status", self._keep))
            tasks.create_task(supervise("node description", lambda: self._redescribe(source)))
            tasks.create_task(
                supervise("provider health", lambda: self._health.run(source.ping, source.in_doubt))
            )

    async def stop(self) -> None:
        """Set Ready=False where the settings ask for it; call it after `run` has ended.

        Raises nothing but cancellation, and takes 5 s at most.
        """
        if not self.settings.current.not_ready_on_exit or self.node is None:
            return
        message = "the virtual kubelet was stopped"
        self._conditions["Ready"] = Condition(
            type="Ready", status="False", reason="KubeletStopped", message=message
        )
        try:
            async with asyncio.timeout(_EXIT_TIMEOUT):
                await self._write_status(force=True)
        except (ClusterError, TimeoutError) as error:
            log.warning("cannot mark the node not ready", extra=self._extra(error))

    def observe(self, old: Json | None, new: Json | None) -> None:
        """Take in what the API server has for our Node; None: it has none. Never blocks."""
        if new is None:
            gone = old or self.node
            self._deleted = _uid(gone) if gone is not None else ""
            if self.node is not None and _uid(self.node) == self._deleted:
                self.node = None
        elif self.node is None or not _outdated(new, self.node):
            self.node = new
        elif old is not None and _outdated(new, old):
            self.node = new  # the reflector never goes back, unless the cluster was restored
        else:
            return
        self._wake.set()

    def changed(self) -> None:
        """Ask the provider for its description soon. Never blocks."""
        self._again.set()

    def listens(self, port: int) -> None:
        """Show on the Node that the kubelet's API listens on ``port``. Never blocks."""
        self.port = port
        self._wake.set()

    def addresses(self) -> tuple[str, ...]:
        """Return the node's addresses; none before it is described."""
        described = () if self._info is None else self._wanted().addresses
        return tuple(one.address for one in described)

    def internal_addresses(self) -> tuple[str, ...]:
        """Return the internal addresses, one of each family: others are no host addresses."""
        found: dict[bool, str] = {}
        for one in ((self.node or {}).get("status") or {}).get("addresses") or ():
            if one["type"] == "InternalIP":
                found.setdefault(":" in one["address"], one["address"])
        return tuple(found.values())

    def labels(self) -> Mapping[str, str]:
        """Return the labels of the Node as last seen."""
        return ((self.node or {}).get("metadata") or {}).get("labels") or {}

    def is_draining(self) -> bool:
        """Return whether the node is being left for good."""
        return is_draining(self.node)

    def problem_conditions(self) -> tuple[Condition, ...]:
        """Return the conditions of the present problems; none when all is well."""
        return (*self._health.conditions(), *self._conditions.values())

    def set_provider_suspect(self, suspect: bool) -> None:
        """Show on the Node whether the provider's lists are believed."""
        if suspect:
            text = "many pods vanished from the provider's list at once; nothing is given up yet"
            self.set_condition(
                Condition(
                    type="ProviderSuspect", status="True", reason="PodsVanished", message=text
                )
            )
        else:
            self.clear_condition("ProviderSuspect")

    def set_condition(self, condition: Condition) -> None:
        """Put a condition on the Node until it is cleared, before the provider's own."""
        if self._conditions.get(condition.type) != condition:
            self._conditions[condition.type] = condition
            self._wake.set()

    def clear_condition(self, type: str) -> None:
        """Take back what `set_condition` did for this type."""
        if self._conditions.pop(type, None) is not None:
            self._wake.set()

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        backoff = Backoff(cap=_RETRY_CAP)
        while True:
            self._wake.clear()
            try:
                await self._write_metadata()
                await self._write_status(force=loop.time() >= self._written_at + _STATUS_INTERVAL)
            except (ClusterError, TimeoutError) as error:
                log.warning("cannot write the node", extra=self._extra(error))
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            await asyncio.sleep(_PAUSE)
            due = max(0.0, self._written_at + _STATUS_INTERVAL - loop.time())
            await _wait(self._wake, due)

    async def _redescribe(self, source: NodeSource) -> None:
        backoff = Backoff(first=1.0, cap=_DESCRIBE_INTERVAL)
        pause = _DESCRIBE_INTERVAL
        while True:
            await _wait(self._again, pause)
            self._again.clear()
            try:
                self._info = await source.describe_node()
                self.clear_condition(_OUTDATED)
                backoff.reset()
                pause = _DESCRIBE_INTERVAL
            except TemporaryError as error:  # an honest answer: what was described before holds
                log.warning("provider cannot describe the node now", extra=self._extra(error))
                self.set_condition(
                    Condition(
                        type=_OUTDATED, status="True", reason="DescribeFailed", message=str(error)
                    )
                )
                pause = backoff.next() if error.retry_after is None else error.retry_after
            except Exception:
                self._again.set()  # asked again as soon as the supervisor lets us
                raise
            self._wake.set()

    def _wanted(self) -> Wanted:
        settings = self.settings.current
        return wanted(
            settings,
            self.described(),
            provider_name=settings.provider,
            internal_ip=settings.internal_ip or self.client.local_address(),
            taints=self._health.taints(),
            conditions=self.problem_conditions(),
            port=self.port,
        )

    async def _write_metadata(self) -> None:
        for _ in range(_TRIES):
            try:
                await self._patch_metadata(await self._current())
                return
            except (ConflictError, ObjectNotFoundError):
                self.node = None  # read again
        raise ConflictError(
            f"node {self.settings.current.node_name} changed {_TRIES} times while writing"
        )

    async def _patch_metadata(self, node: Json) -> None:
        patch = metadata_patch(node, self._wanted())
        if patch is not None:
            name = self.settings.current.node_name
            self._take(await self.client.patch(NODES, name, patch, form="merge"))

    async def _write_status(self, *, force: bool) -> None:
        node = await self._current()
        patch = status_patch(node, self._wanted(), now(), force=force)
        if patch is None:
            return
        sent = asyncio.get_running_loop().time()
        try:
            answer = await self.client.patch(
                NODES, self.settings.current.node_name, patch, subresource="status"
            )
        except ObjectNotFoundError:
            self.node = None
            raise
        self._take(answer)
        self._written_at = sent
        self.written.set()

    async def _current(self) -> Json:
        """Return the Node as known, read, or made now."""
        if self.node is None:
            try:
                node = await self.client.get(NODES, self.settings.current.node_name)
            except ObjectNotFoundError:
                node = await self.client.create(NODES, new_node(self._wanted()))
                log.info("created the node", extra={"node": self.settings.current.node_name})
                self._emit("Normal", "RegisteredNode", "the virtual kubelet created the node")
            self._take(node)
            return node
        return self.node

    def _take(self, node: Json) -> None:
        if _uid(node) == self._deleted:
            return  # the answer to a write came after the news of the deletion
        if self.node is None or not _outdated(node, self.node):
            self.node = node
        if _uid(node) != self._uid:
            self._uid = _uid(node)
            self.on_uid(self._uid)

    def _report_reachability(self) -> None:
        self._wake.set()
        if not self._health.unreachable:
            self._emit("Normal", "ProviderReachable", "the provider answers again")
        elif not self._health.not_ready:
            self._emit("Warning", "ProviderUnreachable", "the provider does not answer")
        else:
            self._emit("Warning", "NodeNotReady", "the provider has not answered for too long")

    def _emit(self, type: str, reason: str, message: str) -> None:
        name = (
            self.settings.current.node_name
        )  # as the UID too, like the kubelet: kubectl looks for that
        reference = {"apiVersion": "v1", "kind": "Node", "namespace": "", "name": name, "uid": name}
        self.emit(reference, type, reason, message)

    def _extra(self, error: BaseException) -> dict[str, str]:
        return {"node": self.settings.current.node_name, "error": repr(error)}


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _uid(node: Json) -> str:
    return node["metadata"].get("uid") or ""


def _outdated(node: Json, known: Json) -> bool:
    """Whether ``node`` is no newer state of the same object; the versions are decimal numbers."""
    one, other = (entry["metadata"].get("resourceVersion") or "" for entry in (node, known))
    if _uid(node) != _uid(known) or not (one.isdecimal() and other.isdecimal()):
        return False
    return int(one) <= int(other)
