"""The cluster's services, as far as pods see them: environment links and the resolver's address."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from vk.cluster.store import Store
from vk.models.pod import Json
from vk.pods.resolve.service_links import service_links

__all__ = ["Services", "slim"]


def slim(service: Json) -> dict[str, object]:
    """Keep of a service what is used here."""
    metadata, spec = service["metadata"], service.get("spec") or {}
    return {
        "metadata": {name: metadata.get(name) for name in _METADATA},
        "spec": {name: spec.get(name) for name in ("clusterIP", "clusterIPs", "ports", "type")},
    }


_METADATA = ("namespace", "name", "uid", "resourceVersion")


@attrs.define(eq=False)
class Services:
    """Links a namespace, worked out once and again after a change."""

    store: Store
    _links: dict[str, Mapping[str, str]] = attrs.field(factory=dict, init=False)

    def changed(self, old: Json | None, new: Json | None) -> None:
        """Forget what a changed service is part of."""
        for service in (old, new):
            if service is not None:
                namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
                if (namespace, name) == ("default", "kubernetes"):
                    self._links.clear()
                self._links.pop(namespace, None)

    def links(self, namespace: str) -> Mapping[str, str]:
        """Return the service variables of pods in ``namespace``."""
        links = self._links.get(namespace)
        if links is None:
            links = self._links[namespace] = service_links(list(self.store.values()), namespace)
        return links

    def dns(self) -> tuple[str, ...]:
        """Return the address of Service kube-system/kube-dns, if there is one."""
        service = self.store.get("kube-system", "kube-dns")
        address = ((service or {}).get("spec") or {}).get("clusterIP")
        return (address,) if address and address != "None" else ()
