"""The signature ACS3-HMAC-SHA256, with which the vendor's newer clients sign by default. Pure.

Action, version, time, nonce and security token are headers; `parameters_of` names them as the older
signature does, so that the rest of the emulator knows one kind of call. Signed are the method, the
path, the sorted query, the headers that ``Authorization`` lists, and the digest of the body.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

import attrs

from vk_providers.alibabacloud.emulator.errors import EciApiError, missing

__all__ = ["ALGORITHM", "Acs3Signature", "parameters_of", "signature_of"]

ALGORITHM = "ACS3-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]+)"
)
_HEADERS: Mapping[str, str] = {
    "Action": "x-acs-action",
    "Version": "x-acs-version",
    "Timestamp": "x-acs-date",
    "SignatureNonce": "x-acs-signature-nonce",
    "SecurityToken": "x-acs-security-token",
}
"""The header of each parameter of the protocol."""
_SIGNED = ("host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-version")
"""Headers that must be signed."""


@attrs.frozen
class Acs3Signature:
    """The signature of a request, and what it must be of."""

    text: str
    """The string to sign."""
    signature: str = attrs.field(repr=False)

    def matches(self, secret: str) -> bool:
        """Return whether it was made with this secret."""
        digest = hmac.new(secret.encode(), self.text.encode(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(digest, self.signature)


def parameters_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the protocol's parameters of a request that is signed so. Raises `EciApiError`."""
    key, _, _ = _authorization(headers)
    found = {name: headers[header] for name, header in _HEADERS.items() if header in headers}
    return {**found, "Format": "JSON", "AccessKeyId": key}


def signature_of(
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    body: bytes,
) -> Acs3Signature:
    """Return the signature of a request. Raises `EciApiError` where it is incomplete."""
    _, names, signature = _authorization(headers)
    for name in _SIGNED:
        if name not in names or name not in headers:
            raise missing(name)
    digest = hashlib.sha256(body).hexdigest()
    if headers["x-acs-content-sha256"] != digest:
        text = "The header x-acs-content-sha256 is not the digest of the body."
        raise EciApiError(400, "SignatureDoesNotMatch", text)
    lines = [
        method,
        path,
        "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in sorted(query)),
        *(f"{name}:{headers.get(name, '').strip()}" for name in names),
        "",
        ";".join(names),
        digest,
    ]
    request = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return Acs3Signature(f"{ALGORITHM}\n{request}", signature)


def _authorization(headers: Mapping[str, str]) -> tuple[str, list[str], str]:
    """Return the access key id, the names of the signed headers, and the signature."""
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if found is None:
        text = f"The header Authorization is no complete signature {ALGORITHM}."
        raise EciApiError(400, "IncompleteSignature", text)
    return found[1], found[2].split(";"), found[3]


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")
