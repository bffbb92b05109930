"""The kubelet's HTTPS API of one node: every part of it, built once, started and stopped.

In: what `vk.kubelet` knows of the node, as values and small functions. Out: `Server.run`, which
serves until cancelled, in a standby too; between `open` and `close`, while the provider is entered,
the routes that need the provider work. Where nobody can be told apart it says so, loudly, and
serves nothing but health.
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
from vk.models.status import PodStatus
from vk.provider import Provider
from vk.server.app import Handler, build_app
from vk.server.authentication import Access
from vk.server.authorization import Reviews
from vk.server.certificate_signing import Signing
from vk.server.client_ca import CONFIG_MAP, NAMESPACE, Authority
from vk.server.configz import Configuration
from vk.server.connection_limits import Places
from vk.server.health import Health
from vk.server.listener import Listener
from vk.server.log_follow import Followers
from vk.server.logs import Logs
from vk.server.pods import Pods
from vk.server.serving_certificate import Certificates
from vk.server.stats import Stats
from vk.server.streaming_sessions import Streams
from vk.server.targets import Targets
from vk.settings import LiveSettings, Settings, live

__all__ = ["Server"]

log = logging.getLogger(__name__)

_PATIENCE = 2.0  # s that the first handshake waits for the authority of clients
_GOODBYE = 1.0  # s that requests get at the end
_FRESH = 1.0  # s that a rendered answer is used again: a flood of scrapers costs one rendering
_BLIND = (
    "nobody can be told apart, so only health is served: grant the role "
    "extension-apiserver-authentication-reader, or create of tokenreviews, or name a CA file"
)


@attrs.define(eq=False, kw_only=True)
class _ProviderRoutes:
    """The routes that one open provider answers, with what is under way on them."""

    followers: Followers
    logs: Logs
    stats: Stats
    streams: Streams
    statuses: Callable[[], Iterable[PodStatus]]

    async def close(self) -> None:
        """End every session and every call that is under way."""
        await self.streams.close()
        await self.followers.close()
        await self.stats.close()


@attrs.define(eq=False, kw_only=True)
class Server:
    """Serves one node. Raises ConfigError for certificates that cannot be used."""

    settings: LiveSettings = attrs.field(converter=live)
    client: Client = attrs.field(repr=False)
    pods: Store
    """The pods of this node as the API server has them."""
    hosts: Callable[[], tuple[str, ...]]
    """Names and addresses of the node as known now."""
    ready: Callable[[], bool]
    """Whether the caches are filled."""
    summary: Callable[[], Mapping[str, Any]]
    """What `vk status` shows."""
    on_listen: Callable[[int], None]
    """Called with the port."""
    metrics: Metrics
    port: int = attrs.field(default=0, init=False)
    """Where it listens; 0: not yet."""
    places: Places = attrs.field(factory=Places, init=False)
    """The connections there are."""
    certificates: Certificates = attrs.field(init=False)
    _authority: Authority = attrs.field(init=False)
    _reviews: Reviews = attrs.field(init=False)
    _access: Access = attrs.field(init=False)
    _targets: Targets = attrs.field(init=False)
    _provider_routes: _ProviderRoutes | None = attrs.field(default=None, init=False)
    """The routes of the open provider; None in a standby."""
    _health: Health = attrs.field(init=False)
    _bodies: Memo[str, bytes] = attrs.field(
        factory=lambda: Memo(lambda body: _FRESH, 2), init=False, repr=False
    )
    """What all who ask within a second are answered with."""

    def __attrs_post_init__(self) -> None:
        settings = self.settings.current
        self._authority = Authority(settings.client_authority)
        self.certificates = Certificates(
            authority=self._authority,
            node_name=settings.node_name,
            hosts=self.hosts,
            files=_files(settings),
        )
        self._reviews = Reviews(self.client, settings.node_name)
        self._access = Access(
            authority=self._authority,
            reviews=self._reviews,
            lenient_get=settings.authorization_webhook_get_exec,
            open=settings.insecure_dev,
        )
        self._targets = Targets(self.pods, lambda: self.acting)
        self._health = Health(self.ready)
        text = "Whether this process acts for the node."
        self.metrics.gauge("vk_acting", text, lambda: [({}, float(self.acting))])
        left = self.certificates.seconds_left
        name = "kubelet_certificate_manager_server_ttl_seconds"
        self.metrics.gauge(name, "Until the serving certificate expires.", lambda: [({}, left())])

    @property
    def acting(self) -> bool:
        """Whether a provider is open."""
        return self._provider_routes is not None

    @property
    def streams(self) -> Streams:
        """The streams of the open provider."""
        return self._open_routes().streams

    async def run(self) -> None:
        """Serve until cancelled; open streams end with it."""
        app = build_app(self._handlers(), self._access, observe=self.metrics.served_request)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_GOODBYE)
        await runner.setup()
        assert runner.server is not None
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(supervise("serving certificate", self.certificates.run))
                if port := self.settings.current.health_port:
                    host = self.settings.current.internal_ip
                    probes = supervise("probes", lambda: self._health.serve(host, port))
                    tasks.create_task(probes)
                if not self.settings.current.insecure_dev:
                    await self._learn_access(tasks)
                tasks.create_task(self._listener().run(runner.server))
        finally:
            await self._reviews.close()
            await runner.cleanup()

    @asynccontextmanager
    async def serving_provider(
        self, provider: Provider, statuses: Callable[[], Iterable[PodStatus]]
    ) -> AsyncIterator[None]:
        """Let requests through to ``provider`` inside; at the end those that run are ended.

        ``statuses`` returns the last status of each of its pods.
        """
        settings, followers = self.settings.current, Followers(provider)
        routes = self._provider_routes = _ProviderRoutes(
            followers=followers,
            logs=Logs(provider, self._targets, followers),
            stats=Stats(provider, settings.node_name, self._targets.check_acting),
            streams=Streams(
                provider=provider, targets=self._targets, idle_timeout=settings.stream_idle_timeout
            ),
            statuses=statuses,
        )
        try:
            yield
        finally:
            self._provider_routes = None
            await routes.close()

    def _open_routes(self) -> _ProviderRoutes:
        """Return the routes of the open provider. Raises Refusal 503 in a standby."""
        self._targets.check_acting()
        assert self._provider_routes is not None
        return self._provider_routes

    def _statuses(self) -> Iterable[PodStatus]:
        return () if self._provider_routes is None else self._provider_routes.statuses()

    def _note_port(self, port: int) -> None:
        self.port = port
        self.on_listen(port)

    def signing(self, folder: Path) -> Signing | None:
        """Return what has the serving certificate signed, None where nobody is to be asked.

        ``folder`` is this user's own. Run it while this process acts for the node.
        """
        settings = self.settings.current
        if settings.serving_certificate is not None or not settings.serving_signer:
            return None
        return Signing(
            client=self.client,
            certificates=self.certificates,
            signer=settings.serving_signer,
            node_name=settings.node_name,
            hosts=self.hosts,
            folder=folder,
        )

    async def _learn_access(self, tasks: asyncio.TaskGroup) -> None:
        """Find out how callers can be known; wait a little for it, then serve what is possible."""
        known: asyncio.Event | None = None
        if self.settings.current.client_authority is None:
            reflector = Reflector(
                self.client,
                CONFIG_MAPS,
                Store(),
                self._authority.observe,
                namespace=NAMESPACE,
                field_selector=f"metadata.name={CONFIG_MAP}",
            )
            known = reflector.synced
            tasks.create_task(supervise("authority of clients", reflector.run))
        tasks.create_task(self._probe(known))
        if known is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await known.wait()

    async def _probe(self, known: asyncio.Event | None) -> None:
        await retry_forever("cannot ask the API server about tokens", self._reviews.probe)
        if known is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await known.wait()
        if self._access.blind:
            log.error(_BLIND, extra={"node": self.settings.current.node_name})

    def _listener(self) -> Listener:
        settings = self.settings.current
        address = settings.internal_ip
        host = address if address and ip_address(address).is_loopback else ""
        if settings.insecure_dev:
            host = host or "127.0.0.1"
            text = "everybody on this machine may use this node: --insecure-dev"
            log.warning(text, extra={"host": host})
        return Listener(
            host=host,
            port=settings.kubelet_port,
            certificates=self.certificates,
            on_listen=self._note_port,
            places=self.places,
        )

    def _handlers(self) -> Mapping[str, Handler]:
        lists = Pods(self.pods, self._statuses)
        return {
            "pods": lists.wanted,
            "running_pods": lists.running,
            "logs": self._route(lambda routes: routes.logs.answer),
            "exec": self._route(lambda routes: routes.streams.exec),
            "attach": self._route(lambda routes: routes.streams.attach),
            "port_forward": self._route(lambda routes: routes.streams.port_forward),
            "run": self._route(lambda routes: routes.streams.run),
            "stats": self._route(lambda routes: routes.stats.summary),
            "resource_metrics": self._route(lambda routes: routes.stats.metrics),
            "metrics": self._answer_metrics,
            "health": self._health.alive,
            "ready": self._health.readiness,
            "configuration": Configuration(lambda: self.settings.current).answer,
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
            "source": self.certificates.source,
            "expires": f"{self.certificates.not_after:%Y-%m-%dT%H:%M:%SZ}",
        }
        return orjson.dumps({**self.summary(), "certificate": certificate})


def _files(settings: Settings) -> tuple[Path, Path] | None:
    certificate, key = settings.serving_certificate, settings.serving_key
    if (certificate is None) != (key is None):
        raise ConfigError(
            "APISERVER_CERT_LOCATION, APISERVER_KEY_LOCATION: expected both or none of them"
        )
    return None if certificate is None or key is None else (certificate, key)
