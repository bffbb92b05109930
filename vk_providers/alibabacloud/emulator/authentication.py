"""Access keys, temporary credentials, and the signature of RPC calls (version 1.0, HMAC-SHA1).

Query and form parameters together, without ``Signature``, are sorted by name and percent-encoded as
RFC 3986 defines; the method, an encoded slash and the encoded result are signed. A nonce is
accepted once, and remembered for as long as its timestamp would be accepted. A call may be signed
as `acs3` says instead.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import string
from collections import deque
from collections.abc import Mapping
from urllib.parse import quote

import attrs

from vk_providers.alibabacloud.emulator.acs3 import Acs3Signature
from vk_providers.alibabacloud.emulator.errors import EciApiError, missing
from vk_providers.alibabacloud.emulator.states import read_moment

__all__ = ["AccessKey", "AccessKeys", "sign", "string_to_sign"]

_SKEW = 900.0
"""Permitted clock skew of callers in seconds."""
_NEEDED = ("AccessKeyId", "SignatureNonce", "Timestamp")
_SIGNED = (*_NEEDED, "Signature", "SignatureMethod", "SignatureVersion")


@attrs.frozen
class AccessKey:
    """An access key, permanent or temporary."""

    id: str
    secret: str = attrs.field(repr=False)
    token: str = attrs.field(default="", repr=False)
    expires: float | None = None
    identity: str = "root"


@attrs.define(eq=False)
class AccessKeys:
    """The account's access keys and the used nonces."""

    random: random.Random
    _keys: dict[str, AccessKey] = attrs.field(factory=dict, init=False)
    _nonces: set[str] = attrs.field(factory=set, init=False)
    _used: deque[tuple[float, str]] = attrs.field(factory=deque, init=False)

    def add(self, credential: AccessKey) -> None:
        """Add an access key."""
        self._keys[credential.id] = credential

    def issue(self, identity: str, expires: float) -> AccessKey:
        """Return a new temporary access key."""
        letters = string.ascii_letters + string.digits
        id, secret, token = ("".join(self.random.choices(letters, k=k)) for k in (20, 30, 60))
        credential = AccessKey(f"STS.{id}", secret, f"CAIS{token}", expires, identity)
        self.add(credential)
        return credential

    def left(self, credential: AccessKey, now: float) -> float:
        """Return the remaining validity of a temporary access key in seconds."""
        known = self._keys[credential.id]
        return (known.expires or now) - now

    def expire(self, now: float) -> None:
        """Expire all temporary credentials."""
        for credential in list(self._keys.values()):
            if credential.expires is not None:
                self.add(attrs.evolve(credential, expires=now))

    def authenticate(
        self,
        method: str,
        parameters: Mapping[str, str],
        now: float,
        acs3: Acs3Signature | None = None,
    ) -> AccessKey:
        """Return the access key of the caller. Raises `EciApiError`."""
        for name in _SIGNED if acs3 is None else _NEEDED:
            if not parameters.get(name):
                raise missing(name)
        if acs3 is None:
            _check_method(parameters)
        _check_time(parameters["Timestamp"], now)
        credential = self._credential(parameters, now)
        if acs3 is None:
            _check_signature(method, parameters, credential.secret)
        elif not acs3.matches(credential.secret):
            raise _mismatch(acs3.text)
        self._use(parameters["SignatureNonce"], now)
        return credential

    def _credential(self, parameters: Mapping[str, str], now: float) -> AccessKey:
        credential = self._keys.get(parameters["AccessKeyId"])
        if credential is None:
            raise EciApiError(
                404, "InvalidAccessKeyId.NotFound", "Specified access key is not found."
            )
        token = parameters.get("SecurityToken", "")
        if credential.expires is not None and credential.expires <= now:
            raise EciApiError(
                400, "InvalidSecurityToken.Expired", "Specified SecurityToken expired."
            )
        if not hmac.compare_digest(token.encode(), credential.token.encode()):
            text = "Specified SecurityToken does not belong to the access key."
            raise EciApiError(400, "InvalidSecurityToken.MismatchWithAccessKey", text)
        return credential

    def _use(self, nonce: str, now: float) -> None:
        while self._used and self._used[0][0] < now - 2 * _SKEW:
            self._nonces.discard(self._used.popleft()[1])
        if nonce in self._nonces:
            text = "Specified signature nonce was used already."
            raise EciApiError(400, "SignatureNonceUsed", text)
        self._nonces.add(nonce)
        self._used.append((now, nonce))


def _check_method(parameters: Mapping[str, str]) -> None:
    if (parameters["SignatureMethod"], parameters["SignatureVersion"]) != ("HMAC-SHA1", "1.0"):
        text = "Only SignatureMethod HMAC-SHA1 with SignatureVersion 1.0 is supported here."
        raise EciApiError(400, "InvalidParameter.SignatureMethod", text)


def _check_time(text: str, now: float) -> None:
    try:
        at = read_moment(text)
    except ValueError:
        raise EciApiError(
            400, "InvalidTimeStamp.Format", "Specified time stamp is not well formatted."
        ) from None
    if abs(at - now) > _SKEW:
        raise EciApiError(
            400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired."
        )


def _check_signature(method: str, parameters: Mapping[str, str], secret: str) -> None:
    text = string_to_sign(method, parameters)
    if not hmac.compare_digest(sign(secret, text).encode(), parameters["Signature"].encode()):
        raise _mismatch(text)


def _mismatch(text: str) -> EciApiError:
    return EciApiError(
        400,
        "SignatureDoesNotMatch",
        f"Specified signature is not matched with our calculation. server string to sign is:{text}",
    )


def string_to_sign(method: str, parameters: Mapping[str, str]) -> str:
    """Return the string to sign of these parameters."""
    pairs = sorted((name, text) for name, text in parameters.items() if name != "Signature")
    canonical = "&".join(f"{_encoded(name)}={_encoded(text)}" for name, text in pairs)
    return f"{method}&%2F&{_encoded(canonical)}"


def sign(secret: str, text: str) -> str:
    """Return the signature of ``text`` with the secret of an access key."""
    digest = hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")
