"""A kubelet that answers as its test says, on real TLS; only the cluster's own may ask it.

A script gets each request and the bare connection after it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import trustme
from cluster_api import MERGE, PODS, Api, Object, pod

from vk.devcluster.cluster import DevCluster
from vk.streaming.spdy.session import Event, SpdySession

_AUTHORITY = trustme.CA()

LOGS = f"{PODS}/web/log"
EXEC = f"{PODS}/web/exec"


@attrs.frozen
class Asked:
    """One request to the kubelet."""

    method: str
    target: str
    headers: dict[str, str]
    user: str
    """The common name of the client's certificate."""
    body: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)


@attrs.frozen
class Connection:
    """The connection that a request came on."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send an answer."""
        lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.say("\r\n".join([*lines, "", ""]).encode() + body)

    async def upgrade(self, kind: str = "SPDY/3.1", **headers: str) -> None:
        """Send a 101."""
        lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", f"Upgrade: {kind}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.say("\r\n".join([*lines, "", ""]).encode())


Script = Callable[[Asked, Connection], Awaitable[None]]


@attrs.define(eq=False)
class ScriptedKubelet:
    """What was asked, and who answers."""

    port: int = 0
    script: Script = attrs.field(default=None)
    asked: list[Asked] = attrs.field(factory=list)
    left: asyncio.Event = attrs.field(factory=asyncio.Event)
    """Set when a script has ended because its client had left."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = await _read(reader, writer)
                self.asked.append(asked)
                await self.script(asked, Connection(reader, writer))
        except (EOFError, ConnectionError):
            self.left.set()
        finally:
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Asked:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        known = headers.get(name.lower())
        headers[name.lower()] = f"{known},{value.strip()}" if known else value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    subject = writer.get_extra_info("peercert")["subject"]
    user = next(value for part in subject for key, value in part if key == "commonName")
    return Asked(method, target, headers, user, body)


@asynccontextmanager
async def scripted_kubelet(cluster: DevCluster) -> AsyncIterator[ScriptedKubelet]:
    """Serve on loopback; the certificate is signed by no CA that the cluster knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cluster.certificate_authority)
    kubelet = ScriptedKubelet()
    server = await asyncio.start_server(kubelet.serve, "127.0.0.1", 0, ssl=context)
    kubelet.port = server.sockets[0].getsockname()[1]
    try:
        yield kubelet
    finally:
        server.close()


async def make_node(api: Api, port: int, *features: str, name: str = "n1") -> None:
    """Create a node whose kubelet listens on ``port``, or let it say something else."""
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    await api("POST", "/api/v1/nodes", node)
    status = {
        "addresses": [
            {"type": "Hostname", "address": "no-such-host.invalid"},
            {"type": "InternalIP", "address": "127.0.0.1"},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "declaredFeatures": list(features),
    }
    await api.ok("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, form=MERGE)


async def make_pod(api: Api, name: str = "web", **spec: Any) -> None:
    """Create a pod on that node which runs."""
    made: Object = await api.ok("POST", PODS, pod(name, nodeName="n1", **spec))
    running = [
        {"name": one["name"], "state": {"running": {}}} for one in made["spec"]["containers"]
    ]
    status = {"phase": "Running", "containerStatuses": running}
    await api.ok("PATCH", f"{PODS}/{name}/status", {"status": status}, form=MERGE)


@attrs.define(eq=False)
class SpdyServer:
    """The kubelet's side of a SPDY session, event by event."""

    connection: Connection
    session: SpdySession = attrs.field(factory=SpdySession)
    events: list[Event] = attrs.field(factory=list)

    async def next(self) -> Event:
        """Return the next event; raises EOFError at the end."""
        while not self.events:
            await self.flush()
            chunk = await self.connection.reader.read(65536)
            if not chunk:
                raise EOFError
            self.events = self.session.receive(chunk, asyncio.get_running_loop().time())
        return self.events.pop(0)

    async def flush(self) -> None:
        await self.connection.say(b"".join(self.session.take()))
