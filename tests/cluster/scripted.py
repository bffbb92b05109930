"""A scripted API server on loopback: each test says what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import orjson
from aiohttp import web

from vk.cluster.client import Client
from vk.cluster.config import Access, Credentials

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@attrs.define
class Tokens:
    """Gives the tokens of ``values``, a new one at each look; an exception among them is raised."""

    values: list[Any]
    interval: float = 3600.0
    server: str = ""

    async def read(self, force: bool) -> Credentials:
        value = self.values.pop(0) if len(self.values) > 1 else self.values[0]
        if isinstance(value, Exception):
            raise value
        return Credentials(server=self.server, authorization=f"Bearer {value}")


@asynccontextmanager
async def serve(handler: Handler, *, ssl: Any = None) -> AsyncIterator[str]:
    """Serve every path with ``handler``; gives the address."""
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl)
        await site.start()
        port = runner.addresses[0][1]
        yield f"{'https' if ssl else 'http'}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client_of(handler: Handler, *tokens: Any, **options: Any) -> AsyncIterator[Client]:
    """Give a client of a server that answers with ``handler``."""
    async with serve(handler) as server:
        source = Tokens(list(tokens) or ["first"], server=server)
        access = Access(source, await source.read(False))
        async with Client(access, user_agent="vk-test/1", **options) as client:
            yield client


def pod(name: str, version: int, uid: str = "", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "uid": uid or f"uid-{name}"}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {**metadata, "resourceVersion": str(version), **more},
    }


def status(code: int, reason: str = "", message: str = "", **details: Any) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details,
    }


def answer(body: Any, code: int = 200, **headers: str) -> web.Response:
    return web.Response(
        body=orjson.dumps(body),
        status=code,
        content_type="application/json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def listing(version: int, *items: dict[str, Any], token: str = "") -> web.Response:
    metadata = {"resourceVersion": str(version), **({"continue": token} if token else {})}
    return answer({"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items})


def event(kind: str, raw: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": kind, "object": raw}) + b"\n"


async def stream(
    request: web.Request, *chunks: bytes, hold: bool = False, cut: bool = False
) -> web.StreamResponse:
    """Send ``chunks``; then end, or stay silent (``hold``), or break the connection (``cut``)."""
    response = web.StreamResponse()
    await response.prepare(request)
    for chunk in chunks:
        await response.write(chunk)
    if hold:
        await asyncio.Event().wait()
    if cut and request.transport is not None:
        request.transport.abort()
    return response
