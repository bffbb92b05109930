"""VirtualKubelet: the only file that knows every part; start order, and reverse stop order.

Task groups are nested in the order of starting: caches, lease, provider, pods and node. Leaving
them, on a stop or an error, ends the parts in reverse: calls to the provider get their time, then
the provider is closed, then the lease is released, then the connections are closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import attrs

from vk._version import __version__
from vk.aio.tasks import supervise, until_it_works
from vk.cluster.client import Client
from vk.cluster.config import Access, load_access
from vk.cluster.events import EventRecorder
from vk.cluster.reflector import Reflector
from vk.cluster.resources import NAMESPACES, NODES, PODS, SERVICES
from vk.cluster.store import Store
from vk.models.keys import PodKey
from vk.models.status import Condition
from vk.node.controller import NodeController
from vk.node.identity import StateFolder
from vk.node.lease import Lease
from vk.pods.act import Act
from vk.pods.budget import CreateBudget
from vk.pods.controller import Controller
from vk.pods.feed import Feed
from vk.pods.prepare import Preparation
from vk.pods.records import PodView, Records
from vk.pods.references import References
from vk.pods.refusals import Refusals
from vk.pods.removal import Orphans
from vk.pods.report import Report
from vk.pods.services import Services, slim
from vk.provider import Provider, ProviderContext
from vk.settings import Settings
from vk.workqueue import WorkQueue

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

    async def run(self) -> None:
        """Join the cluster and act as a node until cancelled."""
        access = self.access or await load_access(self.settings.kubeconfig)
        agent = f"vk/{__version__}"
        settings = self.settings
        client = Client(
            access, user_agent=agent, qps=settings.kube_api_qps, burst=settings.kube_api_burst
        )
        try:
            # The lease never waits behind pods: it has a connection of its own.
            async with client, Client(access, user_agent=agent, connections=2) as lease_client:
                await self._join(client, lease_client)
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def _join(self, client: Client, lease_client: Client) -> None:
        cluster_uid = await self._cluster_uid(client)
        name = self.settings.node_name
        with StateFolder(self.settings.state_folder).lock(name) as identity:
            lease = Lease(
                lease_client,
                node_name=name,
                identity=identity,
                duration=self.settings.node_lease_duration,
            )
            parts = _Parts(self, client, lease, cluster_uid)
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


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first single error of a group: what a caller can name."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class _Parts:
    """Builds every part, once, and gives each what it needs."""

    def __init__(
        self, kubelet: VirtualKubelet, client: Client, lease: Lease, cluster_uid: str
    ) -> None:
        settings = kubelet.settings
        self.kubelet, self.client, self.lease = kubelet, client, lease
        self.recorder = EventRecorder(client, "vk", settings.node_name)
        self.records = Records()
        self.queue: WorkQueue[tuple[str, str]] = WorkQueue()
        self.references = References(client)
        self.services = Services(Store())
        self.report = Report(client=client, emit=self.emit)
        self.provider = kubelet.provider_class(
            ProviderContext(
                node_name=settings.node_name,
                cluster_uid=cluster_uid,
                config=kubelet.provider_config,
                pods=PodView(self.records),
                secret=self.references.secret,
                config_map=self.references.config_map,
                annotate=self.report.annotate,
                check_lease=lease.check,
                emit=self.emit,
                node_changed=self.node_changed,
            )
        )
        self.node = NodeController(
            client=client,
            settings=settings,
            provider_name=settings.provider,
            describe=self.provider.describe_node,
            ping=self.provider.ping,
            emit=self.recorder.emit,
            on_uid=lease.owner,
        )
        self._build_pods(settings)
        self._build_reflectors(settings)

    def _build_pods(self, settings: Settings) -> None:
        prepare = Preparation(
            provider=self.provider,
            settings=settings,
            references=self.references,
            services=self.services,
            node=lambda: self.node.info,
            labels=lambda: ((self.node.node or {}).get("metadata") or {}).get("labels") or {},
            emit=self.emit,
        )
        act = Act(
            provider=self.provider,
            prepare=prepare,
            refusals=Refusals(),
            budget=CreateBudget(settings.max_creates_per_minute),
            check_lease=self.lease.check,
            emit=self.emit,
            ask_list=lambda: self.feed.ask_list(),
        )
        self.controller = Controller(
            queue=self.queue,
            records=self.records,
            act=act,
            report=self.report,
            creates=settings.pod_sync_workers,
            enforce_deadline=not self.provider.fields.honours("spec.activeDeadlineSeconds"),
        )
        self.orphans = Orphans(
            provider=self.provider,
            records=self.records,
            client=self.client,
            check_lease=self.lease.check,
            policy=settings.orphans,
        )
        self.feed = Feed(
            provider=self.provider,
            controller=self.controller,
            orphans=self.orphans,
            suspect=self.doubt,
        )

    def _build_reflectors(self, settings: Settings) -> None:
        name, compare_every = settings.node_name, 10 * settings.full_resync_period
        self.pods = Reflector(
            self.client,
            PODS,
            Store(),
            self.controller.observe,
            field_selector=f"spec.nodeName={name}",
            compare_every=compare_every,
        )
        self.service_cache = Reflector(
            self.client,
            SERVICES,
            self.services.store,
            self.services.changed,
            transform=slim,
            compare_every=compare_every,
        )
        self.own_node = Reflector(
            self.client,
            NODES,
            Store(),
            self.node.observe,
            field_selector=f"metadata.name={name}",
            compare_every=compare_every,
        )

    def caches(self) -> list[Coroutine[Any, Any, None]]:
        """Return what runs in a standby too."""
        return [
            supervise("pods of this node", self.pods.run),
            supervise("services", self.service_cache.run),
            supervise("this node", self.own_node.run),
            supervise("events", self.recorder.run),
        ]

    async def act(self) -> None:
        """Act as the node, while the lease is held, until cancelled."""
        for reflector in (self.pods, self.service_cache):
            await reflector.synced.wait()
        async with self.provider:
            await until_it_works("cannot register the node", self.node.register)
            await self.feed.first_list()
            async with self._stopping_node(), asyncio.TaskGroup() as tasks:
                tasks.create_task(self.controller.run())
                if type(self.provider).watch_pods is not Provider.watch_pods:
                    tasks.create_task(supervise("stream of changes", self.feed.run_stream))
                for name, run in self._loops():
                    tasks.create_task(supervise(name, run))
                tasks.create_task(self._announce())

    def _loops(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        period = self.kubelet.settings.full_resync_period
        return [
            ("lists of the provider", self.feed.run_lists),
            ("orphans", self.orphans.run),
            ("resync", lambda: self.controller.run_resync(period)),
            ("node", self.node.run),
        ]

    @asynccontextmanager
    async def _stopping_node(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self.node.stop()

    async def _announce(self) -> None:
        await self.node.written.wait()
        self.kubelet.ready.set()
        log.info("node is ready", extra={"node": self.kubelet.settings.node_name})

    def emit(
        self, key: PodKey, type: str, reason: str, message: str, *, id: str | None = None
    ) -> None:
        """Write an event about a pod."""
        reference = {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": key.namespace,
            "name": key.name,
            "uid": key.uid,
        }
        self.recorder.emit(reference, type, reason, message, id=id)

    def node_changed(self) -> None:
        """Ask for a new description of the node."""
        self.node.changed()

    def doubt(self, doubted: bool) -> None:
        """Say on the node whether the provider's lists are believed."""
        if doubted:
            text = "many pods vanished from the provider's list at once; nothing is given up yet"
            self.node.set_condition(
                Condition(
                    type="ProviderSuspect", status="True", reason="PodsVanished", message=text
                )
            )
        else:
            self.node.clear_condition("ProviderSuspect")
