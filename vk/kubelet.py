"""VirtualKubelet: one node from start to end. All wiring is here, with the order of start and stop.

Two lifetimes are nested. A `Node` lives as long as the process: connections, caches of the API
server, the kubelet's API, the lease. A `Term` is one holding of that lease: the provider with its
context, the records, what works on pods and on the Node object. Losing the lease ends the term, and
the process is a standby again; the next term is built anew, so nothing has to be reset.

Task groups are nested in the order of starting: caches and the kubelet's API, lease, provider, node
object, pods. Leaving them, on a stop or an error, ends the components in reverse: calls in flight
get their time, then the provider is closed, then the lease is released, then the connections.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import attrs

from vk._version import __version__
from vk.aio.tasks import retry_forever, supervise
from vk.cluster.client import Client
from vk.cluster.config import Access, load_access
from vk.cluster.events import EventRecorder
from vk.cluster.reflector import Reflector
from vk.cluster.resources import NAMESPACES, NODES, PODS, SERVICES
from vk.cluster.store import Store
from vk.metrics import Metrics, Sample
from vk.models.keys import PodKey
from vk.models.pod import Json
from vk.models.status import PodStatus
from vk.node.controller import NodeController
from vk.node.identity import StateFolder
from vk.node.lease import Lease, LeaseLostError
from vk.pods.resolve.reference_watch import ReferenceWatch
from vk.pods.resolve.references import References
from vk.pods.resolve.resolver import Resolver
from vk.pods.resolve.services import Services, slim
from vk.pods.status.writer import StatusWriter
from vk.pods.sync import gauges
from vk.pods.sync.feed import Feed
from vk.pods.sync.gateway import ProviderGateway
from vk.pods.sync.live_files import LiveFiles
from vk.pods.sync.orphans import Orphans
from vk.pods.sync.pod_view import PodView
from vk.pods.sync.prepare import Preparation
from vk.pods.sync.reconciler import Reconciler
from vk.pods.sync.records import Name, Records
from vk.pods.sync.summary import pod_summaries
from vk.provider import Provider, ProviderContext, open_provider
from vk.server.server import KubeletServer
from vk.settings import LiveSettings, Settings
from vk.workqueue import WorkQueue

__all__ = ["VirtualKubelet", "provider_name"]

log = logging.getLogger(__name__)


def provider_name(provider_class: type[Provider]) -> str:
    """Return a provider's name by its class: ``CountingProvider`` is ``counting``."""
    return provider_class.__name__.removesuffix("Provider").lower() or "provider"


