"""The rules of Services. Pure.

In: decoded Services. Out: `SERVICES`, the strategy, and `needs_cluster_ip`. Called through the
table of strategies. The addresses are allocated by the server: it calls `needs_cluster_ip`, and
sets ``clusterIP`` and ``clusterIPs`` between the defaults and the checks.
"""

from __future__ import annotations

from typing import Any

from vk.devcluster.validation.causes import (
    Cause,
    duplicate,
    invalid,
    invalid_each,
    required,
    unsupported,
)
from vk.devcluster.validation.metadata import label_map_faults
from vk.devcluster.validation.names import (
    ip_faults,
    label_faults,
    port_faults,
    port_name_faults,
    subdomain_faults,
)
from vk.devcluster.validation.strategy import Strategy

__all__ = ["PROTOCOLS", "SERVICES", "needs_cluster_ip"]

PROTOCOLS = ("SCTP", "TCP", "UDP")
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_AFFINITIES = ("ClientIP", "None")
_EXTERNAL = ("LoadBalancer", "NodePort")
_DAY = 86400
_AFFINITY_SECONDS = 10800


def needs_cluster_ip(service: dict[str, Any]) -> bool:
    """Return whether the server has to choose an address for the (defaulted) Service."""
    spec = service["spec"]
    return spec.get("type") != "ExternalName" and not spec.get("clusterIP")


