"""From a kubeconfig that the embedded cluster wrote to an open way into it.

In: the path. Out: an `Access` for `vk.cluster.client.Client` and `VirtualKubelet`. Reads nothing
but what `vk.devcluster` writes (JSON that names certificate files or a token); for any other
kubeconfig there is `vk.cluster.config.load_access`, whose library takes seconds to import.
"""

from __future__ import annotations

import math
from pathlib import Path

import attrs
import orjson

from vk.cluster.config import Access, Credentials

__all__ = ["read_access"]


@attrs.frozen
class _Fixed:
    """The same credentials for as long as the cluster lives."""

    credentials: Credentials
    interval: float = math.inf

    async def read(self, force: bool) -> Credentials:
        return self.credentials


def read_access(kubeconfig: Path) -> Access:
    """Return the way to the embedded cluster as the user of ``kubeconfig``."""
    content = orjson.loads(kubeconfig.read_bytes())
    cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
    token = user.get("token")
    credentials = Credentials(
        server=cluster["server"].rstrip("/"),
        authorization=f"Bearer {token}" if token else None,
        ca_file=cluster.get("certificate-authority"),
        cert_file=user.get("client-certificate"),
        key_file=user.get("client-key"),
    )
    return Access(_Fixed(credentials), credentials)
