"""Authentication: the user of a request, by client certificate or bearer token.

In: a request. Out: a `UserInfo`, or a StatusError. Called by the middleware of `vk.server.app`
before anything else happens. A client certificate was verified in the handshake with the bundle of
`vk.server.client_ca`; a token is sent to the API server in a TokenReview. RBAC: create of
tokenreviews.

A certificate is accepted for as long as its connection lasts, so it is verified again when it has
expired or when the client CA bundle has changed since the handshake. Any client can send tokens:
unknown ones are reviewed at a bounded rate and cached by their hash, and all results together are
bounded in number. A token never shows in a log.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
from aiohttp import web
from cryptography import x509
from cryptography.x509.oid import NameOID

from vk.aio.memo import Memo
from vk.aio.token_bucket import TokenBucket
from vk.cluster.client import Client
from vk.cluster.resources import Resource
from vk.errors import ClusterError, ForbiddenError
from vk.server.client_ca import ClientCA
from vk.server.connection_limits import network_of
from vk.server.connections import ServerConnection
from vk.server.errors import StatusError

__all__ = ["Authenticator", "UserInfo", "review", "user_of"]

log = logging.getLogger(__name__)

_TOKEN_REVIEWS = Resource(
    "authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False
)
_AUTHENTICATED = "system:authenticated"
_VALID_TTL, _INVALID_TTL = 120.0, 30.0  # s; the first is the kubelet's
_RATE_ADDRESS, _RATE_ALL = 10.0, 50.0  # unknown tokens a second
_ADDRESSES = 1024
_LONGEST_TOKEN = 16 * 1024
_REVIEW_TIMEOUT = 10.0
_LOG_INTERVAL = 60.0


@attrs.frozen(kw_only=True)
class UserInfo:
    """An authenticated user, as the API server describes it."""

    name: str = attrs.field(kw_only=False)
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


_INSECURE_USER = UserInfo("insecure-dev")


@attrs.define(eq=False)
class _ClientCertificate:
    """The verified certificate of one connection."""

    user: UserInfo
    certificate: x509.Certificate = attrs.field(repr=False)
    generation: int
    """Of the client CA bundle that it was verified with."""


@attrs.frozen
class _ReviewedToken:
    user: UserInfo | None
    """None: the token is not valid."""


def _token_ttl(token: _ReviewedToken) -> float:
    return _INVALID_TTL if token.user is None else _VALID_TTL


@attrs.define(eq=False, kw_only=True)
class Authenticator:
    """Authenticates requests. ``insecure`` accepts all: for a server on loopback alone."""

    client: Client
    client_ca: ClientCA
    insecure: bool = False
    may_review: bool | None = attrs.field(default=None, init=False)
    """Whether this node may create TokenReviews; None: not known yet."""
    _tokens: Memo[bytes, _ReviewedToken] = attrs.field(factory=lambda: Memo(_token_ttl), init=False)
    _all_addresses: TokenBucket = attrs.field(
        factory=lambda: TokenBucket(_RATE_ALL, _RATE_ALL), init=False
    )
    _by_address: OrderedDict[str, TokenBucket] = attrs.field(factory=OrderedDict, init=False)
    _logged_at: float = attrs.field(default=float("-inf"), init=False)

    @property
    def no_authenticator(self) -> bool:
        """Whether no client can be authenticated: no client CA, and no right to review tokens."""
        return not self.client_ca.bundle and self.may_review is False

    async def authenticate(self, request: web.Request) -> UserInfo:
        """Return the user of a request.

        Raises StatusError: 401, 429 for too many unknown tokens from one address or from all
        together, 503 where the API server is unreachable.
        """
        user: UserInfo | None = _INSECURE_USER
        if not self.insecure:
            user = self._by_certificate(request) or await self._by_token(request)
        if user is None:
            raise StatusError(401, "Unauthorized")
        connection = request.protocol
        if isinstance(connection, ServerConnection):
            connection.slot.authenticated()
        return user

    async def probe(self) -> None:
        """Find out whether this node may review tokens. Raises ClusterError."""
        try:
            await self._review_token("probe")
        except ForbiddenError:
            self.may_review = False

    async def close(self) -> None:
        """Cancel reviews that are under way."""
        await self._tokens.close()

    def _by_certificate(self, request: web.Request) -> UserInfo | None:
        connection, transport = request.protocol, request.transport
        if transport is None or not isinstance(connection, ServerConnection):
            return None
        found = connection.client_certificate
        if found is None:
            tls = transport.get_extra_info("ssl_object")
            found = connection.client_certificate = _certificate_of(tls, connection.ca_generation)
        if not isinstance(found, _ClientCertificate):
            return None
        if found.certificate.not_valid_after_utc < datetime.now(UTC):
            return None
        if found.generation != self.client_ca.generation:
            if not self.client_ca.has_signed(found.certificate):
                return None
            found.generation = self.client_ca.generation
        return found.user

    async def _by_token(self, request: web.Request) -> UserInfo | None:
        values = request.headers.getall("Authorization", [])
        if len(values) != 1:
            return None
        scheme, _, token = values[0].partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > _LONGEST_TOKEN:
            return None
        key = hashlib.sha256(token.encode(errors="surrogateescape")).digest()
        known = self._tokens.peek(key)
        if known is None:
            address = request.remote or ""
            try:
                known = await self._tokens.get(key, lambda: self._review_unknown(token, address))
            except ForbiddenError as error:
                self.may_review = False
                self._log("authentication failed: grant create of tokenreviews", error)
                return None
            except ClusterError as error:
                self._log("authentication failed", error)
                raise StatusError(503, "token review failed", retry_after=1.0) from None
        return known.user

    async def _review_unknown(self, token: str, address: str) -> _ReviewedToken:
        self._throttle(address)
        return await self._review_token(token)

    async def _review_token(self, token: str) -> _ReviewedToken:
        status = await review(self.client, _TOKEN_REVIEWS, {"token": token})
        self.may_review = True
        user = status.get("user") or {}
        if not status.get("authenticated") or not user.get("username"):
            return _ReviewedToken(None)
        extra = {key: tuple(values) for key, values in (user.get("extra") or {}).items()}
        return _ReviewedToken(
            UserInfo(
                user["username"],
                uid=user.get("uid") or "",
                groups=tuple(user.get("groups") or ()),
                extra=tuple(sorted(extra.items())),
            )
        )

    def _throttle(self, address: str) -> None:
        now = asyncio.get_running_loop().time()
        network = network_of(address)
        bucket = self._by_address.setdefault(network, TokenBucket(_RATE_ADDRESS, _RATE_ADDRESS))
        self._by_address.move_to_end(network)
        if len(self._by_address) > _ADDRESSES:
            self._by_address.popitem(last=False)
        if bucket.take(now) or self._all_addresses.take(now):
            raise StatusError(429, "too many unknown tokens", retry_after=1.0)

    def _log(self, message: str, error: ClusterError) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._logged_at >= _LOG_INTERVAL:
            self._logged_at = now
            log.error(message, extra={"error": str(error)})


async def review(client: Client, resource: Resource, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Create a review object and return its status. Raises ClusterError."""
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
    answer = await client.create(resource, body, timeout=_REVIEW_TIMEOUT)
    return answer.get("status") or {}


def _certificate_of(tls: Any, generation: int) -> _ClientCertificate | bool:
    """Return the certificate that the handshake verified; False: none that names a user."""
    if not isinstance(tls, ssl.SSLObject):
        return False
    raw = tls.getpeercert(binary_form=True)
    if raw is None:
        return False
    try:
        certificate = x509.load_der_x509_certificate(raw)
        user = user_of(certificate)
    except ValueError:
        return False
    if user is None:
        return False
    # A resumed session was verified some time ago.
    return _ClientCertificate(user, certificate, -1 if tls.session_reused else generation)


def user_of(certificate: x509.Certificate) -> UserInfo | None:
    """Return the user that a client certificate names, None where it names none.

    As in Go: the last common name is the user, each organization a group.
    """
    names = [
        str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    ]
    if not names or not names[-1]:
        return None
    groups = [
        str(one.value)
        for one in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    ]
    if _AUTHENTICATED not in groups:
        groups.append(_AUTHENTICATED)
    return UserInfo(names[-1], groups=tuple(groups))
