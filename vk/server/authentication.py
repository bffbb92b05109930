"""Who asks, and whether he may: decided for every request before anything else happens.

In: a request and the entry of the table that it matched. Out: nothing, or a Refusal. Called by the
middleware of `vk.server.app`. A caller is known by the client certificate that the handshake has
verified, else by a bearer token that the API server knows; what he may do the API server says.

Surprising: a certificate is believed for as long as its connection lasts, so it is looked at again
when it has expired or when the authority has changed since the handshake.
"""

from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime
from typing import Any

import attrs
from aiohttp import web
from cryptography import x509
from cryptography.x509.oid import NameOID

from vk.server.authorization import Identity, Reviews
from vk.server.client_ca import Authority
from vk.server.connections import Connection
from vk.server.errors import Refusal
from vk.server.routes import Route

__all__ = ["Access", "identity_of"]

log = logging.getLogger(__name__)

_AUTHENTICATED = "system:authenticated"
_NOBODY = Identity("insecure-dev")


@attrs.define(eq=False)
class _Shown:
    """The certificate of one connection and when it was looked at."""

    identity: Identity
    certificate: x509.Certificate = attrs.field(repr=False)
    generation: int


@attrs.define(eq=False, kw_only=True)
class Access:
    """Checks requests. ``open`` checks nothing: for a server on loopback alone."""

    authority: Authority
    reviews: Reviews
    lenient_get: bool = False
    """A GET of exec, attach and port-forward needs verb ``get`` only, as upstream has it."""
    open: bool = False

    @property
    def blind(self) -> bool:
        """Whether nobody can be told apart: no authority, and tokens may not be asked about."""
        return not self.authority.bundle and self.reviews.permitted is False

    async def identify(self, request: web.Request) -> Identity:
        """Return who asks. Raises Refusal: 401, and what `Reviews.identify` raises."""
        identity: Identity | None = _NOBODY
        if not self.open:
            identity = self._certified(request) or await self._token_holder(request)
        if identity is None:
            raise Refusal(401, "Unauthorized")
        connection = request.protocol
        if isinstance(connection, Connection):
            connection.place.authenticated()
        return identity

    async def check(self, identity: Identity, route: Route, method: str) -> None:
        """Raise Refusal (403) unless ``identity`` may use ``route``."""
        if self.open:
            return
        verb = route.verb(method, lenient=self.lenient_get)
        for subresource in route.subresources:
            if await self.reviews.allowed(identity, verb, subresource):
                return
        wanted = " or ".join(f"nodes/{subresource}" for subresource in route.subresources)
        extra = {"user": identity.name, "verb": verb, "resource": wanted, "path": route.path}
        log.warning("request forbidden", extra=extra)
        raise Refusal(403, f"Forbidden (user={identity.name}, verb={verb}, resource={wanted})")

    def _certified(self, request: web.Request) -> Identity | None:
        connection, transport = request.protocol, request.transport
        if transport is None or not isinstance(connection, Connection):
            return None
        shown = connection.shown
        if shown is None:
            tls = transport.get_extra_info("ssl_object")
            shown = connection.shown = _look(tls, connection.trust)
        if not isinstance(shown, _Shown) or shown.certificate.not_valid_after_utc < datetime.now(
            UTC
        ):
            return None
        if shown.generation != self.authority.generation:
            if not self.authority.vouches(shown.certificate):
                return None
            shown.generation = self.authority.generation
        return shown.identity

    async def _token_holder(self, request: web.Request) -> Identity | None:
        values = request.headers.getall("Authorization", [])
        if len(values) != 1:
            return None
        scheme, _, token = values[0].partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return None
        return await self.reviews.identify(token, request.remote or "")


def _look(tls: Any, trust: int) -> _Shown | bool:
    """Return what the handshake verified; False: nothing that names somebody."""
    if not isinstance(tls, ssl.SSLObject):
        return False
    raw = tls.getpeercert(binary_form=True)
    if raw is None:
        return False
    try:
        certificate = x509.load_der_x509_certificate(raw)
        identity = identity_of(certificate)
    except ValueError:
        return False
    if identity is None:
        return False
    # A resumed session was verified some time ago.
    return _Shown(identity, certificate, -1 if tls.session_reused else trust)


def identity_of(certificate: x509.Certificate) -> Identity | None:
    """Return whom a client certificate names, None where it names nobody.

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
    return Identity(names[-1], groups=tuple(groups))
