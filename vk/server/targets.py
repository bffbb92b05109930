"""Targets: the pod or container that a route names, or a StatusError.

In: names from the path, decoded once. Out: what the API server has on this node, never anything
else that a provider may hold: a request cannot reach beyond the pods of this node. Every handler
that needs the provider looks its target up here first, so a standby answers 503 here too.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from vk.cluster.store import Store
from vk.models.keys import ContainerKey
from vk.models.pod import Pod
from vk.server.errors import StatusError

__all__ = ["Targets"]

_MIRROR = "kubernetes.io/config.mirror"
_SHOWN = 253
_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
_WAITS = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


@attrs.define(eq=False)
class Targets:
    """Looks pods up in ``pods``, the API server's pods of this node."""

    pods: Store
    acting: Callable[[], bool]
    """Whether this process acts for the node: only then the provider is open."""

    def pod(self, namespace: str, name: str, uid: str | None = None) -> Pod:
        """Return the pod; ``uid``, if given, must be its own.

        Raises StatusError: 404 where there is none, 503 in a standby.
        """
        self.check_acting()
        raw = self.pods.get(namespace, name)
        metadata = raw["metadata"] if raw is not None else {}
        known = raw is not None and _MIRROR not in (metadata.get("annotations") or {})
        if raw is None or not known or uid not in (None, metadata.get("uid")):
            raise StatusError(404, f"pod {_shown(namespace)}/{_shown(name)} not found on this node")
        return Pod(raw)

    def container(
        self, namespace: str, name: str, container: str, uid: str | None = None
    ) -> ContainerKey:
        """Return the key of a container, init container or ephemeral container of the pod.

        Raises StatusError as `pod` does, and 404 where the pod has no such container.
        """
        pod = self.pod(namespace, name, uid)
        every = (*pod.containers, *pod.init_containers, *pod.ephemeral_containers)
        if all(container != one.name for one in every):
            text = f"container {_shown(container)} not found in pod {pod.key}"
            raise StatusError(404, text)
        return ContainerKey(pod.key, container)

    def check_log(self, container: ContainerKey, *, previous: bool) -> None:
        """Raise StatusError 400 where the wanted run of a container is known not to exist.

        The texts are a kubelet's.
        """
        raw = self.pods.get(container.pod.namespace, container.pod.name) or {}
        found = next(
            (
                one
                for field in _STATUSES
                for one in (raw.get("status") or {}).get(field) or ()
                if one["name"] == container.name
            ),
            None,
        )
        if found is None:
            return
        waiting = (found.get("state") or {}).get("waiting")
        ended = (found.get("lastState") or {}).get("terminated")
        name = f'container "{container.name}" in pod "{container.pod.name}"'
        if previous and not ended:
            raise StatusError(400, f"previous terminated {name} not found")
        if waiting is not None and not ended:
            reason = waiting.get("reason") or "ContainerCreating"
            text = _WAITS.get(reason, reason)
            raise StatusError(400, f"{name} is waiting to start: {text}")

    def check_acting(self) -> None:
        """Raise StatusError 503 unless this process acts for the node."""
        if not self.acting():
            text = "this process does not act for the node: another one does, or it is starting"
            raise StatusError(503, text, retry_after=5.0)


def _shown(name: str) -> str:
    """Return a name from a client, printable and of limited length."""
    return name[:_SHOWN] if name.isprintable() else ascii(name[:_SHOWN])
