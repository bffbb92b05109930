"""What the benchmark's programs share: a session at the API server, and its pods.

Comes in: the path of a kubeconfig written by `vk.testing.control_plane` (JSON with a client
certificate). Goes out: aiohttp sessions, paths, watch events. Every program here uses it, so that
the observer, the clients and the yardstick speak to the API server in the same way.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson

__all__ = ["NAMESPACE", "PODS", "kubeconfig_of", "open_session", "watch_pods"]

NAMESPACE = "bench"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


def kubeconfig_of(path: Path) -> tuple[str, ssl.SSLContext]:
    """Return the kubeconfig's server, and its user as a TLS context."""
    content = json.loads(path.read_text())
    cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
    context = ssl.create_default_context(cafile=cluster["certificate-authority"])
    context.load_cert_chain(user["client-certificate"], user["client-key"])
    return cluster["server"], context


def open_session(kubeconfig: Path, *, connections: int) -> aiohttp.ClientSession:
    """Return a session of the kubeconfig's user; paths are relative to its server."""
    server, context = kubeconfig_of(kubeconfig)
    connector = aiohttp.TCPConnector(ssl=context, limit=connections)
    timeout = aiohttp.ClientTimeout(total=None)
    return aiohttp.ClientSession(server, connector=connector, timeout=timeout)


async def watch_pods(
    session: aiohttp.ClientSession, node: str
) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield the events of the node's pods, as many at a time as the connection brings.

    The first group is empty: the watch is open. A watch that the API server ends, as it does with
    one that falls behind in a burst, goes on where it was. Raises ConnectionError where that is
    no longer possible.
    """
    query = {"watch": "1", "fieldSelector": f"spec.nodeName={node}", "timeoutSeconds": "3600"}
    first = True
    while True:
        async with session.get(PODS, params=query) as answer:
            answer.raise_for_status()
            if first:
                yield []
                first = False
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                if not lines:
                    continue
                events = [orjson.loads(line) for line in lines]
                if events[-1]["type"] == "ERROR":
                    raise ConnectionError(events[-1]["object"].get("message"))
                query["resourceVersion"] = events[-1]["object"]["metadata"]["resourceVersion"]
                yield events
