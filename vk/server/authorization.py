"""Asking the API server who somebody is and what he may do: TokenReview, SubjectAccessReview.

In: a bearer token, or an identity and a right. Out: an identity or None, yes or no. RBAC: create of
tokenreviews and subjectaccessreviews. Used by `vk.server.authentication` alone.

Anybody can send tokens: those that are not known are asked about at a bounded rate and remembered
by their hash, and all answers together are bounded in number. A token never shows in a log.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import attrs

from vk.aio.memo import Memo
from vk.cluster.client import Client
from vk.cluster.resources import Resource
from vk.errors import ClusterError, ForbiddenError
from vk.server.connection_limits import network_of
from vk.server.errors import Refusal

__all__ = ["Identity", "Reviews"]

log = logging.getLogger(__name__)

_TOKENS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
_RIGHTS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
_KNOWN, _UNKNOWN = 120.0, 30.0  # s, as the kubelet; and for tokens of nobody
_ALLOWED, _DENIED = 300.0, 30.0  # s, as the kubelet
_RATE_ADDRESS, _RATE_ALL = 10.0, 50.0  # tokens a second that nobody has asked about before
_ADDRESSES = 1024
_LONGEST_TOKEN = 16 * 1024
_TIMEOUT = 10.0
_SAY_EVERY = 60.0


@attrs.frozen(kw_only=True)
class Identity:
    """Who asks, as the API server sees it."""

    name: str = attrs.field(kw_only=False)
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@attrs.frozen
class _Known:
    """What a review says of a token; None: nobody's."""

    identity: Identity | None


@attrs.define
class _Allowance:
    rate: float
    level: float = attrs.field(init=False)
    at: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self.level = self.rate

    def take(self, moment: float) -> bool:
        self.level = min(self.rate, self.level + (moment - self.at) * self.rate)
        self.at = moment
        if self.level < 1.0:
            return False
        self.level -= 1.0
        return True


def _seconds_known(known: _Known) -> float:
    return _UNKNOWN if known.identity is None else _KNOWN


def _seconds_allowed(allowed: bool) -> float:
    return _ALLOWED if allowed else _DENIED


@attrs.define(eq=False)
class Reviews:
    """Asks about callers of one node."""

    client: Client
    node_name: str
    permitted: bool | None = attrs.field(default=None, init=False)
    """Whether we may ask about tokens at all; None: not known yet."""
    _known: Memo[bytes, _Known] = attrs.field(factory=lambda: Memo(_seconds_known), init=False)
    _rights: Memo[tuple[Identity, str, str], bool] = attrs.field(
        factory=lambda: Memo(_seconds_allowed), init=False
    )
    _every: _Allowance = attrs.field(factory=lambda: _Allowance(_RATE_ALL), init=False)
    _each: OrderedDict[str, _Allowance] = attrs.field(factory=OrderedDict, init=False)
    _said: float = attrs.field(default=float("-inf"), init=False)

    async def probe(self) -> None:
        """Find out whether we may ask about tokens. Raises ClusterError where nobody says."""
        try:
            await self._review_token("probe")
        except ForbiddenError:
            self.permitted = False

    async def identify(self, token: str, address: str) -> Identity | None:
        """Return whose token this is, None for nobody's.

        Raises Refusal: 429 for too many unknown tokens from ``address`` or from all together, 503
        where the API server cannot say.
        """
        if len(token) > _LONGEST_TOKEN:
            return None
        key = hashlib.sha256(token.encode(errors="surrogateescape")).digest()
        known = self._known.peek(key)
        if known is None:
            try:
                known = await self._known.get(key, lambda: self._review_unknown(token, address))
            except ForbiddenError as error:
                self.permitted = False
                self._say("tokens cannot be checked: grant create of tokenreviews", error)
                return None
            except ClusterError as error:
                self._say("tokens cannot be checked", error)
                raise Refusal(503, "tokens cannot be checked now", retry_after=1.0) from None
        return known.identity

    async def allowed(self, identity: Identity, verb: str, subresource: str) -> bool:
        """Return whether ``identity`` may ``verb`` the subresource of this node.

        Raises Refusal where the API server does not say: nobody may anything then.
        """
        key = (identity, verb, subresource)
        try:
            return await self._rights.get(key, lambda: self._review_right(*key))
        except ForbiddenError as error:
            self._say("rights cannot be checked: grant create of subjectaccessreviews", error)
            raise Refusal(500, "rights cannot be checked") from None
        except ClusterError as error:
            self._say("rights cannot be checked", error)
            raise Refusal(503, "rights cannot be checked now", retry_after=1.0) from None

    async def close(self) -> None:
        """Cancel questions that are under way."""
        await self._known.close()
        await self._rights.close()

    async def _review_unknown(self, token: str, address: str) -> _Known:
        self._throttle(address)
        return await self._review_token(token)

    async def _review_token(self, token: str) -> _Known:
        answer = await self._ask(_TOKENS, {"token": token})
        self.permitted = True
        user = answer.get("user") or {}
        if not answer.get("authenticated") or not user.get("username"):
            return _Known(None)
        extra = {key: tuple(values) for key, values in (user.get("extra") or {}).items()}
        return _Known(
            Identity(
                user["username"],
                uid=user.get("uid") or "",
                groups=tuple(user.get("groups") or ()),
                extra=tuple(sorted(extra.items())),
            )
        )

    async def _review_right(self, identity: Identity, verb: str, subresource: str) -> bool:
        attributes = {
            "verb": verb,
            "version": "v1",
            "resource": "nodes",
            "subresource": subresource,
            "name": self.node_name,
        }
        spec = {
            "user": identity.name,
            "uid": identity.uid,
            "groups": list(identity.groups),
            "extra": {key: list(values) for key, values in identity.extra},
            "resourceAttributes": attributes,
        }
        answer = await self._ask(_RIGHTS, spec)
        return bool(answer.get("allowed")) and not answer.get("denied")

    async def _ask(self, resource: Resource, spec: Mapping[str, Any]) -> dict[str, Any]:
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
        answer = await self.client.create(resource, body, timeout=_TIMEOUT)
        return answer.get("status") or {}

    def _throttle(self, address: str) -> None:
        moment = asyncio.get_running_loop().time()
        network = network_of(address)
        each = self._each.setdefault(network, _Allowance(_RATE_ADDRESS))
        self._each.move_to_end(network)
        if len(self._each) > _ADDRESSES:
            self._each.popitem(last=False)
        if not each.take(moment) or not self._every.take(moment):
            raise Refusal(429, "too many unknown tokens", retry_after=1.0)

    def _say(self, text: str, error: ClusterError) -> None:
        moment = asyncio.get_running_loop().time()
        if moment - self._said >= _SAY_EVERY:
            self._said = moment
            log.error(text, extra={"error": str(error)})