def _check_class(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not (isinstance(value, type) and issubclass(value, Provider)):
        raise TypeError(f"provider_class: expected a subclass of vk.Provider, found {value!r}")


@attrs.define(eq=False)
class VirtualKubelet:
    """One node. `run` once; cancel it to stop.

    Raises ConfigError for a configuration that cannot work. An unreachable API server is waited
    for; a lease that is lost is waited for again.
    """

    provider_class: type[Provider] = attrs.field(validator=_check_class)
    provider_config: Any = None
    settings: Settings = attrs.field(factory=Settings)
    """Without a ``provider`` the class gives its name."""
    access: Access | None = attrs.field(default=None, kw_only=True)
    """The cluster; None: found by ``settings.kubeconfig``."""
    ready: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    """Set while the node is Ready and acts on pods."""
    _live: LiveSettings = attrs.field(init=False, repr=False)
    _node: Node | None = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if not self.settings.provider:
            self.settings = attrs.evolve(self.settings, provider=provider_name(self.provider_class))
        self._live = LiveSettings(self.settings)

    def update_settings(self, settings: Settings) -> None:
        """Go on with other settings. Those outside of `vk.settings.LIVE` must be the same."""
        self.settings = self._live.current = settings
        if self._node is not None and self._node.term is not None:
            self._node.term.node.changed()

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
                cluster_uid = await _cluster_uid(client)
                with StateFolder(settings.state_folder).lock(settings.node_name) as identity:
                    lease = Lease(
                        lease_client,
                        node_name=settings.node_name,
                        identity=identity,
                        duration=settings.node_lease_duration,
                    )
                    self._node = Node(
                        settings=self._live,
                        make_provider=self.provider_class,
                        provider_config=self.provider_config,
                        client=client,
                        lease=lease,
                        cluster_uid=cluster_uid,
                        metrics=metrics,
                        ready=self.ready,
                    )
                    await self._node.run()
        except BaseExceptionGroup as group:
            raise _first(group) from None


async def _cluster_uid(client: Client) -> str:
    """Return the cluster's identity; waits for an API server that is unreachable."""

    async def read() -> str:
        namespace = await client.get(NAMESPACES, "kube-system")
        return str(namespace["metadata"]["uid"])

    return await retry_forever("cannot reach the cluster", read)


@attrs.define(eq=False, kw_only=True)
class Node:
    """What lives as long as the process, in a standby too. `run` once."""

    settings: LiveSettings
    make_provider: Callable[[ProviderContext], Provider]
    provider_config: Any
    client: Client
    lease: Lease
    cluster_uid: str
    metrics: Metrics
    ready: asyncio.Event
    term: Term | None = attrs.field(default=None, init=False)
    """The present holding of the lease; None in a standby."""
    recorder: EventRecorder = attrs.field(init=False)
    services: Services = attrs.field(init=False)
    pods: Reflector = attrs.field(init=False)
    own_node: Reflector = attrs.field(init=False)
    server: KubeletServer = attrs.field(init=False)
    _service_cache: Reflector = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        settings, client = self.settings.current, self.client
        name, compare_every = settings.node_name, 10 * settings.full_resync_period
        self.recorder = EventRecorder(client, "vk", name)
        self.services, pod_store = Services(Store()), Store()
        self.pods = Reflector(
            client,
            PODS,
            pod_store,
            field_selector=f"spec.nodeName={name}",
            compare_every=compare_every,
        )
        self._service_cache = Reflector(
            client,
            SERVICES,
            self.services.store,
            self.services.changed,
            transform=slim,
            compare_every=compare_every,
        )
        self.own_node = Reflector(
            client,
            NODES,
            Store(),
            field_selector=f"metadata.name={name}",
            compare_every=compare_every,
        )
        self.server = KubeletServer(
            settings=self.settings,
            client=client,
            pods=pod_store,
            hosts=self._hosts,
            ready=self.pods.synced.is_set,
            summary=self._summary,
            on_listen=self._on_listen,
            metrics=self.metrics,
        )
        gauges.add(self.metrics, self._records, self._queue, "pods")
        text = "Workloads of the provider that have no pod."
        self.metrics.gauge("vk_orphans", text, self._orphans)

    async def run(self) -> None:
        """Keep the caches, and act as the node whenever this process holds its lease."""
        async with asyncio.TaskGroup() as tasks:
            for name, run in (
                ("pods of this node", self.pods.run),
                ("services", self._service_cache.run),
                ("this node", self.own_node.run),
                ("events", self.recorder.run),
                ("kubelet API", self.server.run),
            ):
                tasks.create_task(supervise(name, run))
            while True:
                await self._hold_lease()

    async def _hold_lease(self) -> None:
        """Wait for the lease, and act until it is lost or this is cancelled."""
        log.info("waiting for the node's lease", extra={"node": self.settings.current.node_name})
        await self.lease.acquire()
        try:
            async with asyncio.TaskGroup() as renewal:
                renewal.create_task(self.lease.run())
                renewal.create_task(self._leave_when_fenced())
                await self._act()
        except* LeaseLostError as lost:
            log.error("lease lost", extra={"error": str(_first(lost))})
        finally:
            await self.lease.release()

    async def _leave_when_fenced(self) -> None:
        """End the term where the lease may have expired for as long as it lasts.

        Leaving a provider whose pods end with it would end them: that one goes on, fenced, until
        another replica is seen to hold the lease.
        """
        await self.lease.fenced_for(self.lease.duration)
        if self.term is None or self.term.provider.durable:
            raise LeaseLostError("the lease could not be renewed for as long as it lasts")

    async def _act(self) -> None:
        for reflector in (self.pods, self._service_cache):
            await reflector.synced.wait()
        self.term = Term(self)
        try:
            await self.term.run()
        finally:
            self.ready.clear()
            self.term = None

    def _hosts(self) -> tuple[str, ...]:
        """Return the names and addresses of the node, as known now."""
        settings = self.settings.current
        own = (settings.node_name, settings.internal_ip or self.client.local_address())
        described = () if self.term is None else self.term.node.addresses()
        return tuple(dict.fromkeys((*own, *described)))

    def _on_listen(self, port: int) -> None:
        if self.term is not None:
            self.term.node.listens(port)

    def _records(self) -> Records:
        return Records() if self.term is None else self.term.records

    def _queue(self) -> WorkQueue[Name] | None:
        return None if self.term is None else self.term.queue

    def _orphans(self) -> list[Sample]:
        return [({}, 0.0 if self.term is None else float(self.term.orphans.suspected))]

    def _summary(self) -> Json:
        term, now, wall = self.term, asyncio.get_running_loop().time(), datetime.now(UTC)
        return {
            "node": self.settings.current.node_name,
            "version": __version__,
            "provider": self.settings.current.provider,
            "acting": self.server.acting,
            "lease": {"holder": self.lease.holder, "own": self.lease.identity},
            "conditions": [
                {"type": one.type, "status": one.status, "message": one.message}
                for one in (() if term is None else term.node.problem_conditions())
            ],
            "queued": 0 if term is None else len(term.queue),
            "orphans": 0 if term is None else term.orphans.suspected,
            "pods": pod_summaries(self._records(), now=now, wall=wall),
        }


class Term:
    """One holding of the lease. `run` once; its end leaves the provider and forgets everything."""

    def __init__(self, home: Node) -> None:
        settings, client, metrics = home.settings, home.client, home.metrics
        emit = home.recorder.emit_about_pod
        self._home, self._settings = home, settings
        self.records = Records()
        self.queue: WorkQueue[Name] = WorkQueue(observer=metrics.queue("pods"))
        watch = ReferenceWatch(client, allowed=settings.current.watch_references)
        references = References(client, watch)
        self._writer = writer = StatusWriter(client=client, emit=emit, started=metrics.pod_started)
        self.node = NodeController(
            client=client,
            settings=settings,
            emit=home.recorder.emit,
            on_uid=home.lease.owner,
            port=home.server.port,
        )
        self.provider = home.make_provider(
            ProviderContext(
                node_name=settings.current.node_name,
                cluster_uid=home.cluster_uid,
                config=home.provider_config,
                pods=PodView(self.records),
                secret=references.secret,
                config_map=references.config_map,
                annotate=self._annotate,
                check_lease=home.lease.check,
                emit=emit,
                node_changed=self.node.changed,
            )
        )
        self.gateway = ProviderGateway(
            provider=self.provider, check_lease=home.lease.check, observe=metrics.operation
        )
        resolver = Resolver(
            provider=self.provider,
            settings=settings.current,
            references=references,
            services=home.services,
            node=self.node.described,
            labels=self.node.labels,
        )
        self._watch = watch
        self._files = LiveFiles(
            gateway=self.gateway,
            resolver=resolver,
            records=self.records,
            wake=self.queue.add,
            emit=emit,
            watch=watch,
        )
        list_requested = asyncio.Event()
        self.reconciler = Reconciler(
            queue=self.queue,
            records=self.records,
            gateway=self.gateway,
            preparation=Preparation(
                resolver=resolver, settings=settings, draining=self.node.is_draining, emit=emit
            ),
            files=self._files,
            writer=writer,
            emit=emit,
            list_requested=list_requested,
            settings=settings,
            host_ips=self.node.internal_addresses,
        )
        self.orphans = Orphans(
            gateway=self.gateway,
            records=self.records,
            client=client,
            settings=settings,
            list_requested=list_requested,
        )
        self.feed = Feed(
            gateway=self.gateway,
            reconciler=self.reconciler,
            orphans=self.orphans,
            list_requested=list_requested,
            set_provider_suspect=self.node.set_provider_suspect,
        )

    async def run(self) -> None:
        """Act as the node until cancelled."""
        home = self._home
        with (
            home.pods.observing(self.reconciler.observe),
            home.pods.observing(home.server.observe),
            home.own_node.observing(self.node.observe),
        ):
            async with (
                open_provider(self.provider),
                home.server.serving_provider(self.provider, self._statuses),
            ):
                register = self.node.register
                await retry_forever("cannot register the node", lambda: register(self.gateway))
                async with self._stopping_node(), asyncio.TaskGroup() as tasks:
                    # Before the first list, which may take long: the node shows the provider's
                    # health.
                    tasks.create_task(supervise("node", lambda: self.node.run(self.gateway)))
                    await self.feed.first_list()
                    tasks.create_task(self.reconciler.run())
                    for name, run in self._loops():
                        tasks.create_task(supervise(name, run))
                    tasks.create_task(self._announce())

    def _loops(self) -> Iterable[tuple[str, Callable[[], Awaitable[None]]]]:
        settings = self._settings.current
        if self.gateway.implements("watch_pods"):
            yield "stream of changes", self.feed.run_stream
        signing = self._home.server.certificate_signing(StateFolder(settings.state_folder).path)
        if signing is not None:
            yield "serving certificate", signing.run
        if self._files.supported:
            yield "files of pods", self._files.run
        yield "watches of references", self._watch.run
        yield "lists of the provider", self.feed.run_lists
        yield "orphans", self.orphans.run
        yield "retries after an outage", self.reconciler.run_retries
        yield "retries after a fence", self._run_unfenced
        yield "resync", lambda: self.reconciler.run_resync(settings.full_resync_period)

    async def _run_unfenced(self) -> None:
        """Try again what waited for the lease, each time that it is renewed after a fence."""
        lease = self._home.lease
        while True:
            await lease.fenced_for(0.0)
            await lease.renewed()
            self.gateway.reachable_again.set()

    @asynccontextmanager
    async def _stopping_node(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self.node.stop()

    async def _announce(self) -> None:
        await self.node.written.wait()
        self._home.ready.set()
        log.info("node is ready", extra={"node": self._settings.current.node_name})

    async def _annotate(self, key: PodKey, annotations: Mapping[str, str]) -> None:
        """Put annotations of the provider on a pod, as `ProviderContext.annotate` promises."""
        record = self.records.get(key.uid)
        if record is not None:
            record.annotated(annotations)
        await self._writer.annotate(key, annotations)

    def _statuses(self) -> list[PodStatus]:
        """Return the last status of each pod."""
        return [record.status for record in self.records if record.status is not None]


def _first(group: BaseException) -> BaseException:
    """Return the first single error of a group: what a caller can name."""
    error = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
