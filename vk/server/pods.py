"""``/pods`` and ``/runningpods/``: the pods assigned to this node, and those that run.

In: the cached pods of the API server, and the provider's newest statuses. Out: a PodList. Rendered
bytes are shared by all requests within a second, since ten thousand pods are 60 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs
import orjson
from aiohttp import web

from vk.aio.memo import Memo
from vk.cluster.store import Store
from vk.models.status import ContainerStatus, PodStatus, Running

__all__ = ["PodListHandler"]

_FRESH = 1.0
_JSON = "application/json"


def _keep(body: bytes) -> float:
    return _FRESH


@attrs.define(eq=False)
class PodListHandler:
    """Answers requests for lists of pods."""

    pods: Store
    statuses: Callable[[], Iterable[PodStatus]]
    """Returns the newest status of each pod from the provider."""
    _bodies: Memo[str, bytes] = attrs.field(factory=lambda: Memo(_keep, 2), init=False)

    async def wanted(self, request: web.Request) -> web.Response:
        """Answer with the pods that are assigned to this node."""
        body = await self._bodies.get("wanted", self._wanted)
        return web.Response(body=body, content_type=_JSON)

    async def running(self, request: web.Request) -> web.Response:
        """Answer with the pods that have a running container, in short."""
        body = await self._bodies.get("running", self._running)
        return web.Response(body=body, content_type=_JSON)

    async def _wanted(self) -> bytes:
        return _list(self.pods.values())

    async def _running(self) -> bytes:
        return _list([pod for status in self.statuses() if (pod := _short(status)) is not None])


def _list(items: list[dict[str, Any]]) -> bytes:
    document = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}
    return orjson.dumps(document)


def _short(status: PodStatus) -> dict[str, Any] | None:
    containers = [_container(one) for one in _all(status) if isinstance(one.state, Running)]
    if not containers:
        return None
    key = status.key
    return {
        "metadata": {"name": key.name, "namespace": key.namespace, "uid": key.uid},
        "spec": {"containers": containers},
        "status": {},
    }


def _all(status: PodStatus) -> tuple[ContainerStatus, ...]:
    return (*status.init_containers, *status.containers)


def _container(status: ContainerStatus) -> dict[str, Any]:
    return {"name": status.name, "image": status.image or "", "resources": {}}
