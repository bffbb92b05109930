"""The cluster's Services as pods see them: environment variables, and the address of the DNS.

In: the cache of Service objects, and the pod's namespace. Out: the variables. `Services` keeps them
per namespace until a Service changes; the rules themselves (`service_links`, `pod_links`) are pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import attrs

from vk.cluster.store import Store
from vk.models.api_object import spec_of
from vk.models.pod import Json

__all__ = ["Services", "pod_links", "service_links", "slim"]

_METADATA = ("namespace", "name", "uid", "resourceVersion")

_API_SERVER = re.compile(
    r"KUBERNETES_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_[A-Z]+(_(PROTO|PORT|ADDR))?)?)"
)


def slim(service: Json) -> dict[str, object]:
    """Return the fields of a Service that are used here."""
    metadata, spec = service["metadata"], spec_of(service)
    return {
        "metadata": {name: metadata.get(name) for name in _METADATA},
        "spec": {name: spec.get(name) for name in ("clusterIP", "clusterIPs", "ports", "type")},
    }


@attrs.define(eq=False)
class Services:
    """The variables of each namespace, computed once and again after a change."""

    store: Store
    _links: dict[str, Mapping[str, str]] = attrs.field(factory=dict, init=False)

    def changed(self, old: Json | None, new: Json | None) -> None:
        """Forget the variables that a changed Service is part of."""
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
        address = _cluster_ip(service or {})
        return (address,) if address and address != "None" else ()


def service_links(services: Iterable[Json], namespace: str) -> dict[str, str]:
    """Return the variables for the Services of ``namespace`` and for default/kubernetes.

    Services without an address of their own (headless, ExternalName) have none. A Service named
    kubernetes in ``namespace`` hides the one of default; with ``namespace`` empty only
    default/kubernetes counts.
    """
    chosen: dict[str, Json] = {}
    for service in services:
        metadata = service["metadata"]
        name, home = metadata["name"], metadata.get("namespace")
        if _cluster_ip(service) in ("", "None"):
            continue
        if home == namespace:
            chosen[name] = service
        elif home == "default" and name == "kubernetes":
            chosen.setdefault(name, service)
    return {
        variable: value
        for name, service in sorted(chosen.items())
        for variable, value in _variables(name, service)
    }


def pod_links(raw: Json, links: Mapping[str, str], api_server: str) -> Mapping[str, str]:
    """Return those of its namespace's ``links`` that the pod ``raw`` gets.

    enableServiceLinks=false leaves the API server's; ``api_server`` (HOST:PORT, empty for none)
    takes the place of their address.
    """
    if spec_of(raw).get("enableServiceLinks") is False:
        links = {name: value for name, value in links.items() if _API_SERVER.fullmatch(name)}
    if not api_server:
        return links
    host, _, port = api_server.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    return {**links, "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}


def _cluster_ip(service: Json) -> str:
    return spec_of(service).get("clusterIP") or ""


def _variables(name: str, service: Json) -> Iterator[tuple[str, str]]:
    prefix = _variable_name(name)
    address = _cluster_ip(service)
    ports = service["spec"].get("ports") or ()
    yield f"{prefix}_SERVICE_HOST", address
    if not ports:
        return
    yield f"{prefix}_SERVICE_PORT", str(ports[0]["port"])
    for port in ports:
        if port.get("name"):
            yield f"{prefix}_SERVICE_PORT_{_variable_name(port['name'])}", str(port["port"])
    yield f"{prefix}_PORT", _url(address, ports[0])
    for port in ports:
        yield from _port_variables(prefix, address, port)


def _port_variables(prefix: str, address: str, port: Json) -> Iterator[tuple[str, str]]:
    protocol = port.get("protocol") or "TCP"
    stem = f"{prefix}_PORT_{port['port']}_{protocol.upper()}"
    yield stem, _url(address, port)
    yield f"{stem}_PROTO", protocol.lower()
    yield f"{stem}_PORT", str(port["port"])
    yield f"{stem}_ADDR", address


def _url(address: str, port: Json) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"{(port.get('protocol') or 'TCP').lower()}://{host}:{port['port']}"


def _variable_name(name: str) -> str:
    return name.upper().replace("-", "_")
