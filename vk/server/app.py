"""The application: the handlers of the routes, and the middleware around each request.

In: a handler for each name of `vk.server.routes`, an `Authenticator` and an `Authorizer`. Out: an
aiohttp application, which `vk.server.server` serves. One middleware does what must be the same for
all: it authenticates before anything is answered, even that a path does not exist; then it checks
the path, then authorizes for the route that the router chose; an exception of a handler becomes a
StatusError.

There are no redirects, and a path with encoded separators, dot segments or control characters is
refused instead of being normalized: two readers of it might not agree.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import unquote_to_bytes

from aiohttp import HttpVersion10, HttpVersion11, web

from vk.server.authentication import Authenticator
from vk.server.authorization import Authorizer
from vk.server.connections import ServerConnection
from vk.server.errors import StatusError, status_error_of
from vk.server.routes import ROUTES, Route

__all__ = ["Handler", "Observe", "build_app"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Observe = Callable[[str, str, int, float], None]
"""Called with method, template of the path, status and seconds of each request."""

_ROUTE: web.AppKey[Mapping[str, Route]] = web.AppKey("routes", Mapping[str, Route])
_UNSAFE = re.compile(r"//|/\.{1,2}(/|$)|%(2[ef]|5c|[01][0-9a-f]|7f)|[\x00-\x20\x7f\\;]", re.I)
_LONGEST_QUERY = 64 * 1024


def build_app(
    handlers: Mapping[str, Handler],
    authenticator: Authenticator,
    authorizer: Authorizer,
    *,
    observe: Observe = lambda method, path, status, seconds: None,
    routes: Sequence[Route] = ROUTES,
) -> web.Application:
    """Return the application. Each name of ``routes`` must have its handler in ``handlers``."""
    app = web.Application(middlewares=[_middleware(authenticator, authorizer, observe)])
    app[_ROUTE] = {route.path: route for route in routes}
    for route in routes:
        for method in route.methods:
            app.router.add_route(method, route.path, handlers[route.name])
    app.on_response_prepare.append(_finish_headers)
    return app


def _middleware(
    authenticator: Authenticator, authorizer: Authorizer, observe: Observe
) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection, started = request.protocol, time.monotonic()
        route, status = _route(request), 499
        if isinstance(connection, ServerConnection):
            connection.begin(patient=route is not None and route.creates)
        try:
            answer = await _answer(request, handler, authenticator, authorizer)
            status = answer.status
            if isinstance(connection, ServerConnection) and not connection.slot.is_authenticated:
                answer.force_close()  # unauthenticated, it would keep a slot of its address
            if status == 400:
                answer.force_close()  # what follows may be a part of the refused request
            return answer
        finally:
            if isinstance(connection, ServerConnection):
                connection.end()
            path = route.path if route is not None else "unknown"
            observe(request.method, path, status, time.monotonic() - started)

    return middleware


async def _answer(
    request: web.Request,
    handler: Handler,
    authenticator: Authenticator,
    authorizer: Authorizer,
) -> web.StreamResponse:
    route = _route(request)
    plain = route is not None and route.plain
    try:
        if not (route is not None and route.health and authenticator.no_authenticator):
            user = await authenticator.authenticate(request)
            _check_path(request)
            if route is None:
                raise _unmatched(request)
            await authorizer.authorize(user, route, request.method)
        return await handler(request)
    except ConnectionError:
        raise  # the client has disconnected
    except Exception as error:  # noqa: BLE001 # whatever a handler raises is answered or logged
        what = f"{request.method} {route.path if route is not None else 'unknown path'}"
        return status_error_of(error, what).response(text=plain)


def _route(request: web.Request) -> Route | None:
    """Return the route that the router chose; None: no such path, or not with this method."""
    resource = request.match_info.route.resource
    if resource is None or request.match_info.http_exception is not None:
        return None
    return request.app[_ROUTE].get(resource.canonical)


def _check_path(request: web.Request) -> None:
    path, _, query = request.raw_path.partition("?")
    if request.version not in (HttpVersion10, HttpVersion11):
        raise StatusError(400, "expected HTTP/1.1")
    if not path.startswith("/") or _UNSAFE.search(path):
        raise StatusError(400, "expected a plain path, without dot segments or encoded separators")
    if len(query) > _LONGEST_QUERY:
        raise StatusError(400, "expected a query of 64 KiB at most")
    try:
        unquote_to_bytes(query).decode()
    except UnicodeError:
        raise StatusError(400, "expected a query in UTF-8") from None


def _unmatched(request: web.Request) -> StatusError:
    match request.match_info.http_exception:
        case web.HTTPMethodNotAllowed(allowed_methods=methods):
            headers = [("Allow", ", ".join(sorted(methods)))]
            return StatusError(405, "method not allowed", headers=headers)
        case _:
            return StatusError(404, "no such path")


async def _finish_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)
    response.headers.setdefault("Cache-Control", "no-cache, private")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
