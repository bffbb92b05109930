"""What a pod's status follows from, beside the API object: a value made by `status.writer`."""

from __future__ import annotations

import attrs

from vk.models.pod import Json
from vk.models.status import Condition, PodStatus
from vk.pods.sync.records import Granted, Verdict

__all__ = ["Facts", "internal_addresses"]


def internal_addresses(node: Json | None) -> tuple[str, ...]:
    """Return the node's internal addresses, one of each family: more are no host addresses."""
    found: dict[bool, str] = {}
    for one in ((node or {}).get("status") or {}).get("addresses") or ():
        if one["type"] == "InternalIP":
            found.setdefault(":" in one["address"], one["address"])
    return tuple(found.values())


@attrs.frozen(kw_only=True)
class Facts:
    """What is known of one pod. ``status`` is what the provider said last."""

    status: PodStatus | None = None
    verdict: Verdict | None = None
    problem: tuple[str, str] | None = None
    """Reason and message of a pod that is not at the provider yet."""
    gone: bool = False
    """The provider holds nothing any more, and the pod is to end."""
    host_ips: tuple[str, ...] = ()
    """The node's addresses: the pod's host where the provider does not name one."""
    accepted: bool = False
    """The provider has the pod, or had it."""
    observed_generation: int = 0
    last_update: Condition | None = None
    """What became of the last update: refused (status True), or not; None: not known."""
    granted: Granted = attrs.field(factory=Granted)
