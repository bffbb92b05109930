"""The client of the vendor's RPC APIs: throttles, signs and sends one call, and reads the answer.

In: an action and its nested parameters. Out: the answer with all keys in lower case, since the
service does not use one casing for all actions. Parameters are sent in the body of a POST, so that
no URL contains a secret; the query holds only the parameters of the signature.

A mutation is sent once; after a lost answer the caller, which knows the ClientToken, decides. Reads
are repeated once. Where this machine's clock is wrong, requests are signed with the service's time.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import attrs
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from vk_providers.alibabacloud.credentials import ApiCredentials, CredentialChain
from vk_providers.alibabacloud.errors import (
    ClockError,
    CredentialsError,
    RequestOutcomeUnknownError,
    ThrottlingError,
    error_of,
)
from vk_providers.alibabacloud.requests import MUTATIONS, build
from vk_providers.alibabacloud.throttle import Throttle

__all__ = ["Answer", "RpcClient", "http_client", "lower_keys", "sign"]

log = logging.getLogger(__name__)

Answer = Mapping[str, Any]
_TIMESTAMP = re.compile(r"Timestamp=[^&]*")
_AGAIN = 0.5
_HEADERS = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}


@attrs.define(eq=False, kw_only=True)
class RpcClient:
    """Calls one endpoint; ``check_lease`` is called right before a mutation is sent."""

    http: httpx.AsyncClient
    endpoint: str
    region: str
    credentials: CredentialChain
    throttle: Throttle
    check_lease: Callable[[], None]
    skew: float | None = attrs.field(default=None, init=False)
    """Seconds by which the service's clock was ahead of ours at the last answer."""
    _correction: float = attrs.field(default=0.0, init=False)
    """Seconds that are added to this machine's time in signatures."""

    async def call(self, action: str, parameters: Mapping[str, Any]) -> Answer:
        """Return the answer to ``action``.

        Raises the errors of `errors`; OutcomeUnknownError where there is no usable answer.
        """
        request = build(action, parameters)
        tries = 1 if action in MUTATIONS else 2
        for left in reversed(range(tries)):
            try:
                return await self._once(request, renewed=False)
            except RequestOutcomeUnknownError:
                if not left:
                    raise
            await asyncio.sleep(_AGAIN)
        raise AssertionError  # the last try returns or raises

    async def _once(self, request: Any, *, renewed: bool) -> Answer:
        credentials = await self.credentials.get()
        try:
            return await self._send(request, credentials)
        except ClockError:
            if renewed or self.skew is None:
                raise
            self._correction = self.skew  # rejected, so nothing was done: repeat once
            text = "this machine's clock is wrong: signing with the service's time"
            log.warning(text, extra={"seconds": round(self.skew)})
        except CredentialsError:
            if renewed or credentials.expires is None:
                raise
            self.credentials.forget(credentials)  # rejected, so nothing was done: repeat once
        return await self._once(request, renewed=True)

    async def _send(self, request: Any, credentials: ApiCredentials) -> Answer:
        action = request.get_action_name()
        async with self.throttle.turn(action):
            path, body = sign(request, credentials, region=self.region, correction=self._correction)
            if action in MUTATIONS:
                self.check_lease()
            try:
                answer = await self.http.post(self.endpoint + path, content=body, headers=_HEADERS)
            except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
                # From None: the text of the cause may hold the URL.
                raise RequestOutcomeUnknownError(
                    f"{action}: no answer ({type(error).__name__})"
                ) from None
        self._note_clock(answer)
        content = _parsed(answer)
        if answer.status_code == 200 and content is not None and "code" not in content:
            return content
        refusal = error_of(action, answer.status_code, content)
        if isinstance(refusal, ThrottlingError):
            self.throttle.bucket(action).shrink()
        raise refusal

    def _note_clock(self, answer: httpx.Response) -> None:
        try:
            there = parsedate_to_datetime(answer.headers["date"])
        except (KeyError, ValueError):
            return
        self.skew = (there - datetime.now(UTC)).total_seconds()


def sign(
    request: Any, credentials: ApiCredentials, *, region: str, correction: float = 0.0
) -> tuple[str, bytes]:
    """Return path and query, and the body, of a request that is signed now and valid once.

    ``correction``: seconds by which the service's clock is ahead of this machine's.
    """
    from aliyunsdkcore.auth.composer import rpc_signature_composer as composer

    business = dict(request.get_query_params())
    common = {
        "Action": request.get_action_name(),
        "Version": request.get_version(),
        "RegionId": region,
    }
    if credentials.token:
        business["SecurityToken"] = credentials.token  # a secret, so not in the URL
    signed = business
    if correction:
        now = datetime.now(UTC) + timedelta(seconds=correction)
        signed = {**business, "Timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
    path, _ = composer.get_signed_url(
        common, credentials.access_key, credentials.secret_key, "JSON", "POST", signed
    )
    if correction:  # the composer's own time is in the path
        path = _TIMESTAMP.sub(f"Timestamp={quote(signed['Timestamp'], safe='')}", path)
    return path, urlencode(business).encode()


def lower_keys(value: Any) -> Any:
    """Return JSON with every key of every object in lower case, and no null in a list."""
    if isinstance(value, dict):
        return {key.lower(): lower_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [lower_keys(item) for item in value if item is not None]
    return value


def _parsed(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        content = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return None
    return lower_keys(content) if isinstance(content, dict) else None


_LIMITS = httpx.Limits(max_connections=32, keepalive_expiry=30.0)


def http_client() -> httpx.AsyncClient:
    """Return an HTTP client, to be entered once and shared."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log the URL of every call
    return httpx.AsyncClient(
        transport=AiohttpTransport(verify=True, trust_env=False, limits=_LIMITS),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(20.0, connect=10.0),
    )
