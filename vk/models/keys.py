"""The identity of a pod, and of a container in it."""

from __future__ import annotations

import attrs

__all__ = ["ContainerKey", "PodKey"]


@attrs.frozen
class PodKey:
    """The identity of a pod. Equal by ``uid`` alone: a recreated pod of that name is another."""

    namespace: str = attrs.field(eq=False)
    name: str = attrs.field(eq=False)
    uid: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@attrs.frozen
class ContainerKey:
    """The identity of a container of a pod (init and ephemeral containers too)."""

    pod: PodKey
    name: str

    def __str__(self) -> str:
        return f"{self.pod}/{self.name}"
