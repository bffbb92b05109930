"""The kubelet's HTTPS API of one node: its parts are built, started and stopped here.

In: what `vk.kubelet` knows of the node, as values and small functions. Out: `KubeletServer.run`,
which serves until cancelled, in a standby too; inside `serving_provider`, while the provider is
open, the routes that need it work. Where no client can be authenticated it logs an error and serves
nothing but health.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import attrs
import orjson
from aiohttp import web

from vk.aio.memo import Memo
from vk.aio.tasks import retry_forever, supervise
from vk.cluster.client import Client
from vk.cluster.reflector import Reflector
from vk.cluster.resources import CONFIG_MAPS
from vk.cluster.store import Store
from vk.errors import ConfigError
from vk.metrics import CONTENT_TYPE, Metrics
from vk.models.pod import Json
from vk.models.status import PodStatus
from vk.provider import Provider
from vk.server.app import Handler, build_app
from vk.server.authentication import Authenticator
from vk.server.authorization import Authorizer
from vk.server.certificate_signing import CertificateSigning
from vk.server.client_ca import CONFIG_MAP, NAMESPACE, ClientCA
from vk.server.configz import ConfigzHandler
from vk.server.connection_limits import ConnectionSlots
from vk.server.connections import ConnectionListener
from vk.server.exec import ExecHandler
from vk.server.health import HealthHandler
from vk.server.log_follow import LogFollowers
from vk.server.logs import LogHandler
from vk.server.pods import PodListHandler
from vk.server.port_forward import PortForwardHandler
from vk.server.serving_certificate import ServingCertificate
from vk.server.stats import StatsHandler
from vk.server.streaming_sessions import StreamingSessions
from vk.server.targets import Targets
from vk.settings import LiveSettings, Settings, live

__all__ = ["KubeletServer"]

log = logging.getLogger(__name__)

_CLIENT_CA_TIMEOUT = 2.0  # s that the first handshake waits for the client CA bundle
_SHUTDOWN_TIMEOUT = 1.0  # s that requests get at the end
_FRESH = 1.0  # s that a rendered answer is used again: a flood of scrapers costs one rendering
_NO_AUTHENTICATOR = (
    "no client can be authenticated, so only health is served: grant the role "
    "extension-apiserver-authentication-reader, or create of tokenreviews, or set a client CA file"
)


@attrs.define(eq=False, kw_only=True)
class _ProviderRoutes:
    """The handlers of one open provider, with its open sessions."""

    followers: LogFollowers
    logs: LogHandler
    stats: StatsHandler
    sessions: StreamingSessions
    exec: ExecHandler
    port_forward: PortForwardHandler
    statuses: Callable[[], Iterable[PodStatus]]

    async def close(self) -> None:
        """End every session and every call that is under way."""
        await self.sessions.close()
        await self.followers.close()
        await self.stats.close()


@attrs.define(eq=False, kw_only=True)
class KubeletServer:
    """Serves one node. Raises ConfigError for invalid certificates."""

    settings: LiveSettings = attrs.field(converter=live)
    client: Client = attrs.field(repr=False)
    pods: Store
    """The pods of this node as the API server has them."""
    hosts: Callable[[], tuple[str, ...]]
    """Returns the current names and addresses of the node."""
    ready: Callable[[], bool]
    """Returns whether the caches are filled."""
    summary: Callable[[], Mapping[str, Any]]
    """Returns what `vk status` shows."""
    on_listen: Callable[[int], None]
    """Called with the port."""
    metrics: Metrics
    port: int = attrs.field(default=0, init=False)
    """Where it listens; 0: not yet."""
    slots: ConnectionSlots = attrs.field(factory=ConnectionSlots, init=False)
    """The open connections."""
    serving_certificate: ServingCertificate = attrs.field(init=False)
    _client_ca: ClientCA = attrs.field(init=False)
    _authenticator: Authenticator = attrs.field(init=False)
    _authorizer: Authorizer = attrs.field(init=False)
    _targets: Targets = attrs.field(init=False)
    _provider_routes: _ProviderRoutes | None = attrs.field(default=None, init=False)
    """The routes of the open provider; None in a standby."""
    _health: HealthHandler = attrs.field(init=False)
    _bodies: Memo[str, bytes] = attrs.field(
        factory=lambda: Memo(lambda body: _FRESH, 2), init=False, repr=False
    )
    """The rendered answers of one second."""

    def __attrs_post_init__(self) -> None:
        settings = self.settings.current
        self._client_ca = ClientCA(settings.client_ca_file)
        self.serving_certificate = ServingCertificate(
            client_ca=self._client_ca,
            node_name=settings.node_name,
            hosts=self.hosts,
            files=_files(settings),
        )
        self._authenticator = Authenticator(
            client=self.client, client_ca=self._client_ca, insecure=settings.insecure_dev
        )
        self._authorizer = Authorizer(
            client=self.client,
            node_name=settings.node_name,
            lenient_get=settings.authorization_webhook_get_exec,
            insecure=settings.insecure_dev,
        )
        self._targets = Targets(self.pods, lambda: self.acting)
        self._health = HealthHandler(self.ready)
        text = "Whether this process acts for the node."
        self.metrics.gauge("vk_acting", text, lambda: [({}, float(self.acting))])
        left = self.serving_certificate.seconds_left
        name = "kubelet_certificate_manager_server_ttl_seconds"
        self.metrics.gauge(name, "Until the serving certificate expires.", lambda: [({}, left())])

    @property
    def acting(self) -> bool:
        """Whether a provider is open."""
        return self._provider_routes is not None

    async def run(self) -> None:
        """Serve until cancelled; open sessions end with it."""
        app = build_app(
            self._handlers(),
            self._authenticator,
            self._authorizer,
            observe=self.metrics.served_request,
        )
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_TIMEOUT)
        await runner.setup()
        assert runner.server is not None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(supervise("serving certificate", self.serving_certificate.run))
                if port := self.settings.current.health_port:
                    host = self.settings.current.internal_ip
                    probes = supervise("probes", lambda: self._health.serve(host, port))
                    tasks.create_task(probes)
                if not self.settings.current.insecure_dev:
                    await self._prepare_authentication(tasks)
                tasks.create_task(self._listener().run(runner.server))
        finally:
            await self._authenticator.close()
            await self._authorizer.close()
            await runner.cleanup()

    @asynccontextmanager
    async def serving_provider(
        self, provider: Provider, statuses: Callable[[], Iterable[PodStatus]]
    ) -> AsyncIterator[None]:
        """Pass requests on to ``provider`` inside; at the end open ones are ended.

        ``statuses`` returns the last status of each of its pods.
        """
        settings, followers = self.settings.current, LogFollowers(provider)
        sessions = StreamingSessions(settings.stream_idle_timeout)
        routes = self._provider_routes = _ProviderRoutes(
            followers=followers,
            logs=LogHandler(provider, self._targets, followers),
            stats=StatsHandler(provider, settings.node_name, self._targets.check_acting),
            sessions=sessions,
            exec=ExecHandler(provider, self._targets, sessions),
            port_forward=PortForwardHandler(provider, self._targets, sessions),
            statuses=statuses,
        )
        try:
            yield
        finally:
            self._provider_routes = None
            await routes.close()

    def observe(self, old: Json | None, new: Json | None) -> None:
        """Note what the API server has of a pod: sessions end with it. Never blocks."""
        if self._provider_routes is not None:
            self._provider_routes.sessions.observe(old, new)

    def _open_routes(self) -> _ProviderRoutes:
        """Return the routes of the open provider. Raises StatusError 503 in a standby."""
        self._targets.check_acting()
        assert self._provider_routes is not None
        return self._provider_routes

    def _statuses(self) -> Iterable[PodStatus]:
        return () if self._provider_routes is None else self._provider_routes.statuses()

    def _note_port(self, port: int) -> None:
        self.port = port
        self.on_listen(port)

    def certificate_signing(self, folder: Path) -> CertificateSigning | None:
        """Return the signing of the serving certificate, None where none is configured.

        ``folder`` is this user's own. Run it while this process acts for the node.
        """
        settings = self.settings.current
        if settings.serving_certificate is not None or not settings.serving_signer:
            return None
        return CertificateSigning(
            client=self.client,
            serving_certificate=self.serving_certificate,
            signer=settings.serving_signer,
            node_name=settings.node_name,
            hosts=self.hosts,
            folder=folder,
        )

    async def _prepare_authentication(self, tasks: asyncio.TaskGroup) -> None:
        """Find out how clients can be authenticated; wait 2 s for it, then serve."""
        known: asyncio.Event | None = None
        if self.settings.current.client_ca_file is None:
            reflector = Reflector(
                self.client,
                CONFIG_MAPS,
                Store(),
                self._client_ca.observe,
                namespace=NAMESPACE,
                field_selector=f"metadata.name={CONFIG_MAP}",
            )
            known = reflector.synced
            tasks.create_task(supervise("client CA bundle", reflector.run))
        tasks.create_task(self._probe(known))
        if known is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLIENT_CA_TIMEOUT):
                    await known.wait()

    async def _probe(self, known: asyncio.Event | None) -> None:
        await retry_forever("cannot review tokens", self._authenticator.probe)
        if known is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLIENT_CA_TIMEOUT):
                    await known.wait()
        if self._authenticator.no_authenticator:
            log.error(_NO_AUTHENTICATOR, extra={"node": self.settings.current.node_name})

    def _listener(self) -> ConnectionListener:
        settings = self.settings.current
        address = settings.internal_ip
        host = address if address and ip_address(address).is_loopback else ""
        if settings.insecure_dev:
            host = host or "127.0.0.1"
            text = "any local user may use this node: --insecure-dev"
            log.warning(text, extra={"host": host})
        return ConnectionListener(
            host=host,
            port=settings.kubelet_port,
            serving_certificate=self.serving_certificate,
            on_listen=self._note_port,
            slots=self.slots,
        )

    def _handlers(self) -> Mapping[str, Handler]:
        lists = PodListHandler(self.pods, self._statuses)
        return {
            "pods": lists.wanted,
            "running_pods": lists.running,
            "logs": self._route(lambda routes: routes.logs.answer),
            "exec": self._route(lambda routes: routes.exec.exec),
            "attach": self._route(lambda routes: routes.exec.attach),
            "port_forward": self._route(lambda routes: routes.port_forward.port_forward),
            "run": self._route(lambda routes: routes.exec.run),
            "stats": self._route(lambda routes: routes.stats.summary),
            "resource_metrics": self._route(lambda routes: routes.stats.metrics),
            "metrics": self._answer_metrics,
            "health": self._health.alive,
            "ready": self._health.readiness,
            "configuration": ConfigzHandler(lambda: self.settings.current).answer,
            "summary": self._answer_summary,
        }

    def _route(self, pick: Callable[[_ProviderRoutes], Handler]) -> Handler:
        """Return a handler of the open provider's routes."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await pick(self._open_routes())(request)

        return handle

    async def _answer_metrics(self, request: web.Request) -> web.Response:
        body = await self._bodies.get("metrics", self._write_metrics)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def _answer_summary(self, request: web.Request) -> web.Response:
        body = await self._bodies.get("summary", self._write_summary)
        return web.Response(body=body, content_type="application/json")

    async def _write_metrics(self) -> bytes:
        return self.metrics.render()

    async def _write_summary(self) -> bytes:
        certificate = {
            "source": self.serving_certificate.source,
            "expires": f"{self.serving_certificate.not_after:%Y-%m-%dT%H:%M:%SZ}",
        }
        return orjson.dumps({**self.summary(), "certificate": certificate})


def _files(settings: Settings) -> tuple[Path, Path] | None:
    certificate, key = settings.serving_certificate, settings.serving_key
    if (certificate is None) != (key is None):
        raise ConfigError(
            "APISERVER_CERT_LOCATION, APISERVER_KEY_LOCATION: expected both or none of them"
        )
    return None if certificate is None or key is None else (certificate, key)
