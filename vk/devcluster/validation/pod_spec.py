"""Checks of a pod as a whole; its parts have files of their own. Pure.

In: a defaulted pod. Out: causes. Called through the strategy of pods, for new and changed pods.
"""

from __future__ import annotations

from typing import Any

from vk.devcluster.validation.causes import (
    Cause,
    duplicate,
    forbidden,
    invalid,
    invalid_each,
    required,
    unsupported,
)
from vk.devcluster.validation.containers import containers_faults
from vk.devcluster.validation.names import (
    ip_faults,
    label_faults,
    qualified_name_faults,
    subdomain_faults,
)
from vk.devcluster.validation.pod_resources import aggregate_requests
from vk.devcluster.validation.resources import requirement_faults
from vk.devcluster.validation.scheduling import scheduling_faults
from vk.devcluster.validation.security_contexts import pod_security_faults
from vk.devcluster.validation.volumes import volumes_faults
from vk.notation.quantity import parse_quantity

__all__ = ["pod_faults"]

_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_SYSTEMS = ("linux", "windows")
_LONGEST_DEADLINE = 2**31 - 1
_NAMESERVERS, _SEARCHES = 3, 32
_SUBDOMAIN_FIELDS = ("serviceAccountName", "nodeName", "priorityClassName")


def pod_faults(pod: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with a pod."""
    spec = pod["spec"]
    if not spec.get("containers"):
        spec = {**spec, "containers": []}
    causes = volumes_faults(spec) + containers_faults(spec)
    if spec["restartPolicy"] not in _RESTART_POLICIES:
        causes.append(unsupported("spec.restartPolicy", spec["restartPolicy"], _RESTART_POLICIES))
    causes += _dns_faults(spec)
    causes += pod_security_faults(spec)
    causes += _name_faults(spec)
    causes += scheduling_faults(spec)
    causes += _gate_faults(spec)
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        faults = qualified_name_faults(gate["conditionType"])
        field = f"spec.readinessGates[{index}].conditionType"
        causes += invalid_each(field, gate["conditionType"], faults)
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        causes += _alias_faults(f"spec.hostAliases[{index}]", alias)
    if "os" in spec and spec["os"]["name"] not in _SYSTEMS:
        causes.append(unsupported("spec.os", spec["os"]["name"], _SYSTEMS))
    return causes + _time_faults(spec) + _pod_resource_faults(spec)


def _name_faults(spec: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    for name in _SUBDOMAIN_FIELDS:
        if spec.get(name):
            causes += invalid_each(f"spec.{name}", spec[name], subdomain_faults(spec[name]))
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            causes += invalid_each(f"spec.{name}", spec[name], label_faults(spec[name]))
    return causes


def _time_faults(spec: dict[str, Any]) -> list[Cause]:
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is None or 1 <= deadline <= _LONGEST_DEADLINE:
        return []
    detail = f"must be between 1 and {_LONGEST_DEADLINE}, inclusive"
    return [invalid("spec.activeDeadlineSeconds", deadline, detail)]


def _dns_faults(spec: dict[str, Any]) -> list[Cause]:
    policy, config = spec["dnsPolicy"], spec.get("dnsConfig")
    causes: list[Cause] = []
    if policy not in _DNS_POLICIES:
        causes.append(unsupported("spec.dnsPolicy", policy, _DNS_POLICIES))
    servers = (config or {}).get("nameservers") or []
    if policy == "None" and config is None:
        detail = "must provide `dnsConfig` when `dnsPolicy` is None"
        causes.append(required("spec.dnsConfig", detail))
    elif policy == "None" and not servers:
        detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        causes.append(required("spec.dnsConfig.nameservers", detail))
    if len(servers) > _NAMESERVERS:
        detail = f"must not have more than {_NAMESERVERS} nameservers"
        causes.append(invalid("spec.dnsConfig.nameservers", servers, detail))
    for index, server in enumerate(servers):
        causes += invalid_each(f"spec.dnsConfig.nameservers[{index}]", server, ip_faults(server))
    searches = (config or {}).get("searches") or []
    if len(searches) > _SEARCHES:
        detail = f"must not have more than {_SEARCHES} search paths"
        causes.append(invalid("spec.dnsConfig.searches", searches, detail))
    return causes


def _alias_faults(field: str, alias: dict[str, Any]) -> list[Cause]:
    causes = invalid_each(f"{field}.ip", alias["ip"], ip_faults(alias["ip"]))
    for index, name in enumerate(alias.get("hostnames") or ()):
        causes += invalid_each(f"{field}.hostnames[{index}]", name, subdomain_faults(name))
    return causes


def _gate_faults(spec: dict[str, Any]) -> list[Cause]:
    gates = [gate["name"] for gate in spec.get("schedulingGates") or ()]
    causes: list[Cause] = []
    for index, gate in enumerate(gates):
        field = f"spec.schedulingGates[{index}]"
        causes += invalid_each(field, gate, qualified_name_faults(gate))
        if gate in gates[:index]:
            causes.append(duplicate(field, gate))
    if gates and spec.get("nodeName"):
        detail = "cannot be set until all schedulingGates have been cleared"
        causes.append(forbidden("spec.nodeName", detail))
    return causes


def _pod_resource_faults(spec: dict[str, Any]) -> list[Cause]:
    resources = spec.get("resources")
    if not resources:
        return []
    causes = requirement_faults("spec.resources", resources)
    requests = resources.get("requests") or {}
    for name, amount in aggregate_requests(spec).items():
        own = requests.get(name)
        if own is not None and parse_quantity(amount) > parse_quantity(own):
            detail = f"must be greater than or equal to aggregate container requests of {amount}"
            causes.append(invalid(f"spec.resources.requests[{name}]", own, detail))
    return causes
