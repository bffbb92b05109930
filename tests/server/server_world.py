"""A node's API on loopback, with real TLS, and an embedded cluster that authorizes its clients."""

from __future__ import annotations

import asyncio
import itertools
import logging
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import attrs
from yarl import URL

import vk
from vk.cluster.client import Client
from vk.cluster.kubeconfig import read_access
from vk.cluster.resources import Resource
from vk.cluster.store import Store
from vk.devcluster.cluster import DevCluster
from vk.metrics import Metrics
from vk.models.keys import ContainerKey, PodKey
from vk.models.logs import LogOptions
from vk.server.server import KubeletServer
from vk.settings import Settings

NODE = "n1"
KEY = PodKey("default", "web", "u1")
POD = {
    "metadata": {"namespace": "default", "name": "web", "uid": "u1"},
    "spec": {
        "containers": [{"name": "app", "image": "nginx"}],
        "initContainers": [{"name": "first"}],
    },
    "status": {"phase": "Running"},
}
_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", False)
_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", False
)
_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
_numbers = itertools.count(1)


@attrs.define(eq=False)
class Quiet(vk.Provider):
    """A provider with logs and statistics that its tests set."""

    context: Any = None
    text: bytes = attrs.field(default=b"one\ntwo\n", repr=False)
    asked: list[tuple[ContainerKey, LogOptions]] = attrs.field(factory=list)
    usage: vk.NodeStats | Exception = attrs.field(factory=vk.NodeStats)

    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "1", "memory": "1Gi", "pods": "10"})

    async def create_pod(self, pod: vk.Pod) -> None:
        return None

    async def delete_pod(self, key: PodKey, *, grace_period: float) -> None:
        return None

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        return ()

    async def logs(self, container: ContainerKey, options: LogOptions) -> AsyncIterator[bytes]:
        self.asked.append((container, options))
        async for piece in self.pieces():
            yield piece

    async def pieces(self) -> AsyncIterator[bytes]:
        yield self.text

    async def stats(self) -> vk.NodeStats:
        if isinstance(self.usage, Exception):
            raise self.usage
        return self.usage


@attrs.define(eq=False)
class World:
    """One server, and ways to call it."""

    cluster: DevCluster
    client: Client
    server: KubeletServer
    port: int
    session: aiohttp.ClientSession
    reviews: list[int]
    """The status of each review that the node asked for."""

    def url(self, path: str) -> URL:
        return URL(f"https://127.0.0.1:{self.port}{path}", encoded=True)

    def certificate(self, user: str = "admin", groups: Sequence[str] = ()) -> ssl.SSLContext:
        """Return the TLS side of a client with a certificate of the cluster's authority."""
        folder, name = self.cluster.folder, user
        if user != "admin":
            self.cluster.kubeconfig_for(user, groups)
        return client_context(folder / f"{name}.crt", folder / f"{name}.key")

    async def call(
        self,
        path: str,
        method: str = "GET",
        *,
        tls: ssl.SSLContext | None = None,
        token: str = "",
    ) -> tuple[int, str]:
        """Return status and text of one request on a connection of its own."""
        headers = {"Connection": "close"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = self.session.request(
            method, self.url(path), ssl=tls or client_context(), headers=headers
        )
        async with request as answer:
            return answer.status, await answer.text()

    async def grant(self, user: str, verb: str, *subresources: str) -> None:
        """Let ``user`` do ``verb`` with subresources of nodes."""
        name = f"role-{next(_numbers)}"
        rule = {
            "apiGroups": [""],
            "resources": [f"nodes/{one}" for one in subresources],
            "verbs": [verb],
        }
        await self.client.create(_ROLES, {"metadata": {"name": name}, "rules": [rule]})
        subject = {"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}
        role = {"kind": "ClusterRole", "name": name, "apiGroup": "rbac.authorization.k8s.io"}
        body = {"metadata": {"name": name}, "roleRef": role, "subjects": [subject]}
        await self.client.create(_BINDINGS, body)

    async def token(self, name: str) -> str:
        """Return a token of a new service account in namespace default."""
        await self.client.create(_ACCOUNTS, {"metadata": {"name": name}}, namespace="default")
        access = read_access(self.cluster.service_account_kubeconfig("default", name))
        token = await access.token()
        assert token is not None
        return token


@contextmanager
def said(text: str) -> Iterator[asyncio.Event]:
    """Give an event that is set when the node logs ``text``."""
    event = asyncio.Event()

    class Listening(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if text in record.getMessage():
                event.set()

    handler, logger = Listening(), logging.getLogger("vk")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield event
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def client_context(certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """Return a client's TLS side; the server's certificate is its own business here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


@asynccontextmanager
async def connected(
    world: World, tls: ssl.SSLContext | None, **more: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a connection, with a handshake where there is a ``tls``, and close it at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port, ssl=tls, **more)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


def statuses() -> list[vk.PodStatus]:
    """What the provider last reported."""
    return [vk.PodStatus.running(vk.Pod(POD))]


@asynccontextmanager
async def serving(
    folder: Path,
    provider: vk.Provider | None = None,
    *,
    acting: bool = True,
    kubeconfig: Path | None = None,
    cluster: DevCluster | None = None,
    **settings: Any,
) -> AsyncIterator[World]:
    """Serve one node with ``POD`` on it until the block ends."""
    if cluster is None:
        async with (
            DevCluster(folder / "cluster") as cluster,
            serving(
                folder,
                provider,
                acting=acting,
                kubeconfig=kubeconfig,
                cluster=cluster,
                **settings,
            ) as world,
        ):
            yield world
        return
    reviews: list[int] = []

    def observe(method: str, status: int, seconds: float) -> None:
        if method == "POST":
            reviews.append(status)

    pods, listens = Store(), asyncio.get_running_loop().create_future()
    pods.put(POD)
    async with (
        Client(read_access(cluster.kubeconfig), user_agent="test") as client,
        Client(
            read_access(kubeconfig or cluster.kubeconfig), user_agent="vk", observe=observe
        ) as own,
        aiohttp.ClientSession() as session,
    ):
        server = KubeletServer(
            settings=Settings(
                provider="quiet",
                node_name=NODE,
                **{"internal_ip": "127.0.0.1", "kubelet_port": 0, "serving_signer": "", **settings},
            ),
            client=own,
            pods=pods,
            hosts=lambda: (NODE, "127.0.0.1"),
            ready=lambda: True,
            summary=lambda: {"node": NODE, "at": f"{datetime.now(UTC):%Y}"},
            on_listen=listens.set_result,
            metrics=Metrics(NODE),
        )
        task = asyncio.create_task(server.run())
        try:
            async with asyncio.timeout(10):
                await asyncio.wait({task, listens}, return_when=asyncio.FIRST_COMPLETED)
            assert listens.done(), task
            world = World(cluster, client, server, listens.result(), session, reviews)
            if not acting:
                yield world
                return
            async with server.serving_provider(provider or Quiet(), statuses):
                yield world
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
