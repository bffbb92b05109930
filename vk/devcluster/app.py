"""The HTTP face of the embedded API server: every request comes in here.

One function for all paths: authentication, the resource, authorization, then the part that
does it. Refusals become Status objects. `vk.devcluster.cluster` serves it.

Note: there is no router and no lock. Reading the body is the only await before a write is
done, so two requests never meet half-way.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing

import attrs
import orjson
from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from vk.devcluster import discovery, openapi, refusals
from vk.devcluster.auth.access import RequestAccess
from vk.devcluster.auth.reviews import Reviews
from vk.devcluster.calls import (
    CONNECTED,
    Answer,
    Call,
    Target,
    User,
    json_answer,
    target_of,
    verb_of,
)
from vk.devcluster.creation import Creator
from vk.devcluster.deletion import Remover
from vk.devcluster.forms import JSON, form_of
from vk.devcluster.kinds import METRICS
from vk.devcluster.proxy.metrics import MetricsApi
from vk.devcluster.proxy.proxy import Proxy
from vk.devcluster.reads import Reader
from vk.devcluster.request_counts import RequestCounts
from vk.devcluster.storage.watches import Watcher
from vk.devcluster.subresources import Subresources
from vk.devcluster.updates import Updater

__all__ = ["VERSION", "App", "request_of"]

log = logging.getLogger(__name__)

VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0+vk",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "",
}
_HEALTH = ("/healthz", "/livez", "/readyz")
_NO_STORE = "no-cache, private"


@attrs.define(eq=False)
class App:
    """Answers requests with the parts that it is given."""

    address: str
    access: RequestAccess
    reader: Reader
    creator: Creator
    updater: Updater
    remover: Remover
    watcher: Watcher
    subresources: Subresources
    reviews: Reviews
    proxy: Proxy
    metrics: MetricsApi
    counts: RequestCounts = attrs.field(factory=RequestCounts)
    _verbs: Mapping[str, Callable[[Call], Answer]] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._verbs = {
            "get": self.reader.get,
            "list": self.reader.list,
            "create": self._create,
            "update": self.updater.update,
            "patch": self.updater.patch,
            "delete": self.remover.delete,
            "deletecollection": self.remover.delete_all,
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; never raises but for cancellation."""
        return await _answered(request, self._handle(request))

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        user = self.access.user(transport.get_extra_info("peercert"), request.headers)
        target = target_of(request.path)
        if target is None:
            return _response(self._document(request, user))
        call = _call(request, target, user)
        response = await _answered(request, self._perform(request, call))
        self.counts.add(call, response.status)
        return response

    async def _perform(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        self.access.check(call)
        if call.target.subresource in CONNECTED:
            return await self.proxy.answer(request, call)
        if call.target.kind in METRICS:
            return _response(await self.metrics.answer(call))
        if call.verb == "watch":
            return await self._watch(request, call)
        if request.body_exists:
            call = attrs.evolve(call, body=await request.read())
        return _response(self._verbs[call.verb](call), call.warnings)

    def _create(self, call: Call) -> Answer:
        if call.target.subresource or call.target.kind.name == "Binding":
            return self.subresources.create(call)
        if not call.target.kind.stored:
            return self.reviews.answer(call)
        return self.creator.create(call)

    async def _watch(self, request: web.BaseRequest, call: Call) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": JSON, "Cache-Control": _NO_STORE})
        async with aclosing(self.watcher.open(call)) as events:
            try:
                await response.prepare(request)
                async for chunk in events:
                    await response.write(chunk)
                await response.write_eof()
            except ConnectionError:
                log.debug("watch client disconnected", extra={"path": request.path})
        return response

    def _document(self, request: web.BaseRequest, user: User) -> Answer:
        """Answer a path that is no resource."""
        path = request.path.rstrip("/") or "/"
        verb = {"GET": "get", "HEAD": "get"}.get(request.method, request.method.lower())
        self.access.check_path(user, verb, path)
        if path.startswith(_HEALTH) and (path in _HEALTH or path.count("/") == 2):
            return Answer(b"ok", content_type="text/plain")
        if path == "/metrics":
            return Answer(self.counts.text().encode(), content_type="text/plain; version=0.0.4")
        if path == "/version":
            return json_answer(VERSION)
        if path.startswith("/openapi/"):
            found = openapi.document(path)
            if path == openapi.VERSION_2 and "protobuf" in request.headers.get("Accept", ""):
                return Answer(b"", content_type=openapi.VERSION_2_PROTOBUF)  # an empty document
        else:
            aggregated = "as=APIGroupDiscoveryList" in request.headers.get("Accept", "")
            found = discovery.document(path, aggregated=aggregated, server=self.address)
            if aggregated and path in ("/api", "/apis"):
                return Answer(orjson.dumps(found), content_type=discovery.AGGREGATED)
        if found is None:
            raise refusals.no_such_resource()
        if verb != "get":
            raise refusals.method_not_allowed()
        return json_answer(found)


async def _answered(
    request: web.BaseRequest, answering: Awaitable[web.StreamResponse]
) -> web.StreamResponse:
    """Return the answer, or the Status object with the reason why there is none."""
    try:
        return await answering
    except refusals.Refusal as refusal:
        return _refused(refusal)
    except web.HTTPRequestEntityTooLarge:
        return _refused(refusals.too_large())
    except ConnectionError:
        return web.Response(status=499)  # the client has gone
    except Exception as error:  # one faulty request must not end the server
        log.exception("request failed", extra={"method": request.method, "path": request.path})
        return _refused(refusals.internal(f"{type(error).__name__}: {error}"))


def _call(request: web.BaseRequest, target: Target, user: User) -> Call:
    """Read the request line and headers. Raises refusals."""
    query: Mapping[str, str] = dict(request.query) if request.query_string else {}
    verb = verb_of(request.method, target, watch=query.get("watch", "") in ("true", "1"))
    if verb is None:
        raise refusals.method_not_allowed()
    headers = request.headers
    ours = target.subresource not in CONNECTED
    return Call(
        target,
        verb,
        user,
        query,
        form_of(headers.get("Accept", "")) if ours else "plain",
        headers.get("Content-Type", JSON).partition(";")[0].strip(),
        user_agent=headers.get("User-Agent", ""),
    )


def _response(answer: Answer, warnings: Sequence[str] = ()) -> web.Response:
    headers = {"Content-Type": answer.content_type, "Cache-Control": _NO_STORE}
    response = web.Response(body=answer.body, status=answer.status, headers=headers)
    for text in warnings:
        response.headers.add("Warning", f"299 - {json.dumps(text)}")
    return response


def _refused(refusal: refusals.Refusal) -> web.Response:
    headers = {"Content-Type": JSON, "Cache-Control": _NO_STORE}
    retry = (refusal.details or {}).get("retryAfterSeconds")
    if retry:
        headers["Retry-After"] = str(retry)
    body = orjson.dumps(refusal.status())
    return web.Response(body=body, status=refusal.code, headers=headers)


def request_of(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """Make the request object of aiohttp's server, with the body limit of the API server."""
    loop, limit = asyncio.get_running_loop(), refusals.BODY_LIMIT
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=limit)