def _default(service: dict[str, Any]) -> None:
    spec = service["spec"]
    affinity = spec.setdefault("sessionAffinity", "None")
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        client_ip = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
        seconds = client_ip.get("timeoutSeconds", _AFFINITY_SECONDS)
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": seconds}}
    kind = spec.setdefault("type", "ClusterIP")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port["targetPort"] = port["targetPort"] or port["port"]
    if kind in _EXTERNAL:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind in (*_EXTERNAL, "ClusterIP"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        for ingress in service["status"]["loadBalancer"].get("ingress") or ():
            if ingress.get("ip"):
                ingress.setdefault("ipMode", "VIP")


def _prepare_create(service: dict[str, Any]) -> None:
    service["status"] = {"loadBalancer": {}}
    spec = service["spec"]
    if spec.get("clusterIP"):
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
    elif spec.get("clusterIPs"):
        spec["clusterIP"] = spec["clusterIPs"][0]
    if spec["type"] == "ExternalName":
        return
    if spec.get("clusterIP") == "None" and not spec.get("selector"):
        spec.setdefault("ipFamilyPolicy", "RequireDualStack")
        spec.setdefault("ipFamilies", ["IPv4", "IPv6"])
        return
    families = ["IPv6" if ":" in ip else "IPv4" for ip in spec.get("clusterIPs") or ["0.0.0.0"]]
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    spec.setdefault("ipFamilies", families)


_ALLOCATED = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort")


def _prepare_update(old: dict[str, Any], new: dict[str, Any], subresource: str) -> None:
    if subresource == "status":
        new["spec"] = old["spec"]
        return
    new["status"] = old["status"]
    before, after = old["spec"], new["spec"]
    if after["type"] == "ExternalName" or before["type"] == "ExternalName":
        return
    _follow_changed_ip(before, after)
    for field in _ALLOCATED:
        if field in before and not after.get(field):
            after[field] = before[field]
    if after["type"] in _EXTERNAL:
        _keep_node_ports(before.get("ports") or [], after.get("ports") or [])


def _follow_changed_ip(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Make the single field and the list equal; a client that changes one means both."""
    changed = after.get("clusterIP", "") != before.get("clusterIP", "")
    if changed and after.get("clusterIP") and after.get("clusterIPs") == before.get("clusterIPs"):
        after["clusterIPs"] = [after["clusterIP"], *(after.get("clusterIPs") or [])[1:]]


def _keep_node_ports(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    known = {(port["port"], port["protocol"]): port.get("nodePort") for port in before}
    for port in after:
        node_port = known.get((port["port"], port["protocol"]))
        if node_port and not port.get("nodePort"):
            port["nodePort"] = node_port


def _check(service: dict[str, Any]) -> list[Cause]:
    spec = service["spec"]
    ports = spec.get("ports") or []
    causes: list[Cause] = []
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        causes.append(required("spec.ports"))
    if spec["type"] == "ExternalName":
        causes += _external_name_faults(spec)
    seen: set[str] = set()
    for index, port in enumerate(ports):
        field = f"spec.ports[{index}]"
        causes += _port_faults(field, port, several=len(ports) > 1, seen=seen)
    causes += label_map_faults("spec.selector", spec.get("selector") or {})
    if spec["sessionAffinity"] not in _AFFINITIES:
        causes.append(unsupported("spec.sessionAffinity", spec["sessionAffinity"], _AFFINITIES))
    causes += _affinity_faults(spec)
    for index, ip in enumerate(spec.get("clusterIPs") or ()):
        faults = [] if ip == "None" else ip_faults(ip)
        causes += invalid_each(f"spec.clusterIPs[{index}]", ip, faults)
    for index, ip in enumerate(spec.get("externalIPs") or ()):
        causes += invalid_each(f"spec.externalIPs[{index}]", ip, ip_faults(ip))
    if spec["type"] not in _TYPES:
        causes.append(unsupported("spec.type", spec["type"], _TYPES))
    return causes + _same_port_faults(ports)


def _external_name_faults(spec: dict[str, Any]) -> list[Cause]:
    name = spec.get("externalName", "").removesuffix(".")
    if not name:
        return [required("spec.externalName")]
    return invalid_each("spec.externalName", name, subdomain_faults(name))


def _port_faults(field: str, port: dict[str, Any], *, several: bool, seen: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    name = port.get("name", "")
    if several and not name:
        causes.append(required(f"{field}.name"))
    elif name:
        causes += invalid_each(f"{field}.name", name, label_faults(name))
        if name in seen:
            causes.append(duplicate(f"{field}.name", name))
        seen.add(name)
    causes += invalid_each(f"{field}.port", port["port"], port_faults(port["port"]))
    if port["protocol"] not in PROTOCOLS:
        causes.append(unsupported(f"{field}.protocol", port["protocol"], PROTOCOLS))
    target = port["targetPort"]
    faults = port_faults(target) if isinstance(target, int) else port_name_faults(target)
    return causes + invalid_each(f"{field}.targetPort", target, faults)


def _same_port_faults(ports: list[dict[str, Any]]) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[tuple[int, str]] = set()
    for index, port in enumerate(ports):
        key = (port["port"], port["protocol"])
        if key in seen:
            shown = {"Name": "", "Protocol": key[1], "AppProtocol": None, "Port": key[0]}
            shown |= {"TargetPort": 0, "NodePort": 0}
            causes.append(duplicate(f"spec.ports[{index}]", shown))
        seen.add(key)
    return causes


def _affinity_faults(spec: dict[str, Any]) -> list[Cause]:
    config = spec.get("sessionAffinityConfig") or {}
    seconds = (config.get("clientIP") or {}).get("timeoutSeconds")
    if seconds is None or 0 < seconds <= _DAY:
        return []
    field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
    return [invalid(field, seconds, f"must be greater than 0 and less than {_DAY}")]


def _check_update(old: dict[str, Any], new: dict[str, Any], subresource: str) -> list[Cause]:
    before, after = old["spec"].get("clusterIPs") or [], new["spec"].get("clusterIPs") or []
    external = "ExternalName" in (old["spec"]["type"], new["spec"]["type"])
    if external or not before or before[0] == (after or [""])[0]:
        return []
    return [invalid("spec.clusterIPs[0]", after, "may not change once set")]


SERVICES = Strategy(
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    check=_check,
    check_update=_check_update,
    name_faults=lambda name: ["must not contain dots"] if "." in name else label_faults(name),
)
