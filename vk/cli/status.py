"""`vk status`: what a running node says of itself, through the API server's node proxy.

In: the name of a node and how to reach the API server. Out: a few lines, or the JSON. Needs the
right to get ``nodes/proxy``. Nothing of the node's own configuration is read here, so it works from
any machine that reaches the API server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from vk.cluster.client import Client
from vk.cluster.config import load_access
from vk.cluster.resources import NODES
from vk.errors import ClusterError, ObjectNotFoundError, VkError

__all__ = ["lines", "status"]

_ROUTE = "proxy/vk/status"
_TIMEOUT = 15.0


def status(node: str, *, kubeconfig: str, as_json: bool) -> int:
    """Print the state of ``node``; return the exit code. Raises VkError."""
    document = asyncio.run(_read(node, kubeconfig))
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        for line in lines(document):
            click.echo(line)
    return 0


async def _read(node: str, kubeconfig: str) -> dict[str, Any]:
    access = await load_access(kubeconfig)
    async with Client(access, user_agent="vk-status", connections=1) as client:
        try:
            await client.get(NODES, node, timeout=_TIMEOUT)
        except ObjectNotFoundError as error:
            raise VkError(f"there is no node {node}") from error
        try:
            document = await client.get(NODES, node, subresource=_ROUTE, timeout=_TIMEOUT)
        except ObjectNotFoundError as error:
            raise VkError(f"node {node} is not run by vk, or by an older one") from error
        except ClusterError as error:
            raise VkError(f"node {node} cannot be asked: {error}") from error
        return document


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Give what is shown to a person."""
    role = "acts for the node" if document.get("acting") else "standby"
    yield f"{document.get('node')}: vk {document.get('version')}, {role}"
    yield f"provider     {document.get('provider')}"
    lease = document.get("lease") or {}
    own = " (this process)" if lease.get("holder") == lease.get("own") else ""
    yield f"lease        {lease.get('holder') or 'none'}{own}"
    certificate = document.get("certificate") or {}
    yield f"certificate  {certificate.get('source')}, expires {certificate.get('expires')}"
    for condition in document.get("conditions") or ():
        yield f"condition    {condition['type']}={condition['status']}: {condition['message']}"
    pods = document.get("pods") or []
    troubled = [pod for pod in pods if pod.get("reason")]
    yield f"pods         {len(pods)}, {len(troubled)} with a problem"
    for pod in troubled:
        yield f"  {pod['namespace']}/{pod['name']}: {pod['phase']}, {pod['reason']}"
        yield f"    {pod.get('message') or ''}"
        if pod.get("nextTry"):
            yield f"    next try {pod['nextTry']}"
