"""The one HTTP client of the provider: httpx over aiohttp, which stays fast with many slow calls.

No proxy or certificate of the environment, no redirect, and no way to switch off the verification
of TLS.
"""

from __future__ import annotations

import logging

import httpx
from httpx_aiohttp import AiohttpTransport

__all__ = ["http_client"]

_LIMITS = httpx.Limits(max_connections=32, keepalive_expiry=30.0)


def http_client() -> httpx.AsyncClient:
    """Return a client; enter it to use it, and use one for everything."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log the URL of every call
    return httpx.AsyncClient(
        transport=AiohttpTransport(verify=True, trust_env=False, limits=_LIMITS),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(20.0, connect=10.0),
    )
