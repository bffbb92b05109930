"""Addresses of the nodes' kubelets, and connections to them.

In: the name of a node. Out: its `Kubelet`, read from the node's status, and an open connection or
the answer to a plain request. The embedded server shows a client certificate of the cluster's own
authority, as the user `KUBELET_CLIENT`; the kubelet authorizes that user at the API server.

Note: the kubelet's own certificate is not checked, as by every API server without
``--kubelet-certificate-authority``: a node signs its first one itself.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import attrs
from yarl import URL

from vk.devcluster import refusals
from vk.devcluster.auth.certificates import KeyPair
from vk.devcluster.kinds import stored_kind
from vk.devcluster.proxy.kubelet_connection import Headers, KubeletPipe
from vk.devcluster.storage.storage import Storage
from vk.models.api_object import status_of

__all__ = ["Kubelet", "Kubelets", "UnreachableError", "kubelet_of"]

_ADDRESSES = ("InternalIP", "ExternalIP", "Hostname")
_PORT = 10250  # of a node that names none
_WEBSOCKETS = "ExtendWebSocketsToKubelet"
_PATIENCE = 30.0  # s for a connection
_AUTOMATIC = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class UnreachableError(Exception):
    """The kubelet cannot be spoken to; the text is the reason."""


@attrs.frozen
class Kubelet:
    """The address of a kubelet."""

    host: str
    port: int
    takes_websockets: bool = False
    """The node declares that WebSockets may be passed on to it as they are."""

    @property
    def authority(self) -> str:
        """Host and port as a URL has them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def kubelet_of(node: Mapping[str, Any]) -> Kubelet:
    """Return the kubelet that a node names. Raises a refusal where it has no address."""
    status = status_of(node)
    addresses = status.get("addresses") or ()
    by_type = {one.get("type"): one.get("address") for one in reversed(addresses)}
    host = next((by_type[name] for name in _ADDRESSES if by_type.get(name)), None)
    if host is None:
        known = [str(one.get("address")) for one in addresses]
        why = f"no preferred addresses found; known addresses: [{' '.join(known)}]"
        raise refusals.Refusal(500, "", why)
    endpoint = (status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
    features = status.get("declaredFeatures") or ()
    return Kubelet(host, endpoint.get("Port") or _PORT, _WEBSOCKETS in features)


@attrs.define(eq=False)
class Kubelets:
    """Finds kubelets and connects to them. `close` it at the end."""

    storage: Storage
    _pair: KeyPair = attrs.field(repr=False)
    _tls: ssl.SSLContext = attrs.field(init=False, repr=False)
    _session: aiohttp.ClientSession | None = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE
        self._tls.load_cert_chain(self._pair.certificate, self._pair.key)

    def of(self, node_name: str) -> Kubelet:
        """Return a node's kubelet. Raises refusals: no such node, or it has no address."""
        return kubelet_of(self.storage.existing(stored_kind("nodes"), "", node_name))

    async def dial(self, kubelet: Kubelet) -> KubeletPipe:
        """Open a connection; the caller closes it. Raises UnreachableError."""
        try:
            async with asyncio.timeout(_PATIENCE):
                streams = await asyncio.open_connection(kubelet.host, kubelet.port, ssl=self._tls)
        except OSError as error:  # a time-out is one too
            raise UnreachableError(f"dial tcp {kubelet.authority}: {_why(error)}") from None
        return KubeletPipe(*streams)

    @asynccontextmanager
    async def request(
        self,
        method: str,
        kubelet: Kubelet,
        target: str,
        *,
        headers: Headers = (),
        body: bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; give the answer, whatever its status, its body still to be read.

        Raises UnreachableError where no answer begins.
        """
        url = URL(f"https://{kubelet.authority}{target}", encoded=True)
        try:
            reply = await self._client().request(
                method,
                url,
                headers=list(headers),
                data=body,
                skip_auto_headers=_AUTOMATIC,
                allow_redirects=False,
            )
        except aiohttp.ClientConnectorError as error:
            why = f"dial tcp {kubelet.authority}: {_why(error.os_error)}"
            raise UnreachableError(why) from None
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(str(error) or "EOF") from None
        async with reply:
            yield reply

    async def close(self) -> None:
        """Close what is open to kubelets."""
        if self._session is not None:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=0),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_PATIENCE),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


def _why(error: OSError) -> str:
    """Return what went wrong with a connection, as Go words it."""
    if isinstance(error, TimeoutError):
        return "i/o timeout"
    if isinstance(error, ssl.SSLError) or error.errno is None:
        return f"tls: {error.reason or error}" if isinstance(error, ssl.SSLError) else str(error)
    return f"connect: {os.strerror(error.errno).lower()}"
