"""A bare client of the embedded API server for tests: what is sent is what the test says."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import orjson

from vk.devcluster.cluster import DevCluster

Object = dict[str, Any]

JSON = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"

PODS = "/api/v1/namespaces/default/pods"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
NAMESPACES = "/api/v1/namespaces"


@attrs.frozen
class Reply:
    """One answer: its HTTP status and its parsed body."""

    status: int
    body: Any


@attrs.define(eq=False)
class Watch:
    """The events of one open watch, in order."""

    response: aiohttp.ClientResponse
    rest: bytes = b""

    async def next(self) -> Object:
        """Return the next event; fails after 5 s without one."""
        async with asyncio.timeout(5):
            line = await self.response.content.readuntil(b"\n")
        event: Object = orjson.loads(line)
        return event

    async def take(self, count: int) -> list[tuple[str, str]]:
        """Return type and name of the next events."""
        events = [await self.next() for _ in range(count)]
        return [(one["type"], one["object"]["metadata"].get("name", "")) for one in events]

    async def rest_of(self) -> list[Object]:
        """Return the events up to the end of the watch."""
        async with asyncio.timeout(10):
            text = await self.response.read()
        return [orjson.loads(line) for line in text.splitlines()]


@attrs.define(eq=False)
class Api:
    """Sends requests to a cluster as one user."""

    url: str
    session: aiohttp.ClientSession

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        form: str = JSON,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send a request; a body of bytes goes as it is, anything else as JSON."""
        content = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        data = None if content is None else BytesIO(content)
        sent = {"Content-Type": form, **(headers or {})}
        async with self.session.request(method, self.url + path, data=data, headers=sent) as reply:
            text = await reply.read()
            plain = reply.content_type != JSON
            return Reply(reply.status, text.decode() if plain else orjson.loads(text))

    async def ok(self, method: str, path: str, body: Any = None, **rest: Any) -> Any:
        """Send a request that must succeed; return the body of the answer."""
        reply = await self(method, path, body, **rest)
        assert reply.status in (200, 201, 202), reply
        return reply.body

    @asynccontextmanager
    async def watch(self, path: str, **headers: str) -> AsyncIterator[Watch]:
        """Open a watch."""
        async with self.session.get(self.url + path, headers=headers) as response:
            assert response.status == 200, await response.text()
            yield Watch(response)


@asynccontextmanager
async def api_of(cluster: DevCluster, kubeconfig: Path | None = None) -> AsyncIterator[Api]:
    """Yield a client with the credentials of a kubeconfig, by default the administrator's."""
    user = orjson.loads((kubeconfig or cluster.kubeconfig).read_bytes())["users"][0]["user"]
    context = ssl.create_default_context(cafile=str(cluster.certificate_authority))
    headers = {}
    if "token" in user:
        headers["Authorization"] = f"Bearer {user['token']}"
    elif user:
        context.load_cert_chain(user["client-certificate"], user["client-key"])
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        yield Api(cluster.url, session)


def pod(name: str, **spec: Any) -> Object:
    """Return a pod that is complete enough to be created."""
    labels = spec.pop("labels", {})
    container = {"name": "main", "image": "app:1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [container], **spec},
    }


def config_map(name: str, **data: str) -> Object:
    """Return a ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
