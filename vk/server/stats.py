"""``/stats/summary`` and ``/metrics/resource``: what node, pods and containers use.

In: the provider's `stats`, asked at most every 10 s however many ask us. Out: the answers, whose
content `vk.server.usage` writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs
import orjson
from aiohttp import web

from vk.aio.memo import Memo
from vk.models.stats import NodeStats
from vk.provider import Provider
from vk.server.usage import resource_metrics, summary

__all__ = ["Stats"]

_FRESH = 10.0
_TIMEOUT = 30.0
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def _keep(stats: NodeStats) -> float:
    return _FRESH


@attrs.define(eq=False)
class Stats:
    """Answers requests for statistics."""

    provider: Provider
    node_name: str
    check_acting: Callable[[], None]
    """Raises Refusal in a standby."""
    _newest: Memo[str, NodeStats] = attrs.field(factory=lambda: Memo(_keep, 1), init=False)

    async def summary(self, request: web.Request) -> web.Response:
        """Answer with the Summary. Raises what the provider raises."""
        body = orjson.dumps(summary(await self._stats(), self.node_name))
        return web.Response(body=body, content_type="application/json")

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer with the metrics of resources. Raises what the provider raises."""
        body = resource_metrics(await self._stats()).encode()
        return web.Response(body=body, headers={"Content-Type": _TEXT})

    async def close(self) -> None:
        """End a question that is under way."""
        await self._newest.close()

    async def _stats(self) -> NodeStats:
        self.check_acting()
        return await self._newest.get("", self._ask)

    async def _ask(self) -> NodeStats:
        async with asyncio.timeout(_TIMEOUT):
            return await self.provider.stats()
