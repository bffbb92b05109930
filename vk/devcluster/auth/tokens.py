"""Tokens of service accounts: JSON Web Tokens that this cluster signs and verifies.

`TokenIssuer.mint` makes one, `TokenIssuer.user` verifies one by its signature and by what it is
bound to: it ends with its time, its service account and its pod. Signed with a key of this process,
so no token outlives it.

Note: the signature is HMAC, so no other server can verify a token, and there is no issuer
discovery; TokenReview is the way.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import orjson

from vk.devcluster.calls import User
from vk.devcluster.kinds import stored_kind
from vk.devcluster.storage.storage import Storage
from vk.models.time import parse_time

__all__ = ["ISSUER", "TokenIssuer"]

ISSUER = "https://kubernetes.default.svc.cluster.local"
_LEEWAY = 60.0  # a deleted pod's token works for so many seconds longer, as on a real server
_KNOWN = 4096  # verified tokens that are remembered
_PREFIX = "system:serviceaccount:"
_EXTRA = "authentication.kubernetes.io/"
_HEADER = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=")


@attrs.define(eq=False)
class TokenIssuer:
    """Signs tokens for service accounts and reads them."""

    storage: Storage
    _key: bytes = attrs.field(factory=lambda: secrets.token_bytes(32), init=False, repr=False)
    _verified: dict[str, dict[str, Any]] = attrs.field(factory=dict, init=False, repr=False)

    def mint(
        self,
        account: Mapping[str, Any],
        *,
        audiences: Sequence[str] = (),
        seconds: float = 3600.0,
        bound: Mapping[str, str] | None = None,
    ) -> tuple[str, float]:
        """Return a token of a stored ServiceAccount and when it expires, in seconds since 1970.

        ``bound`` is the kind, name and uid of the object whose end ends the token.
        """
        metadata, now = account["metadata"], time.time()
        private: dict[str, Any] = {
            "namespace": metadata["namespace"],
            "serviceaccount": {"name": metadata["name"], "uid": metadata["uid"]},
        }
        if bound:
            private[bound["kind"].lower()] = {"name": bound["name"], "uid": bound["uid"]}
        claims: dict[str, Any] = {
            "aud": list(audiences) or [ISSUER],
            "exp": int(now + seconds),
            "iat": int(now),
            "iss": ISSUER,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": private,
            "nbf": int(now),
            "sub": f"{_PREFIX}{metadata['namespace']}:{metadata['name']}",
        }
        content = _HEADER + b"." + _encode(orjson.dumps(claims))
        return (content + b"." + self._signature(content)).decode(), float(claims["exp"])

    def user(self, token: str, audiences: Sequence[str] = ()) -> tuple[User, list[str]] | None:
        """Return the user of the token and the matching audiences; None if it is not valid."""
        claims = self._claims(token)
        if claims is None or claims["exp"] < time.time():
            return None
        common = [one for one in audiences or (ISSUER,) if one in claims["aud"]]
        private = claims["kubernetes.io"]
        if not common or not self._alive(private):
            return None
        namespace, account = private["namespace"], private["serviceaccount"]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        extra = {f"{_EXTRA}credential-id": (f"JTI={claims['jti']}",)}
        if "pod" in private:
            extra[f"{_EXTRA}pod-name"] = (private["pod"]["name"],)
            extra[f"{_EXTRA}pod-uid"] = (private["pod"]["uid"],)
        user = User(claims["sub"], (*groups, "system:authenticated"), account["uid"], extra)
        return user, common

    def _claims(self, token: str) -> dict[str, Any] | None:
        known = self._verified.get(token)
        if known is not None:
            return known
        content, _, signature = token.encode().rpartition(b".")
        if not content or not hmac.compare_digest(signature, self._signature(content)):
            return None
        try:
            claims: dict[str, Any] = orjson.loads(_decode(content.partition(b".")[2]))
        except (ValueError, binascii.Error):
            return None
        if len(self._verified) >= _KNOWN:
            self._verified.clear()
        self._verified[token] = claims
        return claims

    def _signature(self, content: bytes) -> bytes:
        return _encode(hmac.new(self._key, content, hashlib.sha256).digest())

    def _alive(self, private: dict[str, Any]) -> bool:
        """Return whether everything that the token is bound to is still there."""
        namespace = private["namespace"]
        if not self._exists("serviceaccounts", namespace, private["serviceaccount"]):
            return False
        bound = (
            ("pods", "pod", namespace),
            ("secrets", "secret", namespace),
            ("nodes", "node", ""),
        )
        return all(
            self._exists(plural, place, private[name])
            for plural, name, place in bound
            if name in private
        )

    def _exists(self, plural: str, namespace: str, reference: Mapping[str, str]) -> bool:
        entry = self.storage.entry(stored_kind(plural), namespace, reference["name"])
        if entry is None or entry.uid != reference["uid"]:
            return False
        if b'"deletionTimestamp"' not in entry.body:
            return True
        deadline = parse_time(orjson.loads(entry.body)["metadata"].get("deletionTimestamp"))
        return deadline is None or time.time() < deadline.timestamp() + _LEEWAY


def _encode(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def _decode(content: bytes) -> bytes:
    return base64.urlsafe_b64decode(content + b"=" * (-len(content) % 4))
