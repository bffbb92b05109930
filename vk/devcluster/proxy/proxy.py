"""Requests that a kubelet answers: logs, exec, attach, portforward of pods, and proxy of nodes.

`vk.devcluster.app` sends them here once the caller is authorized. Here is decided which request
goes to which kubelet, and in which way; the modules beside this one do it.

Note: opening a stream needs verb ``create``, although a WebSocket is a GET: a right to
read must not run commands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from aiohttp import web

from vk.devcluster import refusals
from vk.devcluster.calls import Call
from vk.devcluster.proxy.kubelets import Kubelets
from vk.devcluster.proxy.locations import log_target, node_name_of, requested_streams, stream_target
from vk.devcluster.proxy.plain import forward, forward_log
from vk.devcluster.proxy.upgrades import (
    is_upgrade,
    needs_websockets,
    pass_on,
    translate_exec,
    unpack_forward,
)
from vk.devcluster.storage.storage import Storage

__all__ = ["Proxy"]

_NODE_PATH = 6  # /api/v1/nodes/NAME/proxy/...: slashes before the path for the kubelet


@attrs.define(eq=False)
class Proxy:
    """Answers requests by way of a kubelet."""

    storage: Storage
    kubelets: Kubelets
    check: Callable[[Call, str], None]
    """Raises a refusal where the caller may not use that verb."""

    async def answer(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        """Answer a request for one of those subresources. Raises refusals."""
        if call.target.subresource == "proxy":
            return await self._node(request, call)
        if call.target.subresource == "log":
            return await self._log(request, call)
        return await self._stream(request, call)

    async def _node(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        kubelet = self.kubelets.of(call.target.name)
        parts = request.rel_url.raw_path.split("/", _NODE_PATH)
        if parts[5:6] != ["proxy"]:
            raise refusals.no_such_resource()  # one reader of the path takes it for another
        target = f"/{parts[6] if len(parts) > _NODE_PATH else ''}"
        if is_upgrade(request):
            self.check(call, "create")
            return await pass_on(request, self.kubelets, kubelet, target)  # as real, no query
        query = request.rel_url.raw_query_string
        return await forward(
            request, self.kubelets, kubelet, target + (f"?{query}" if query else "")
        )

    async def _log(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        pod = self._pod(call)
        target = log_target(pod, request.query)
        node_name = pod["spec"].get("nodeName")
        if not node_name:
            return web.Response(status=204)  # as the real server has it
        kubelet = self.kubelets.of(node_name)
        name = call.target.name
        return await forward_log(request, self.kubelets, kubelet, target, name=name)

    async def _stream(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        self.check(call, "create")
        subresource = call.target.subresource
        pod = self._pod(call)
        target = stream_target(pod, subresource, request.query)
        kubelet = self.kubelets.of(node_name_of(pod))
        if not is_upgrade(request):
            raise refusals.bad_request("Upgrade request required")
        if kubelet.takes_websockets or not needs_websockets(request, subresource):
            return await pass_on(request, self.kubelets, kubelet, target)
        if subresource == "portforward":
            return await unpack_forward(request, self.kubelets, kubelet, target)
        streams = requested_streams(request.query)
        return await translate_exec(request, self.kubelets, kubelet, target, streams)

    def _pod(self, call: Call) -> dict[str, Any]:
        target = call.target
        return self.storage.existing(target.kind, target.namespace, target.name)
