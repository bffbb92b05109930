"""The policy for pods of DaemonSets, which would otherwise run, and cost money, on every node.

In: a pod and the operator's policy. Out: why the pod is refused, or None. A refused pod stays
Pending: the DaemonSet controller would replace a failed one again and again. Pure.
"""

from __future__ import annotations

from vk.models.pod import Json

__all__ = ["POLICIES", "REASON", "owner", "refusal"]

POLICIES = ("refuse", "run")
REASON = "DaemonSetRefused"
"""The reason in the status, and the condition's type."""


def owner(raw: Json) -> Json | None:
    """Return the reference to the DaemonSet that controls the pod, None where none does."""
    for reference in raw["metadata"].get("ownerReferences") or ():
        if reference.get("controller") and reference.get("kind") == "DaemonSet":
            return reference  # type: ignore[no-any-return] # raw JSON is untyped
    return None


def refusal(raw: Json, policy: str) -> str | None:
    """Return why the policy refuses the pod, as shown to users; None where it does not."""
    found = owner(raw)
    if found is None or policy == "run":
        return None
    name = f"{raw['metadata']['namespace']}/{found.get('name')}"
    return (
        f"this node runs no pods of DaemonSets (--daemonsets=refuse). They count as unavailable in "
        f"a rollout of {name}: keep it off the node with the node affinity "
        "type NotIn [virtual-kubelet]"
    )
