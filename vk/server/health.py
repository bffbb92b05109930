"""``/healthz``, ``/livez`` and ``/readyz``: whether this process works.

On the kubelet's API they need credentials like every other route. Probes of a cluster have none, so
`HealthHandler.serve` answers these three alone, on another port without TLS.

A process that answers is alive. It is ready once its caches are filled: a standby is ready too, or
a rolling update would wait indefinitely for a replica that waits for its predecessor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs
from aiohttp import web

__all__ = ["HealthHandler"]


@attrs.define(eq=False)
class HealthHandler:
    """Answers probes. ``ready`` returns whether the caches are filled."""

    ready: Callable[[], bool]

    async def serve(self, host: str, port: int) -> None:
        """Answer probes on ``port`` until cancelled. Raises OSError where it is in use."""
        app = web.Application()
        for path, answer in (
            ("/healthz", self.alive),
            ("/livez", self.alive),
            ("/readyz", self.readiness),
        ):
            app.router.add_get(path, answer)
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=0.0, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, host or None, port, backlog=16).start()
            await asyncio.get_running_loop().create_future()  # until cancelled
        finally:
            await runner.cleanup()

    async def alive(self, request: web.Request) -> web.Response:
        """Answer ok."""
        return web.Response(text="ok")

    async def readiness(self, request: web.Request) -> web.Response:
        """Answer ok, or 503 while the cluster has not been read yet."""
        if self.ready():
            return web.Response(text="ok")
        return web.Response(status=503, text="waiting for the API server")
