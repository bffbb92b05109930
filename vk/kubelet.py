"""VirtualKubelet: one node from start to end; start order, and reverse stop order.

Task groups are nested in the order of starting: caches and the kubelet's API, lease, provider, pods
and node. Leaving them, on a stop or an error, ends the parts in reverse: calls to the provider get
their time, then the provider is closed, then the lease is released, then the connections are
closed. What the parts are is in `vk.parts`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import attrs

from vk._version import __version__
from vk.aio.tasks import until_it_works
from vk.cluster.client import Client
from vk.cluster.config import Access, load_access
from vk.cluster.resources import NAMESPACES
from vk.metrics import Metrics
from vk.node.identity import StateFolder
from vk.node.lease import Lease
from vk.parts import Parts
from vk.provider import Provider
from vk.settings import Settings

__all__ = ["VirtualKubelet"]

log = logging.getLogger(__name__)


@attrs.define(eq=False)
class VirtualKubelet:
    """One node. `run` once; cancel it to stop.

    Raises ConfigError for a configuration that cannot work, and LeaseLostError (a ClusterError)
    when another process has taken over. An API server that is away is waited for.
    """

    settings: Settings
    provider_class: type[Provider]
    provider_config: Any = None
    access: Access | None = None  # else found by ``settings.kubeconfig``
    ready: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    """Set once the node is Ready and acts on pods."""
    _parts: Parts | None = attrs.field(default=None, init=False, repr=False)

    def adjust(self, settings: Settings) -> None:
        """Go on with other settings. Those outside of `vk.settings.LIVE` must be the same."""
        self.settings = settings
        if self._parts is not None:
            _adjust(self._parts, settings)

    async def run(self) -> None:
        """Join the cluster and act as a node until cancelled."""
        access = self.access or await load_access(self.settings.kubeconfig)
        agent = f"vk/{__version__}"
        settings, metrics = self.settings, Metrics(self.settings.node_name)
        observe = metrics.client_request
        client = Client(
            access,
            user_agent=agent,
            qps=settings.kube_api_qps,
            burst=settings.kube_api_burst,
            observe=observe,
        )
        # The lease never waits behind pods: it has a connection of its own.
        lease_client = Client(access, user_agent=agent, connections=2, observe=observe)
        try:
            async with client, lease_client:
                await self._join(client, lease_client, metrics)
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def _join(self, client: Client, lease_client: Client, metrics: Metrics) -> None:
        cluster_uid = await self._cluster_uid(client)
        name = self.settings.node_name
        with StateFolder(self.settings.state_folder).lock(name) as identity:
            lease = Lease(
                lease_client,
                node_name=name,
                identity=identity,
                duration=self.settings.node_lease_duration,
            )
            parts = self._parts = Parts(
                self.settings,
                self.provider_class,
                provider_config=self.provider_config,
                client=client,
                lease=lease,
                cluster_uid=cluster_uid,
                metrics=metrics,
                ready=self.ready,
            )
            async with asyncio.TaskGroup() as caches:
                for cache in parts.caches():
                    caches.create_task(cache)
                log.info("waiting for the node's lease", extra={"node": name})
                await lease.acquire()
                try:
                    async with asyncio.TaskGroup() as renewal:
                        renewal.create_task(lease.run())
                        await parts.act()
                finally:
                    await lease.release()

    async def _cluster_uid(self, client: Client) -> str:
        async def read() -> str:
            namespace = await client.get(NAMESPACES, "kube-system")
            return str(namespace["metadata"]["uid"])

        return str(await until_it_works("cannot reach the cluster", read))


def _adjust(parts: Parts, settings: Settings) -> None:
    parts.settings = parts.node.settings = settings
    parts.resolver.settings = parts.server.settings = settings
    parts.budget.per_minute = settings.max_creates_per_minute
    parts.orphans.policy = settings.orphans
    parts.node.changed()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first single error of a group: what a caller can name."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
