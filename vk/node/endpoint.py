"""Where the kubelet's API of the node is and what the node can do, as a part of its status. Pure.

Note: an API server that does not know ``declaredFeatures`` drops it from every write. So it
is no reason to write where there is none yet, and is sent along with what is written anyway.
"""

from __future__ import annotations

from typing import Any

from vk.models.pod import Json

__all__ = ["endpoint_patch"]

_FEATURES = frozenset({"InPlacePodVerticalScalingInitContainers"})
"""What API servers ask of a node only where it declares it."""
_OF_THE_API = frozenset({"ExtendWebSocketsToKubelet"})
"""The same of its kubelet's API."""


def endpoint_patch(status: Json, port: int) -> tuple[dict[str, Any], bool]:
    """Return the fields to write for an API on ``port``, and whether they say anything new.

    Port 0: there is none, and where the Node says that one is, that is left.
    """
    patch: dict[str, Any] = {}
    endpoint = {"kubeletEndpoint": {"Port": port}}
    features = sorted(_FEATURES | (_OF_THE_API if port else frozenset()))  # the order is demanded
    known = status.get("declaredFeatures")
    if port and (status.get("daemonEndpoints") or {}) != endpoint:
        patch["daemonEndpoints"] = endpoint
    told = bool(patch) or known not in (None, features)
    if known != features:
        patch["declaredFeatures"] = features
    return patch, told
