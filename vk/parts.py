"""The parts of one node: built once, each given what it needs; what runs in a standby and after it.

`vk.kubelet` owns the order of start and stop, and calls `caches` and `act`. This is the only file
that knows every part.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from vk._version import __version__
from vk.aio.tasks import supervise, until_it_works
from vk.cluster.client import Client
from vk.cluster.events import EventRecorder
from vk.cluster.reflector import Reflector
from vk.cluster.resources import NODES, PODS, SERVICES
from vk.cluster.store import Store
from vk.metrics import Metrics
from vk.models.pod import Json
from vk.models.status import Condition, PodStatus
from vk.node.controller import NodeController
from vk.node.document import is_draining
from vk.node.identity import StateFolder
from vk.node.lease import Lease
from vk.pods.resolve.live_files import LiveFiles
from vk.pods.resolve.reference_watch import ReferenceWatch
from vk.pods.resolve.references import References
from vk.pods.resolve.resolver import Resolver
from vk.pods.resolve.services import Services, slim
from vk.pods.status.facts import internal_addresses
from vk.pods.status.writer import Report
from vk.pods.sync.actions import Act
from vk.pods.sync.create_limit import CreateBudget
from vk.pods.sync.failure_rate import Refusals
from vk.pods.sync.feed import Feed
from vk.pods.sync.gateway import timing
from vk.pods.sync.gauges import watch
from vk.pods.sync.orphans import Orphans
from vk.pods.sync.prepare import Preparation
from vk.pods.sync.reconciler import Controller
from vk.pods.sync.records import PodView, Records
from vk.pods.sync.summary import pod_summaries
from vk.provider import Provider, ProviderContext
from vk.server.server import Server
from vk.settings import Settings
from vk.workqueue import WorkQueue

__all__ = ["Parts"]

log = logging.getLogger(__name__)


class Parts:
    """Builds every part, once, and gives each what it needs. ``ready`` is set by `act`."""

    def __init__(
        self,
        settings: Settings,
        make_provider: Callable[[ProviderContext], Provider],
        *,
        provider_config: Any,
        client: Client,
        lease: Lease,
        cluster_uid: str,
        metrics: Metrics,
        ready: asyncio.Event,
    ) -> None:
        self.settings, self.client, self.lease = settings, client, lease
        self.metrics, self.ready = metrics, ready
        self.recorder = EventRecorder(client, "vk", settings.node_name)
        self.emit = self.recorder.emit_about_pod
        self.records = Records()
        self.queue: WorkQueue[tuple[str, str]] = WorkQueue(observer=metrics.queue("pods"))
        self.timed = timing(metrics.operation)
        self.references = References(client)
        self.services = Services(Store())
        self.report = Report(
            client=client,
            emit=self.emit,
            started=metrics.pod_started,
            host_ips=lambda: internal_addresses(self.node.node),
        )
        self.provider = make_provider(
            ProviderContext(
                node_name=settings.node_name,
                cluster_uid=cluster_uid,
                config=provider_config,
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
        self.pod_store = Store()
        self._build_pods(settings)
        self._build_reflectors(settings)
        self.server = Server(
            settings=settings,
            client=client,
            provider=self.provider,
            pods=self.pod_store,
            statuses=self._statuses,
            hosts=self.node.hosts,
            ready=self.pods.synced.is_set,
            summary=self._summary,
            on_listen=self.node.listens,
            metrics=metrics,
        )
        watch(metrics, self.records, self.queue, "pods")
        metrics.gauge("vk_orphans", "Workloads that no pod asks for.", self.orphans.samples)

    def _build_pods(self, settings: Settings) -> None:
        self.resolver = resolver = Resolver(
            provider=self.provider,
            settings=settings,
            references=self.references,
            services=self.services,
            node=lambda: self.node.info,
            labels=self._labels,
        )
        self.live = LiveFiles(
            resolver=resolver,
            records=self.records,
            wake=self.queue.add,
            check_lease=self.lease.check,
            emit=self.emit,
            watch=ReferenceWatch(self.client, allowed=settings.watch_references),
            timed=self.timed,
        )
        self.budget = CreateBudget(settings.max_creates_per_minute)
        act = Act(
            provider=self.provider,
            prepare=Preparation(
                resolver=resolver, draining=lambda: is_draining(self.node.node), emit=self.emit
            ),
            refusals=Refusals(),
            budget=self.budget,
            check_lease=self.lease.check,
            emit=self.emit,
            ask_list=lambda: self.feed.ask_list(),
            created=self.live.created,
            timed=self.timed,
        )
        self.controller = Controller(
            queue=self.queue,
            records=self.records,
            act=act,
            live=self.live,
            report=self.report,
            creates=settings.pod_sync_workers,
            enforce_deadline="spec.activeDeadlineSeconds" not in self.provider.fields.honoured,
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
            timed=self.timed,
        )

    def _build_reflectors(self, settings: Settings) -> None:
        name, compare_every = settings.node_name, 10 * settings.full_resync_period
        self.pods = Reflector(
            self.client,
            PODS,
            self.pod_store,
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
            supervise("kubelet API", self.server.run),
        ]

    async def act(self) -> None:
        """Act as the node, while the lease is held, until cancelled."""
        for reflector in (self.pods, self.service_cache):
            await reflector.synced.wait()
        async with self.provider, self.server.serving_provider():
            await until_it_works("cannot register the node", self.node.register)
            async with self._stopping_node(), asyncio.TaskGroup() as tasks:
                # Before the first list, which may take long: the node says how the provider is.
                tasks.create_task(supervise("node", self.node.run))
                await self.feed.first_list()
                tasks.create_task(self.controller.run())
                if type(self.provider).watch_pods is not Provider.watch_pods:
                    tasks.create_task(supervise("stream of changes", self.feed.run_stream))
                for name, run in self._loops():
                    tasks.create_task(supervise(name, run))
                tasks.create_task(self._announce())

    def _loops(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        period = self.settings.full_resync_period
        signing = self.server.signing(StateFolder(self.settings.state_folder).path)
        return [
            *([] if signing is None else [("serving certificate", signing.run)]),
            *([("files of pods", self.live.run)] if self.live.works else []),
            ("watches of references", self.live.watch.run),
            ("lists of the provider", self.feed.run_lists),
            ("orphans", self.orphans.run),
            ("resync", lambda: self.controller.run_resync(period)),
        ]

    @asynccontextmanager
    async def _stopping_node(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self.node.stop()

    async def _announce(self) -> None:
        await self.node.written.wait()
        self.ready.set()
        log.info("node is ready", extra={"node": self.settings.node_name})

    def _labels(self) -> Mapping[str, str]:
        return ((self.node.node or {}).get("metadata") or {}).get("labels") or {}

    def _statuses(self) -> list[PodStatus]:
        return [record.status for record in self.records if record.status is not None]

    def _summary(self) -> Json:
        now, wall = asyncio.get_running_loop().time(), datetime.now(UTC)
        return {
            "node": self.settings.node_name,
            "version": __version__,
            "provider": self.settings.provider,
            "acting": self.server.acting,
            "lease": {"holder": self.lease.holder, "own": self.lease.identity},
            "conditions": [
                {"type": one.type, "status": one.status, "message": one.message}
                for one in self.node.doubts()
            ],
            "queued": len(self.queue),
            "orphans": self.orphans.suspected,
            "pods": pod_summaries(self.records, now=now, wall=wall),
        }

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
