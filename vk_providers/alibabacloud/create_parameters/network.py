"""Resolver, hosts file and kernel parameters of a pod, for CreateContainerGroup. Pure."""

from __future__ import annotations

from typing import Any

import vk
from vk_providers.alibabacloud.create_parameters.field_errors import FieldErrors

__all__ = ["hosts", "resolver", "sysctls"]

_SAFE_SYSCTLS = ("net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start")
_HOST_SYSCTLS = "eci-host-sysctls"
_UNSAFE_SYSCTLS = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.", "net.")


def resolver(pod: vk.Pod) -> dict[str, Any]:
    """Return the resolver settings that the core worked out; without servers the region's."""
    dns = pod.dns
    if not dns.servers:
        return {"DnsPolicy": "Default"}
    options = [option.partition(":") for option in dns.options]
    return {
        "DnsPolicy": "None",
        "DnsConfig": {
            "NameServer": list(dns.servers),
            "Search": list(dns.searches),
            "Option": [{"Name": name, "Value": value or None} for name, _, value in options],
        },
    }


def hosts(pod: vk.Pod) -> list[dict[str, Any]]:
    """Return the extra lines of the hosts file; the service spells them HostAliase."""
    return [{"Ip": alias.ip, "Hostname": list(alias.hostnames)} for alias in pod.hosts]


def sysctls(pod: vk.Pod, allowed: frozenset[str], problems: FieldErrors) -> dict[str, Any]:
    """Return the kernel parameters: those that containers may set, and those of the machine.

    The latter only where the operator opens what does the same by annotation.
    """
    safe, unsafe = [], []
    for one in (pod.spec.get("securityContext") or {}).get("sysctls") or ():
        entry = {"Name": one["name"], "Value": one["value"]}
        if one["name"] in _SAFE_SYSCTLS:
            safe.append(entry)
        elif one["name"].startswith(_UNSAFE_SYSCTLS):
            unsafe.append(entry)
            if _HOST_SYSCTLS not in allowed:
                text = f"{one['name']}: the operator's allow-list does not open {_HOST_SYSCTLS}"
                problems.add("spec.securityContext.sysctls", text)
        else:
            problems.add("spec.securityContext.sysctls", f"ECI cannot set {one['name']}")
    found: dict[str, Any] = {}
    if safe:
        found["SecurityContext"] = {"Sysctl": safe}
    if unsafe:
        found["HostSecurityContext"] = {"Sysctl": unsafe}
    return found
