"""The way to the API server and back: sessions, headers, credentials, time-outs, errors.

Two sessions: one for calls (bounded), one for watches (unbounded), so that a watch never holds a
call's place. The path of a call is short on purpose: prebuilt headers, no look-ups of proxies,
orjson. A call is retried on two answers only: 429, as long as its time allows, and once on 401 with
fresh credentials. Used by `vk.cluster.client` alone.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import aiohttp
import attrs
import orjson
from multidict import CIMultiDict
from yarl import URL

from vk.cluster.answers import answer, failure, retry_after
from vk.cluster.config import Access
from vk.cluster.rate_limiter import RateLimiter
from vk.cluster.sockets import Sockets
from vk.errors import ClusterError, ThrottledError, UnavailableError

__all__ = ["Observe", "Transport"]

Object = dict[str, Any]

Observe = Callable[[str, int, float], None]
"""Called with method, status (0: no answer) and seconds of each request; never raises."""

_JSON = "application/json"
_LONGEST_PAUSE = 60.0


@attrs.define(eq=False)
class Transport:
    """Sends requests with the credentials of ``access``; see the module."""

    _access: Access = attrs.field(repr=False)
    _user_agent: str
    _qps: float
    _burst: int
    _connections: int
    _observe: Observe | None = attrs.field(default=None, repr=False)
    sockets: Sockets = attrs.field(init=False, repr=False)
    _calls: aiohttp.ClientSession | None = attrs.field(default=None, init=False, repr=False)
    _watches: aiohttp.ClientSession | None = attrs.field(default=None, init=False, repr=False)
    _rate_limiter: RateLimiter | None = attrs.field(init=False, repr=False)
    _headers: dict[tuple[str, str], CIMultiDict[str]] = attrs.field(
        factory=dict, init=False, repr=False
    )
    _authorization: str | None = attrs.field(default=None, init=False, repr=False)
    _in_flight: int = attrs.field(default=0, init=False)
    _quiet: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.sockets = Sockets(self._access.proxy or self._access.server)
        self._rate_limiter = RateLimiter(self._qps, max(1, self._burst)) if self._qps > 0 else None

    def open(self) -> None:
        """Make the sessions; nothing is sent."""
        self._quiet.set()
        self._calls = self._session(self._connections)
        self._watches = self._session(0)

    async def close(self) -> None:
        """Close the sessions and their connections."""
        for session in (self._calls, self._watches):
            if session is not None:
                await session.close()
        self._calls = self._watches = None

    def _session(self, limit: int) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=limit, keepalive_timeout=60, socket_factory=self.sockets.open
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=self._access.proxy,
            read_bufsize=2**20,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            trust_env=False,
        )

    async def call(
        self,
        method: str,
        path: str,
        text: str,
        *,
        body: object = None,
        content_type: str = _JSON,
        accept: str = _JSON,
        timeout: float,
    ) -> Object:
        """Send one request and return the object in the answer. ``text`` names it in errors."""
        forms = (content_type, accept)
        data = None if body is None else orjson.dumps(body)
        deadline = asyncio.get_running_loop().time() + timeout
        fresh = False
        self._in_flight += 1
        self._quiet.clear()
        try:
            async with asyncio.timeout_at(deadline):
                while True:
                    try:
                        return await self._once(method, path, text, data, forms)
                    except ThrottledError as error:
                        await _pause(error, deadline)
                    except ClusterError as error:
                        if error.status != 401 or fresh:
                            raise
                        fresh = True
                        await self._access.refresh()
        except TimeoutError as error:
            raise UnavailableError(f"{text}: no answer within {timeout:g} s") from error
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._quiet.set()

    async def quiet(self) -> None:
        """Return at a moment when no call is in flight or waits for its turn."""
        while self._in_flight:
            await self._quiet.wait()

    async def _once(
        self, method: str, path: str, text: str, data: bytes | None, forms: tuple[str, str]
    ) -> Object:
        if self._rate_limiter is not None:
            await self._rate_limiter.wait()
        try:
            async with await self._send(self._calls, method, path, data, forms) as response:
                body = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise self._unavailable(text, error) from error
        if response.status < 300:
            return answer(text, response.status, body)
        wait = retry_after(response.headers.get("Retry-After"))
        return answer(text, response.status, body, wait)

    async def _send(
        self,
        session: aiohttp.ClientSession | None,
        method: str,
        path: str,
        data: bytes | None,
        forms: tuple[str, str],
    ) -> aiohttp.ClientResponse:
        if session is None:
            raise RuntimeError("the client is not open: use `async with client`")
        authorization = await self._access.authorization()
        if authorization != self._authorization:
            self._headers.clear()
            self._authorization = authorization
        headers = self._headers.get(forms) or self._make_headers(forms)
        started, status = monotonic(), 0
        try:
            response = await session.request(
                method,
                URL(self._access.server + path, encoded=True),
                data=None if data is None else aiohttp.BytesPayload(data),  # else it is looked up
                headers=headers,
                ssl=self._access.ssl_context or True,
                server_hostname=self._access.server_name,
                allow_redirects=False,
            )
            status = response.status
            return response
        finally:
            if self._observe is not None:
                self._observe(method, status, monotonic() - started)

    def _make_headers(self, forms: tuple[str, str]) -> CIMultiDict[str]:
        content_type, accept = forms
        headers = CIMultiDict(
            {
                "Accept": accept,
                # The network is near: unpacking gzip would cost more than it saves.
                "Accept-Encoding": "identity",
                "Content-Type": content_type,
                "User-Agent": self._user_agent,
            }
        )
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        self._headers[forms] = headers
        return headers

    @asynccontextmanager
    async def stream(self, path: str, text: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """Give the answer to a watch request before its body is read; closes it at the end."""
        try:
            for fresh in (False, True):
                async with asyncio.timeout(30):
                    response = await self._send(self._watches, "GET", path, None, (_JSON, _JSON))
                if response.status != 401 or fresh:
                    break
                response.close()
                await self._access.refresh()
            try:
                if response.status >= 300:
                    raise await _refused(response, text)
                yield response
            finally:
                response.close()  # mid-stream, so the connection cannot be used again
        except (aiohttp.ClientError, OSError) as error:  # a time-out is an OSError
            raise self._unavailable(text, error) from error

    def _unavailable(self, text: str, error: Exception) -> UnavailableError:
        if isinstance(error, aiohttp.ClientSSLError):
            self._access.expire()  # perhaps a certificate was rotated: look before the next call
        return UnavailableError(f"{text}: {_why(error)}")


def _why(error: Exception) -> str:
    """Say what went wrong, in texts that cannot quote what a server sent."""
    certificate = isinstance(error, aiohttp.ClientConnectorCertificateError)
    if isinstance(error, aiohttp.ClientConnectorError) and not certificate:
        cause = error.os_error  # its text has the address once more, or an object's
        numbered = not isinstance(cause, ssl.SSLError) and (cause.errno or 0) > 0
        why = os.strerror(cause.errno or 0) if numbered else cause.strerror or str(cause)
        return f"cannot connect to {error.host}:{error.port}: {why}"
    return str(error) if isinstance(error, aiohttp.ClientOSError) else type(error).__name__


async def _refused(response: aiohttp.ClientResponse, text: str) -> ClusterError:
    wait = retry_after(response.headers.get("Retry-After"))
    async with asyncio.timeout(10):
        body = await response.read()
    try:
        answer(text, response.status, body, wait)
    except ClusterError as error:
        return error
    return failure(text, response.status, None, wait)


async def _pause(error: ThrottledError, deadline: float) -> None:
    """Wait as long as the server asked, or raise ``error`` when there is no time for that."""
    asked = 1.0 if error.retry_after is None else min(error.retry_after, _LONGEST_PAUSE)
    pause = max(asked, 0.1) * random.uniform(1.0, 1.25)
    if asyncio.get_running_loop().time() + pause >= deadline:
        raise error
    await asyncio.sleep(pause)
