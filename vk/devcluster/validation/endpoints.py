"""The rules of Endpoints and EndpointSlices. Pure.

In: decoded objects. Out: `ENDPOINTS` and `ENDPOINT_SLICES`. Called through the table of strategies.
A slice's generation rises when anything but its annotations changes.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

from vk.devcluster.validation.causes import (
    Cause,
    duplicate,
    invalid,
    invalid_each,
    required,
    unsupported,
)
from vk.devcluster.validation.names import ip_faults, label_faults, port_faults, subdomain_faults
from vk.devcluster.validation.services import PROTOCOLS
from vk.devcluster.validation.strategy import Strategy

__all__ = ["ENDPOINTS", "ENDPOINT_SLICES"]

_LINK_LOCAL_MULTICAST = (ip_network("224.0.0.0/24"), ip_network("ff02::/16"))
_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")


def _default_endpoints(endpoints: dict[str, Any]) -> None:
    for subset in endpoints.get("subsets") or ():
        for port in subset.get("ports") or ():
            port.setdefault("protocol", "TCP")


def _check_endpoints(endpoints: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    for index, subset in enumerate(endpoints.get("subsets") or ()):
        field = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            detail = "must specify `addresses` or `notReadyAddresses`"
            causes.append(required(field, detail))
        for part in ("addresses", "notReadyAddresses"):
            for at, address in enumerate(subset.get(part) or ()):
                causes += _address_faults(f"{field}.{part}[{at}]", address)
        ports = subset.get("ports") or []
        for at, port in enumerate(ports):
            causes += _port_faults(f"{field}.ports[{at}]", port, several=len(ports) > 1)
    return causes


def _address_faults(field: str, address: dict[str, Any]) -> list[Cause]:
    causes = invalid_each(f"{field}.ip", address["ip"], ip_faults(address["ip"]))
    if causes:
        causes.append(invalid(f"{field}.ip", address["ip"], "must be a valid IP address"))
    else:
        causes += invalid_each(f"{field}.ip", address["ip"], _special_ip_faults(address["ip"]))
    host_name = address.get("hostname")
    if host_name:
        causes += invalid_each(f"{field}.hostname", host_name, label_faults(host_name))
    node = address.get("nodeName")
    if node is not None:
        causes += invalid_each(f"{field}.nodeName", node, subdomain_faults(node))
    return causes


def _special_ip_faults(text: str) -> list[str]:
    ip = ip_address(text)
    if ip.is_unspecified:
        return [f"may not be unspecified ({text})"]
    if ip.is_loopback:
        return ["may not be in the loopback range (127.0.0.0/8, ::1/128)"]
    if ip.is_link_local:
        return ["may not be in the link-local range (169.254.0.0/16, fe80::/10)"]
    if any(ip in network for network in _LINK_LOCAL_MULTICAST):
        return ["may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"]
    return []


def _port_faults(field: str, port: dict[str, Any], *, several: bool) -> list[Cause]:
    causes: list[Cause] = []
    name = port.get("name", "")
    if several and not name:
        causes.append(required(f"{field}.name"))
    elif name:
        causes += invalid_each(f"{field}.name", name, label_faults(name))
    causes += invalid_each(f"{field}.port", port["port"], port_faults(port["port"]))
    return causes + _protocol_faults(f"{field}.protocol", port.get("protocol"))


def _protocol_faults(field: str, protocol: str | None) -> list[Cause]:
    if protocol is None or protocol in PROTOCOLS:
        return []
    return [unsupported(field, protocol, PROTOCOLS)]


def _default_slice(slice_: dict[str, Any]) -> None:
    for port in slice_.get("ports") or ():
        for name, value in (("name", ""), ("protocol", "TCP")):
            if port.get(name) is None:
                port[name] = value


def _check_slice(slice_: dict[str, Any]) -> list[Cause]:
    kind = slice_["addressType"]
    causes: list[Cause] = []
    if not kind:
        causes.append(required("addressType"))
    elif kind not in _ADDRESS_TYPES:
        causes.append(unsupported("addressType", kind, _ADDRESS_TYPES))
    seen: set[str] = set()
    for index, port in enumerate(slice_.get("ports") or ()):
        field, name = f"ports[{index}]", port["name"]
        if name:
            causes += invalid_each(f"{field}.name", name, label_faults(name))
        if name in seen:
            causes.append(duplicate(f"{field}.name", name))
        seen.add(name)
        causes += _protocol_faults(f"{field}.protocol", port["protocol"])
    for index, endpoint in enumerate(slice_.get("endpoints") or ()):
        causes += _endpoint_faults(f"endpoints[{index}]", endpoint, kind)
    return causes


def _endpoint_faults(field: str, endpoint: dict[str, Any], kind: str) -> list[Cause]:
    causes: list[Cause] = []
    addresses = endpoint["addresses"] or []
    if not addresses:
        causes.append(required(f"{field}.addresses", "must contain at least 1 address"))
    for index, address in enumerate(addresses):
        faults = _address_text_faults(address, kind)
        causes += invalid_each(f"{field}.addresses[{index}]", address, faults)
    host_name = endpoint.get("hostname")
    if host_name is not None:
        causes += invalid_each(f"{field}.hostname", host_name, label_faults(host_name))
    return causes


def _address_text_faults(address: str, kind: str) -> list[str]:
    if kind == "FQDN":
        return subdomain_faults(address)
    if kind not in _ADDRESS_TYPES:
        return []
    faults = ip_faults(address)
    if not faults and f"IPv{ip_address(address).version}" != kind:
        faults = [f"must be an {kind} address"]
    return faults or _special_ip_faults(address)


def _check_slice_update(old: dict[str, Any], new: dict[str, Any], subresource: str) -> list[Cause]:
    if old["addressType"] == new["addressType"]:
        return []
    return [invalid("addressType", new["addressType"], "field is immutable")]


def _slice_parts(slice_: dict[str, Any]) -> object:
    labels = slice_["metadata"].get("labels")
    return labels, {name: part for name, part in slice_.items() if name != "metadata"}


ENDPOINTS = Strategy(default=_default_endpoints, check=_check_endpoints)
ENDPOINT_SLICES = Strategy(
    default=_default_slice,
    check=_check_slice,
    check_update=_check_slice_update,
    generation=_slice_parts,
)
