"""Where the kubelet's API of the node is and what it can do, as a part of the Node's status. Pure.

Surprising: an API server that does not know ``declaredFeatures`` drops it from every write. So it
is no reason to write where there is none yet, and is sent along with what is written anyway.
"""

from __future__ import annotations

from typing import Any

from vk.models.pod import Json

__all__ = ["FEATURES", "endpoint_patch"]

FEATURES = ("ExtendWebSocketsToKubelet",)
"""What the API can do beyond what every API server expects; sorted."""


def endpoint_patch(status: Json, port: int) -> tuple[dict[str, Any], bool]:
    """Return the fields to write for an API on ``port``, and whether they say anything new.

    Port 0: there is none, and what the Node says of one is left.
    """
    if not port:
        return {}, False
    patch: dict[str, Any] = {}
    endpoint, features = {"kubeletEndpoint": {"Port": port}}, list(FEATURES)
    known = status.get("declaredFeatures")
    if (status.get("daemonEndpoints") or {}) != endpoint:
        patch["daemonEndpoints"] = endpoint
    told = bool(patch) or known not in (None, features)
    if known != features:
        patch["declaredFeatures"] = features
    return patch, told
