"""Upgraded connections: exec, attach, port-forward, and upgrades through a node's proxy.

In: an authorized request, and the kubelet's target. Out: a connection that lasts until one side
ends it. In most cases the kubelet's answer and all bytes after it are passed on unchanged, SPDY and
WebSocket alike.

kubectl's WebSockets are passed on only to a node that declares support for them. For the others
exec and attach are translated stream by stream, and a port-forward, which is SPDY inside WebSocket
messages, is unpacked. Older WebSocket protocols are passed on to every node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from aiohttp import web

from vk.devcluster import refusals
from vk.devcluster.proxy.exec_over_spdy import PROTOCOL, Translation, spdy_upgrade, upgraded
from vk.devcluster.proxy.kubelet_connection import AnswerHead, KubeletGoneError, KubeletPipe, tunnel
from vk.devcluster.proxy.kubelets import Kubelet, Kubelets, UnreachableError
from vk.devcluster.proxy.plain import passed_on
from vk.streaming.http_upgrade import upgrade_connection
from vk.streaming.negotiation import EXEC_WEBSOCKET, RequestedStreams
from vk.streaming.negotiation import PORT_FORWARD_WEBSOCKET as FORWARDS
from vk.streaming.session import SessionLifetime, run_session
from vk.streaming.websocket.channels import Channel
from vk.streaming.websocket.connection import MessagePipe, open_channels, open_websocket

__all__ = ["is_upgrade", "needs_websockets", "pass_on", "translate_exec", "unpack_forward"]

_IDLE = 4 * 3600.0  # s without a byte, as the real server has it
_OURS = frozenset({"host", "authorization", "content-length", "expect"})
_TUNNEL = next(protocol for protocol in FORWARDS if protocol.tunnel)
_EXEC = next(protocol for protocol in EXEC_WEBSOCKET if protocol.name == PROTOCOL)
_SUBPROTOCOLS = "Sec-WebSocket-Protocol"


def is_upgrade(request: web.BaseRequest) -> bool:
    """Return whether the client requests an upgrade to another protocol."""
    return any("upgrade" in value.lower() for value in request.headers.getall("Connection", []))


def needs_websockets(request: web.BaseRequest, subresource: str) -> bool:
    """Return whether a WebSocket is of the kind that a node must declare to support."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        return False
    offered = _subprotocols(request.headers.getall(_SUBPROTOCOLS, []))
    return (_TUNNEL.name if subresource == "portforward" else PROTOCOL) in offered


async def pass_on(
    request: web.BaseRequest, kubelets: Kubelets, kubelet: Kubelet, target: str
) -> web.StreamResponse:
    """Upgrade at the kubelet as the client requested, and pass all bytes on. Raises refusals."""
    headers = [
        ("Host", kubelet.authority),
        ("Connection", "Upgrade"),
        *(("Upgrade", value) for value in request.headers.getall("Upgrade", [])),
        ("X-Forwarded-For", request.remote or ""),
        *passed_on(request.headers.items(), _OURS),
    ]
    if request.method != "GET":
        headers.append(("Content-Length", "0"))
    pipe = await _dial(kubelets, kubelet)
    try:
        head = await _exchange(pipe, request.method, target, headers)
        if head.status != 101:
            return await _refused(pipe, head)
        answer = {name: value for name, value in head.headers if name.lower() != "connection"}
        await tunnel(upgrade_connection(_routed(request), answer), pipe)
    finally:
        await pipe.close()
    return web.Response(status=101)


async def unpack_forward(
    request: web.BaseRequest, kubelets: Kubelets, kubelet: Kubelet, target: str
) -> web.StreamResponse:
    """Serve a port-forward in WebSocket messages by SPDY at the kubelet. Raises refusals."""
    pipe = await _dial(kubelets, kubelet)
    try:
        protocol = _TUNNEL.name.partition("+")[2]
        headers = spdy_upgrade(kubelet, [protocol])
        head = await _exchange(pipe, "POST", target, headers)
        if head.status != 101:
            return await _refused(pipe, head)
        socket = await open_websocket(_routed(request), _TUNNEL)
        await tunnel(MessagePipe(socket), pipe)
    finally:
        await pipe.close()
    return socket


async def translate_exec(
    request: web.BaseRequest,
    kubelets: Kubelets,
    kubelet: Kubelet,
    target: str,
    requested: RequestedStreams,
) -> web.StreamResponse:
    """Serve exec or attach over a WebSocket by SPDY at the kubelet."""
    lifetime = SessionLifetime(_IDLE)
    try:
        connection = await open_channels(_routed(request), _EXEC, len(Channel), lifetime)
        translation = Translation(
            connection, requested, lambda: upgraded(kubelets, kubelet, target)
        )
        await run_session(connection, lifetime, translation.serve, translation.notify_end)
    finally:
        lifetime.close()
    return connection.socket


async def _dial(kubelets: Kubelets, kubelet: Kubelet) -> KubeletPipe:
    try:
        return await kubelets.dial(kubelet)
    except UnreachableError as error:
        raise refusals.Refusal(500, "", f"error dialing backend: {error}") from None


async def _exchange(
    pipe: KubeletPipe, method: str, target: str, headers: list[tuple[str, str]]
) -> AnswerHead:
    try:
        head = await pipe.exchange(method, target, headers)
    except KubeletGoneError as error:
        raise refusals.Refusal(500, "", f"error dialing backend: {error}") from None
    if head.status != 101 and head.status < 400:
        why = f"invalid upgrade response: status code {head.status}"
        raise refusals.Refusal(500, "", why)
    return head


async def _refused(pipe: KubeletPipe, head: AnswerHead) -> web.Response:
    """Return the kubelet's refusal as it is."""
    body = await pipe.body(head)
    kind = head.get("Content-Type") or "text/plain; charset=utf-8"
    return web.Response(status=head.status, body=body, headers={"Content-Type": kind})


def _subprotocols(values: Sequence[str]) -> set[str]:
    return {part.strip() for value in values for part in value.split(",")}


def _routed(request: web.BaseRequest) -> web.Request:
    """Return the request as `vk.streaming` takes it, which uses nothing of a router in it."""
    return cast(web.Request, request)
