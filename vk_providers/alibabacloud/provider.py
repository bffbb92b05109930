"""AlibabaCloudProvider: pods run as container groups of Elastic Container Instance.

The parameters of a create come from `create_parameters`; a create is sent once with its ClientToken
(`attempts`), and its group is found again by its tags (`inventory`). A delete uses the group's id.
Changes of groups come from `watch`. To avoid groups that are billed twice: without an answer the
outcome is unknown, and no action follows before it is known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import ClassVar, Self

import attrs

import vk
from vk_providers.alibabacloud.checks import check_all
from vk_providers.alibabacloud.config import EciConfig
from vk_providers.alibabacloud.creation import Creation
from vk_providers.alibabacloud.deletion import Deletion
from vk_providers.alibabacloud.events import EventFeed
from vk_providers.alibabacloud.exec import execute
from vk_providers.alibabacloud.fields import FIELDS
from vk_providers.alibabacloud.groups import ContainerGroup, primary_group
from vk_providers.alibabacloud.inventory import Inventory
from vk_providers.alibabacloud.logs import read_log
from vk_providers.alibabacloud.lookup import GroupLookup
from vk_providers.alibabacloud.node_info import describe_node
from vk_providers.alibabacloud.prices import Prices
from vk_providers.alibabacloud.service import Service, open_service
from vk_providers.alibabacloud.stats import measure
from vk_providers.alibabacloud.status import pod_status, sidecars_of
from vk_providers.alibabacloud.tags import NodeIdentity
from vk_providers.alibabacloud.watch import Watch

__all__ = ["AlibabaCloudProvider"]

log = logging.getLogger(__name__)

_UNNOTICED = frozenset({"metadata.annotations", "spec.activeDeadlineSeconds", "spec.tolerations"})
"""Fields whose change does not affect the group."""
_LABELS = "metadata.labels"
_IMAGES = frozenset(
    {
        "spec.containers",
        "spec.containers[].image",
        "spec.initContainers",
        "spec.initContainers[].image",
    }
)
"""Fields of a change of images."""


@attrs.define(eq=False)
class AlibabaCloudProvider(vk.Provider):
    """Runs each pod as one container group."""

    config_class: ClassVar[type[EciConfig]] = EciConfig
    fields: ClassVar[vk.FieldTable] = FIELDS
    resolves: ClassVar[frozenset[str]] = frozenset({"env", "files"})
    list_interval: ClassVar[float] = 120.0
    list_timeout: ClassVar[float] = 120.0
    get_timeout: ClassVar[float] = 30.0

    _service: Service = attrs.field(init=False)
    _inventory: Inventory = attrs.field(init=False)
    _creation: Creation = attrs.field(init=False)
    _deletion: Deletion = attrs.field(init=False)
    _lookup: GroupLookup = attrs.field(init=False)
    _watch: Watch = attrs.field(init=False)
    _events: EventFeed = attrs.field(init=False)
    _prices: Prices = attrs.field(init=False)
    _stack: AsyncExitStack = attrs.field(factory=AsyncExitStack, init=False)

    @classmethod
    @asynccontextmanager
    async def development(cls) -> AsyncIterator[Mapping[str, str]]:
        """Run the emulator while `vk dev` runs, and yield the settings that use it."""
        from vk_providers.alibabacloud.development import run_emulator

        async with run_emulator() as settings:
            yield settings

    @property
    def list_lag(self) -> float:
        """Seconds for which a new group may be missing from an answer."""
        return self._config.list_lag

    @property
    def _config(self) -> EciConfig:
        config: EciConfig | None = self.context.config
        return config if config is not None else EciConfig()

    async def __aenter__(self) -> Self:
        """Open the connections. Raises ConfigError for settings that are missing."""
        context = self.context
        self._service = await self._stack.enter_async_context(
            open_service(self._config, check_lease=context.check_lease)
        )
        config, client = self._service.config, self._service.client
        await self._service.credentials.get()
        identity = NodeIdentity(
            cluster_uid=context.cluster_uid,
            node_name=context.node_name,
            cluster_name=config.cluster_name,
        )
        self._inventory = Inventory(client=client, identity=identity, lag=config.list_lag)
        self._prices = Prices(client, config.price)
        self._lookup = GroupLookup(self._inventory, context.pods, config.list_lag)
        self._creation = Creation(
            config=config,
            context=context,
            inventory=self._inventory,
            lookup=self._lookup,
        )
        self._watch = Watch(
            inventory=self._inventory,
            pods=context.pods,
            status_of=self._status,
            fails_fast=self._creation.fails_fast,
            end=self._end,
            on_failure=self._creation.failed,
            max_pending=config.max_pending,
        )
        self._deletion = Deletion(self._inventory, self._lookup, self._watch)
        self._events = EventFeed(self._inventory, context.emit, config.poll)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections; the groups keep running."""
        await self._stack.aclose()

    async def describe_node(self) -> vk.NodeInfo:
        """Return the capacity by the account's quota and the configuration."""
        service = self._service
        return await describe_node(service.client, service.config, node_name=self.context.node_name)

    async def ping(self) -> None:
        """Call DescribeRegions, a cheap action."""
        await self._service.client.call("DescribeRegions", {})

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        """Create the pod's group, or return the existing one."""
        return self._status(await self._creation.create(pod))

    async def update_pod(self, pod: vk.Pod, changed: Collection[str]) -> vk.PodStatus | None:
        """Update images in place; the group keeps its address, its containers restart.

        Changed labels update the tags; nothing restarts.
        """
        noticed = set(changed) - _UNNOTICED
        if others := noticed - _IMAGES - {_LABELS}:
            names = ", ".join(sorted(others))
            raise vk.UnsupportedError(f"ECI updates only images of a running pod: {names}")
        if _LABELS in noticed:
            await self._creation.tag(pod)
        if noticed & _IMAGES:
            await self._creation.update(pod)
        return None

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> vk.PodStatus | None:
        """Delete the pod's groups by their ids."""
        group = await self._deletion.delete(key, grace_period)
        self._creation.forget(key.uid)
        return self._status(group)

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        """Return the status of every pod that has a group with this node's tags."""
        groups = await self._inventory.list_all(self._lookup.noted())
        primary = (self._inventory.best(uid) for uid in {group.key.uid for group in groups})
        found = [group for group in primary if group is not None]
        for group in found:
            if group.alive:
                await self._prices.learn(group)
        return [self._status(group) for group in found]

    async def get_pods(self, keys: Sequence[vk.PodKey]) -> Sequence[vk.PodStatus]:
        """Return the statuses of ``keys``; raises where an absence is not proved."""
        found = await self._lookup.find(keys)
        return [self._status(group) for group in found]

    async def watch_pods(self) -> AsyncIterator[vk.PodChange]:
        """Yield changes, each some seconds after it happened."""
        while True:
            async for change in self._watch.round():
                yield change
            await self._events.forward()
            for group in self._inventory:
                primary = self._inventory.best(group.key.uid) is group and group.alive
                if primary and group.raw and await self._prices.learn(group):
                    yield self._status(group)
            await asyncio.sleep(self._watch.interval(self._config.poll))

    async def logs(
        self, container: vk.ContainerKey, options: vk.LogOptions
    ) -> AsyncIterator[bytes]:
        """Yield the log: the last 2000 lines and 1 MiB of it at most."""
        group = await self._group(container.pod)
        if options.previous:
            await self._check_ran_before(group, container)
        client = self._service.client
        async for piece in read_log(
            client, self.context, group=group.id, container=container, options=options
        ):
            yield piece

    async def exec(
        self, container: vk.ContainerKey, command: Sequence[str], io: vk.ExecIO
    ) -> int | None:
        """Run a command; its exit code may be unknown, see the setting ``exec_exit_code``."""
        group, service = await self._group(container.pod), self._service
        wrap = service.config.exec_exit_code == "wrap" and not io.tty
        return await execute(
            service.client,
            group=group.id,
            container=container.name,
            command=command,
            io=io,
            wrap=wrap,
        )

    async def stats(self) -> vk.NodeStats:
        """Return the usage of the running groups."""
        running = [group for group in self._inventory if group.status == "Running"]
        return await measure(self._service.client, running)

    async def checks(self) -> AsyncIterator[vk.Check]:
        """Check this configuration; nothing is changed."""
        async for check in check_all(self._config):
            yield check

    def _status(self, group: ContainerGroup) -> vk.PodStatus:
        return pod_status(
            group,
            sidecars=sidecars_of(self.context.pods.get(group.key.uid)),
            images=self._watch.images.get(group.id),
            price=self._prices.of(group),
        )

    async def _group(self, key: vk.PodKey) -> ContainerGroup:
        group = self._inventory.best(key.uid) or primary_group(await self._inventory.find(key.uid))
        if group is None:
            raise vk.NotFoundError(f"pod {key} has no container group")
        return group

    async def _check_ran_before(self, group: ContainerGroup, container: vk.ContainerKey) -> None:
        """Raise InvalidInputError where there was no previous run; ECI reports no error then."""
        look = await self._inventory.look([group.id])
        status = self._status(look.found.get(group.id, group))
        for one in (*status.init_containers, *status.containers):
            if one.name == container.name and (one.restart_count or one.last_state):
                return
        raise vk.InvalidInputError(f"previous terminated container {container} not found")

    async def _end(self, group: ContainerGroup) -> None:
        await self._deletion.end(group)
