"""What asyncio's transports do differently from one version of Python to the next."""

from __future__ import annotations

import asyncio
from contextlib import suppress

__all__ = ["abort"]


def abort(transport: asyncio.WriteTransport) -> None:
    """Close the transport at once. Does nothing where the connection is closed already."""
    with suppress(AttributeError):  # by a closed transport of TLS in Python 3.11.2
        transport.abort()
