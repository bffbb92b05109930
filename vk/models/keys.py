"""Names of things: which pod, which container of it."""

from __future__ import annotations

import attrs

__all__ = ["ContainerKey", "PodKey"]


@attrs.frozen
class PodKey:
    """Names one pod. Equal by ``uid`` alone: a recreated pod of the same name is another pod."""

    namespace: str = attrs.field(eq=False)
    name: str = attrs.field(eq=False)
    uid: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@attrs.frozen
class ContainerKey:
    """Names one container of one pod (init and ephemeral containers too)."""

    pod: PodKey
    name: str

    def __str__(self) -> str:
        return f"{self.pod}/{self.name}"
