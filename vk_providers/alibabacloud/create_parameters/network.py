"""DNS settings, hosts file and sysctls of a pod, for CreateContainerGroup. Pure."""

from __future__ import annotations

from typing import Any

import vk
from vk_providers.alibabacloud.create_parameters.field_errors import FieldErrors

__all__ = ["hosts", "resolver", "sysctls"]

_SAFE_SYSCTLS = ("net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start")
_HOST_SYSCTLS = "eci-host-sysctls"
_UNSAFE_SYSCTLS = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.", "net.")


def resolver(pod: vk.Pod) -> dict[str, Any]:
    """Return the DNS settings that the core resolved; without servers those of the region."""
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
    """Return the host aliases; the service spells the parameter HostAliase."""
    return [{"Ip": alias.ip, "Hostname": list(alias.hostnames)} for alias in pod.hosts]


def sysctls(pod: vk.Pod, allowed: frozenset[str], problems: FieldErrors) -> dict[str, Any]:
    """Return the sysctls: safe ones, and unsafe ones where the allow-list permits them.

    Unsafe ones need the same permission as the annotation that sets them.
    """
    safe, unsafe = [], []
    for one in (pod.spec.get("securityContext") or {}).get("sysctls") or ():
        entry = {"Name": one["name"], "Value": one["value"]}
        if one["name"] in _SAFE_SYSCTLS:
            safe.append(entry)
        elif one["name"].startswith(_UNSAFE_SYSCTLS):
            unsafe.append(entry)
            if _HOST_SYSCTLS not in allowed:
                text = f"{one['name']}: the operator's allow-list does not permit {_HOST_SYSCTLS}"
                problems.add("spec.securityContext.sysctls", text)
        else:
            problems.add("spec.securityContext.sysctls", f"ECI cannot set {one['name']}")
    found: dict[str, Any] = {}
    if safe:
        found["SecurityContext"] = {"Sysctl": safe}
    if unsafe:
        found["HostSecurityContext"] = {"Sysctl": unsafe}
    return found
