"""The application: the table of routes with its functions, and what happens around each request.

In: a function for each name of `vk.server.routes`, and `Access`. Out: an aiohttp application, which
`vk.server.server` serves. One middleware does everything that must be the same for all: who asks is
found out before anything is said, even that a path does not exist; then the path is checked, then
the right for the entry that the router chose; what a function raises becomes a Refusal.

Surprising: there are no redirects, and a path with encoded separators, dot segments or control
characters is refused whole instead of being tidied: two readers of it might not agree.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import unquote_to_bytes

from aiohttp import HttpVersion10, HttpVersion11, web

from vk.server.authentication import Access
from vk.server.connections import Connection
from vk.server.errors import Refusal, refusal_of
from vk.server.routes import ROUTES, Route

__all__ = ["Handler", "Observe", "build_app"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Observe = Callable[[str, str, int, float], None]
"""Called with method, template of the path, status and seconds of each request."""

_ROUTE: web.AppKey[Mapping[str, Route]] = web.AppKey("routes", Mapping[str, Route])
_STRANGE = re.compile(r"//|/\.{1,2}(/|$)|%(2[ef]|5c|[01][0-9a-f]|7f)|[\x00-\x20\x7f\\;]", re.I)
_LONGEST_QUERY = 64 * 1024


def build_app(
    handlers: Mapping[str, Handler],
    access: Access,
    *,
    observe: Observe = lambda method, path, status, seconds: None,
    routes: Sequence[Route] = ROUTES,
) -> web.Application:
    """Return the application. Each name of ``routes`` must have its function in ``handlers``."""
    app = web.Application(middlewares=[_around(access, observe)])
    app[_ROUTE] = {route.path: route for route in routes}
    for route in routes:
        for method in route.methods:
            app.router.add_route(method, route.path, handlers[route.name])
    app.on_response_prepare.append(_finish_headers)
    return app


def _around(access: Access, observe: Observe) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection, started = request.protocol, time.monotonic()
        route, status = _route(request), 499
        if isinstance(connection, Connection):
            connection.begin(patient=route is not None and route.creates)
        try:
            answer = await _answer(request, handler, access, route)
            status = answer.status
            if isinstance(connection, Connection) and not connection.place.known:
                answer.force_close()  # who stays unknown would keep a place of his address
            if status == 400:
                answer.force_close()  # what follows may be meant as a part of what was refused
            return answer
        finally:
            if isinstance(connection, Connection):
                connection.end()
            path = route.path if route is not None else "unknown"
            observe(request.method, path, status, time.monotonic() - started)

    return around


async def _answer(
    request: web.Request, handler: Handler, access: Access, route: Route | None
) -> web.StreamResponse:
    plain = route is not None and route.plain
    try:
        if not (route is not None and route.health and access.blind):
            identity = await access.identify(request)
            _check_path(request)
            if route is None:
                raise _unmatched(request)
            await access.check(identity, route, request.method)
        return await handler(request)
    except ConnectionError:
        raise  # the client has gone: nobody is left to be answered
    except Exception as error:  # noqa: BLE001 # whatever a route raises is answered, or logged
        what = f"{request.method} {route.path if route is not None else 'unknown path'}"
        return refusal_of(error, what).response(text=plain)


def _route(request: web.Request) -> Route | None:
    """Return the entry that the router chose; None: no such path, or not with this method."""
    resource = request.match_info.route.resource
    if resource is None or request.match_info.http_exception is not None:
        return None
    return request.app[_ROUTE].get(resource.canonical)


def _check_path(request: web.Request) -> None:
    path, _, query = request.raw_path.partition("?")
    if request.version not in (HttpVersion10, HttpVersion11):
        raise Refusal(400, "expected HTTP/1.1")
    if not path.startswith("/") or _STRANGE.search(path):
        raise Refusal(400, "expected a plain path, without dot segments or encoded separators")
    if len(query) > _LONGEST_QUERY:
        raise Refusal(400, "expected a query of 64 KiB at most")
    try:
        unquote_to_bytes(query).decode()
    except UnicodeError:
        raise Refusal(400, "expected a query in UTF-8") from None


def _unmatched(request: web.Request) -> Refusal:
    match request.match_info.http_exception:
        case web.HTTPMethodNotAllowed(allowed_methods=methods):
            headers = [("Allow", ", ".join(sorted(methods)))]
            return Refusal(405, "method not allowed", headers=headers)
        case _:
            return Refusal(404, "no such path")


async def _finish_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)
    response.headers.setdefault("Cache-Control", "no-cache, private")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
