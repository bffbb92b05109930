"""What must be right around a node, whatever the provider: the core's own checks of `vk doctor`.

In: the settings and a client of the API server. Out: one `Check` after the other, as they are found
out; nothing is changed anywhere. Whether the node's address can be reached is asked of the API
server, whose connection it is that counts; only where it may not be asked we try from here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import closing
from typing import Any

import attrs

from vk.cluster.client import Client
from vk.cluster.permissions import NODE, REFERENCES, Permission
from vk.cluster.resources import NAMESPACES, NODES, Resource
from vk.errors import ClusterError, ForbiddenError, ObjectNotFoundError
from vk.models.check import Check
from vk.models.time import parse_time
from vk.settings import Settings

__all__ = ["ClusterChecks"]

_REVIEW = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False
)
_SELF = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", False)
_PROXY = Permission("doctor", "nodes/proxy", ("get",), "whether the node is reached", name=NODE)
"""A node's own account does not have it."""
_TIMEOUT = 10.0
_SKEW = 5.0
"""Seconds between clocks that are no reason to act; backends refuse from minutes on."""


@attrs.define(eq=False)
class ClusterChecks:
    """Looks at one cluster with the rights of ``client``. Run them in this order.

    ``cluster_uid`` is known, and the others make sense, once `api_server` has yielded a good one.
    """

    client: Client
    settings: Settings
    cluster_uid: str = attrs.field(default="", init=False)

    async def api_server(self) -> Check:
        """Whether the API server answers us at all."""
        name = "API server"
        try:
            namespace = await self.client.get(NAMESPACES, "kube-system", timeout=_TIMEOUT)
        except ForbiddenError as error:
            return Check(name, False, str(error), "apply the roles that `vk rbac` prints")
        except ClusterError as error:
            return Check(name, False, str(error), "look at --kubeconfig and the network")
        self.cluster_uid = str(namespace["metadata"]["uid"])
        return Check(name, True, f"answers; the cluster is {self.cluster_uid}")

    async def clock(self) -> Check:
        """Whether our clock agrees with the API server's; it tells whole seconds only."""
        body = {"apiVersion": _SELF.api_version, "kind": _SELF.kind}
        sent = time.time()
        try:
            answer = await self.client.create(_SELF, body, timeout=_TIMEOUT)
        except ClusterError as error:
            return Check("clock", False, str(error), "the API server must be 1.28 or later")
        theirs = parse_time((answer.get("metadata") or {}).get("creationTimestamp"))
        if theirs is None:
            return Check("clock", True, "the API server does not tell its time")
        apart = max(0.0, sent - theirs.timestamp() - 1.0, theirs.timestamp() - time.time())
        if apart > _SKEW:
            text = f"{apart:.0f} s apart from the API server's"
            return Check("clock", False, text, "synchronise the clock of this machine")
        return Check("clock", True, "agrees with the API server's")

    async def permissions(self, wanted: Iterable[Permission]) -> AsyncIterator[Check]:
        """Whether each permission is granted to us."""
        for one in wanted:
            denied = [verb for verb in one.verbs if not await self._allowed(one, verb)]
            where = f" in {one.namespace}" if one.namespace else ""
            name = f"may {', '.join(one.verbs)} {one.resource}{where}"
            if not denied:
                yield Check(name, True, one.why)
            elif one.feature in _OPTIONAL:
                yield Check(name, True, f"{one.why}; not granted", _OPTIONAL[one.feature])
            else:
                text = f"denied: {', '.join(denied)}; needed for: {one.why}"
                yield Check(name, False, text, "apply the roles that `vk rbac` prints")

    async def address(self) -> Check:
        """Whether the API server reaches the node's own API, or would."""
        node = self.settings.node_name
        try:
            found = await self.client.get(NODES, node, timeout=_TIMEOUT)
        except ObjectNotFoundError:
            return self._future_address()
        except ClusterError as error:
            return Check("address", False, str(error), "apply the roles that `vk rbac` prints")
        address, port = _endpoint(found, self.settings.kubelet_port)
        where = f"{address}:{port}"
        if not await self._allowed(_PROXY, "get"):
            return await _connect(address, port)
        try:
            await self.client.get(NODES, node, subresource="proxy/vk/status", timeout=_TIMEOUT)
        except ObjectNotFoundError:
            return Check("address", False, f"what answers at {where} is no vk", _ADDRESS)
        except ClusterError as error:
            return Check("address", False, f"the API server cannot use {where}: {error}", _ADDRESS)
        return Check("address", True, f"the API server reaches {where}")

    def _future_address(self) -> Check:
        address = self.settings.internal_ip or self.client.local_address()
        text = f"there is no node {self.settings.node_name} yet; it would be at {address}"
        if ipaddress.ip_address(address).is_loopback:
            return Check("address", False, f"{text}, which only this machine reaches", _ADDRESS)
        if not _is_ours(address):
            return Check("address", False, f"{text}, which is no address of this machine", _ADDRESS)
        return Check("address", True, f"{text}, port {self.settings.kubelet_port}")

    async def _allowed(self, permission: Permission, verb: str) -> bool:
        attributes = permission.attributes(verb, self.settings.node_name)
        body = {
            "apiVersion": _REVIEW.api_version,
            "kind": _REVIEW.kind,
            "spec": {"resourceAttributes": attributes},
        }
        answer = await self.client.create(_REVIEW, body, timeout=_TIMEOUT)
        return bool((answer.get("status") or {}).get("allowed"))


_NAMESPACES = "bind the role vk-references in each namespace whose pods need it"
_OPTIONAL = dict.fromkeys(REFERENCES, _NAMESPACES) | {
    "persistent-volumes": "apply the roles that `vk rbac` prints if pods here have claims",
}
"""Features that a node works without, and what gives them."""
_ADDRESS = "set VKUBELET_POD_IP to an address that the API server reaches, and open the port there"


async def _connect(address: str, port: int) -> Check:
    where = f"{address}:{port}"
    try:
        async with asyncio.timeout(_TIMEOUT):
            _, writer = await asyncio.open_connection(address, port)
    except OSError as error:  # a time-out is one too
        reason = error.strerror or type(error).__name__
        return Check("address", False, f"{where} cannot be reached from here: {reason}", _ADDRESS)
    writer.close()
    return Check("address", True, f"{where} is reached from here; the API server was not asked")


def _endpoint(node: dict[str, Any], port: int) -> tuple[str, int]:
    status = node.get("status") or {}
    for one in status.get("addresses") or ():
        if one["type"] == "InternalIP":
            endpoint = (status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
            return one["address"], endpoint.get("Port") or port
    return "no address", port


def _is_ours(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as one:
        try:
            one.bind((address, 0))
        except OSError:
            return False
    return True
