"""The priority classes of new pods: those of the system are there, every other is refused.

`admit` is an admission of `vk.devcluster.creation`; the priority itself is one of the defaults that
the rules of pods fill in. There are no PriorityClass objects here, so no pod can name one.
"""

from __future__ import annotations

from typing import Any

from vk.devcluster import refusals
from vk.devcluster.kinds import Kind

__all__ = ["admit"]


def admit(kind: Kind, obj: dict[str, Any]) -> dict[str, Any]:
    """Return a new object as it is. Raises the refusal forbidden for a class that is not there."""
    wanted = obj["spec"].get("priorityClassName") if kind.name == "Pod" else None
    if wanted and "priority" not in obj["spec"]:
        metadata = obj["metadata"]
        named = metadata.get("name") or metadata.get("generateName") or "Unknown"
        raise refusals.forbidden(kind, named, f"no PriorityClass with name {wanted} was found")
    return obj
