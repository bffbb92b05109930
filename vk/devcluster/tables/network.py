"""The columns of Services, Endpoints and EndpointSlices. Pure.

In: stored objects. Out: their cells; called by `vk.devcluster.tables.table`. Lists are cut after
three.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from vk.devcluster.tables.column import AGE, NAME, NONE, Column, Columns, since, wide
from vk.models.api_object import status_of

__all__ = ["ENDPOINTS", "ENDPOINT_SLICES", "SERVICES"]

_SHOWN = 3
_UNSET = "<unset>"


def _service_cells(service: dict[str, Any], now: datetime) -> list[Any]:
    spec = service["spec"]
    selector = spec.get("selector") or {}
    return [
        service["metadata"]["name"],
        spec.get("type", ""),
        (spec.get("clusterIPs") or [NONE])[0],
        _external_ip(service),
        ",".join(_port_text(port) for port in spec.get("ports") or ()) or NONE,
        since(service["metadata"].get("creationTimestamp"), now),
        ",".join(f"{key}={value}" for key, value in sorted(selector.items())) or NONE,
    ]


def _port_text(port: dict[str, Any]) -> str:
    node_port = port.get("nodePort")
    return f"{port['port']}{f':{node_port}' if node_port else ''}/{port.get('protocol', 'TCP')}"


def _external_ip(service: dict[str, Any]) -> str:
    spec = service["spec"]
    external = spec.get("externalIPs") or []
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return ",".join(external) or NONE
        case "LoadBalancer":
            balancer = status_of(service).get("loadBalancer") or {}
            found = {one.get("ip") or one.get("hostname") for one in balancer.get("ingress") or ()}
            shown = [*sorted(name for name in found if name), *external]
            return ",".join(shown) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
        case _:
            return "<unknown>"


def _endpoints_cells(endpoints: dict[str, Any], now: datetime) -> list[Any]:
    subsets = endpoints.get("subsets") or []
    shown = _cut(list(_endpoint_texts(subsets))) if subsets else NONE
    name = endpoints["metadata"]["name"]
    return [name, shown, since(endpoints["metadata"].get("creationTimestamp"), now)]


def _endpoint_texts(subsets: Sequence[dict[str, Any]]) -> Iterator[str]:
    for subset in subsets:
        ips = [address["ip"] for address in subset.get("addresses") or ()]
        ports = subset.get("ports") or []
        if not ports:
            yield from ips
        for port in ports:
            yield from (
                f"[{ip}]:{port['port']}" if ":" in ip else f"{ip}:{port['port']}" for ip in ips
            )


def _slice_cells(slice_: dict[str, Any], now: datetime) -> list[Any]:
    ports = [
        str(port["port"]) if port.get("port") is not None else port.get("name", "*")
        for port in slice_.get("ports") or ()
    ]
    addresses = [
        address
        for endpoint in slice_.get("endpoints") or ()
        for address in endpoint.get("addresses") or ()
    ]
    return [
        slice_["metadata"]["name"],
        slice_.get("addressType", ""),
        _cut(ports) or _UNSET,
        _cut(addresses) or _UNSET,
        since(slice_["metadata"].get("creationTimestamp"), now),
    ]


def _cut(texts: Sequence[str]) -> str:
    shown = ",".join(texts[:_SHOWN])
    return f"{shown} + {len(texts) - _SHOWN} more..." if len(texts) > _SHOWN else shown


SERVICES = Columns(
    (
        NAME,
        Column("Type", "How the Service is reached."),
        Column("Cluster-IP", "Address inside of the cluster."),
        Column("External-IP", "Addresses outside of the cluster."),
        Column("Port(s)", "Ports of the Service."),
        AGE,
        wide("Selector", "Labels of the pods behind it."),
    ),
    _service_cells,
)
ENDPOINTS = Columns((NAME, Column("Endpoints", "Addresses that are ready."), AGE), _endpoints_cells)
ENDPOINT_SLICES = Columns(
    (
        NAME,
        Column("AddressType", "Family of the addresses."),
        Column("Ports", "Ports of the endpoints."),
        Column("Endpoints", "Addresses of the endpoints."),
        AGE,
    ),
    _slice_cells,
)
