"""The signature of an RPC call, version 1.0 with HMAC-SHA1, from its specification. Pure.

Query and form parameters together, without ``Signature``, sorted by name, percent-encoded as
RFC 3986 says; the method, an encoded slash and the encoded result are what is signed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

__all__ = ["sign", "string_to_sign"]


def string_to_sign(method: str, parameters: Mapping[str, str]) -> str:
    """Return what a call with these parameters signs."""
    pairs = sorted((name, text) for name, text in parameters.items() if name != "Signature")
    canonical = "&".join(f"{_encoded(name)}={_encoded(text)}" for name, text in pairs)
    return f"{method}&%2F&{_encoded(canonical)}"


def sign(secret: str, text: str) -> str:
    """Return the signature of ``text`` with the secret of an access key."""
    digest = hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")
