"""Plain requests to a kubelet: logs, and requests through a node's proxy.

In: a request that may do what it asks for, and the kubelet's target. Out: the kubelet's answer,
passed on piece by piece as it comes, however long that takes.

Note: the error of a kubelet for a log is not passed on as it is: the answer is a
Status that quotes it, as the real API server's is. A log that breaks off breaks off the client's
connection too, or it would look complete.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import aiohttp
from aiohttp import web

from vk.aio.transports import abort
from vk.devcluster import refusals
from vk.devcluster.proxy.kubelet_connection import HOP_BY_HOP
from vk.devcluster.proxy.kubelets import Kubelet, Kubelets, UnreachableError

__all__ = ["forward", "forward_log", "log_refusal", "passed_on"]

log = logging.getLogger(__name__)

_LONGEST_QUOTE = 50_000
_OURS = frozenset({"host", "authorization", "content-length", "expect"})
_LOG_HEADERS = {"Content-Type": "text/plain", "Cache-Control": "no-cache, private"}
_GENERIC = {
    401: ("Unauthorized", "the server has asked for the client to provide credentials"),
    404: ("NotFound", "the server could not find the requested resource"),
    405: (
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
    ),
    409: ("Conflict", "the server reported a conflict"),
    422: ("Invalid", "the server rejected our request due to an error in our request"),
    429: (
        "TooManyRequests",
        "the server has received too many requests and has asked us to try again later",
    ),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: (
        "Timeout",
        "the server was unable to return a response in the time allotted, but may still be "
        "processing the request",
    ),
}


async def forward_log(
    request: web.BaseRequest, kubelets: Kubelets, kubelet: Kubelet, target: str, *, name: str
) -> web.StreamResponse:
    """Answer with the log at ``target``, of the pod ``name``. Raises refusals."""
    try:
        async with kubelets.request("GET", kubelet, target) as reply:
            if not 200 <= reply.status <= 206:
                quote = await reply.content.read(_LONGEST_QUOTE)
                raise log_refusal(reply.status, quote.decode(errors="replace"), name)
            return await _relay(request, reply, web.StreamResponse(headers=_LOG_HEADERS))
    except UnreachableError as error:
        why = f'Get "https://{kubelet.authority}{target}": {error}'
        raise refusals.Refusal(500, "", why) from None


def log_refusal(status: int, text: str, name: str) -> refusals.Refusal:
    """Return the refusal for the client of a log that the kubelet refuses with ``text``."""
    if status == 500:
        return refusals.internal(text)
    if status == 400:
        return refusals.bad_request(text)
    if status == 403:
        reason, message = "Forbidden", text
    elif status in _GENERIC:
        reason, message = _GENERIC[status]
    elif status >= 500:
        quoted = _quoted(text)
        reason = "InternalError"
        message = f"an error on the server ({quoted}) has prevented the request from succeeding"
    else:
        reason = ""
        message = (
            f"the server responded with the status code {status} but did not return more "
            "information"
        )
    details = {"name": name, "kind": "pods/log"}
    return refusals.Refusal(status, reason, f"{message} ( pods/log {name})", details=details)


def _quoted(text: str) -> str:
    """Return a text in quotes, on one line."""
    return '"' + text.strip().replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


async def forward(
    request: web.BaseRequest, kubelets: Kubelets, kubelet: Kubelet, target: str
) -> web.StreamResponse:
    """Answer as the kubelet answers the same request at ``target``. Raises refusals."""
    body = await request.read() if request.body_exists else None
    headers = passed_on(request.headers.items(), _OURS)
    try:
        async with kubelets.request(
            request.method, kubelet, target, headers=headers, body=body
        ) as reply:
            answer = web.StreamResponse(status=reply.status, reason=reply.reason)
            for key, value in passed_on(reply.headers.items()):
                answer.headers.add(key, value)
            return await _relay(request, reply, answer)
    except UnreachableError as error:
        why = f"error trying to reach service: {error}"
        raise refusals.Refusal(503, "ServiceUnavailable", why) from None


def passed_on(
    headers: Iterable[tuple[str, str]], but: frozenset[str] = frozenset()
) -> list[tuple[str, str]]:
    """Return the headers that go on to the other side; impersonation ends here."""
    return [
        (name, value)
        for name, value in headers
        if name.lower() not in HOP_BY_HOP | but and not name.lower().startswith("impersonate-")
    ]


async def _relay(
    request: web.BaseRequest, reply: aiohttp.ClientResponse, answer: web.StreamResponse
) -> web.StreamResponse:
    """Send the body as it comes; a client that has gone ends it quietly."""
    try:
        await answer.prepare(request)
        while chunk := await _next(reply):
            await answer.write(chunk)
        if chunk is None:
            _break_off(request)
        else:
            await answer.write_eof()
    except ConnectionError:
        log.debug("client of a kubelet disconnected", extra={"path": request.path})
    return answer


async def _next(reply: aiohttp.ClientResponse) -> bytes | None:
    """Return the next piece, empty at the end; None: the kubelet aborted the answer."""
    try:
        return await reply.content.readany()
    except (aiohttp.ClientError, OSError) as error:
        log.info("kubelet aborted an answer", extra={"error": str(error)})
        return None


def _break_off(request: web.BaseRequest) -> None:
    if request.transport is not None:
        abort(request.transport)
