"""``/stats/summary`` and ``/metrics/resource``: what node, pods and containers use.

In: the provider's `stats`, asked at most every 10 s however many ask us. Out: the answers, whose
content `vk.server.usage` writes, once for each answer of the provider.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cached_property

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


@attrs.define(eq=False)
class _Rendered:
    """One answer of the provider, as each route gives it."""

    _stats: NodeStats
    _node_name: str

    @cached_property
    def summary(self) -> bytes:
        return orjson.dumps(summary(self._stats, self._node_name))

    @cached_property
    def metrics(self) -> bytes:
        return resource_metrics(self._stats).encode()


def _keep(rendered: _Rendered) -> float:
    return _FRESH


@attrs.define(eq=False)
class Stats:
    """Answers requests for statistics."""

    provider: Provider
    node_name: str
    check_acting: Callable[[], None]
    """Raises Refusal in a standby."""
    _newest: Memo[str, _Rendered] = attrs.field(factory=lambda: Memo(_keep, 1), init=False)

    async def summary(self, request: web.Request) -> web.Response:
        """Answer with the Summary. Raises what the provider raises."""
        body = (await self._rendered()).summary
        return web.Response(body=body, content_type="application/json")

    async def metrics(self, request: web.Request) -> web.Response:
        """Answer with the metrics of resources. Raises what the provider raises."""
        body = (await self._rendered()).metrics
        return web.Response(body=body, headers={"Content-Type": _TEXT})

    async def close(self) -> None:
        """End a question that is under way."""
        await self._newest.close()

    async def _rendered(self) -> _Rendered:
        self.check_acting()
        return await self._newest.get("", self._ask)

    async def _ask(self) -> _Rendered:
        async with asyncio.timeout(_TIMEOUT):
            return _Rendered(await self.provider.stats(), self.node_name)
