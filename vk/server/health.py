"""``/healthz``, ``/livez`` and ``/readyz``: whether this process works.

Alive is who answers. Ready is who knows what the cluster wants of the node: a standby is ready too,
or a rolling update would wait for ever for a replica that waits for its predecessor.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
from aiohttp import web

__all__ = ["Health"]


@attrs.define(eq=False)
class Health:
    """Answers probes. ``ready`` says whether the caches are filled."""

    ready: Callable[[], bool]

    async def alive(self, request: web.Request) -> web.Response:
        """Answer ok."""
        return web.Response(text="ok")

    async def readiness(self, request: web.Request) -> web.Response:
        """Answer ok, or 503 while the cluster has not been read yet."""
        if self.ready():
            return web.Response(text="ok")
        return web.Response(status=503, text="waiting for the API server")
