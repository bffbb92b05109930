"""Checks of a new status of a pod. Pure.

In: the old pod and the new one, whose status a node has written. Out: causes. Called through the
strategy of pods.

Note: the first of ``hostIPs`` must be ``hostIP``, but for ``podIPs`` the two are made equal
before; a container that has ended for good must not run again.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from vk.devcluster.validation.causes import Cause, forbidden, invalid, invalid_each
from vk.devcluster.validation.names import ip_faults, qualified_name_faults

__all__ = ["status_faults"]

_FAMILIES = "may specify no more than one IP for each IP family"


def status_faults(old: dict[str, Any], new: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with the change of a pod's status."""
    status, before = new["status"], old["status"]
    causes: list[Cause] = []
    if status.get("observedGeneration", 0) < 0:
        detail = "must be a non-negative integer"
        value = status["observedGeneration"]
        causes.append(invalid("status.observedGeneration", value, detail))
    if before.get("qosClass") and status.get("qosClass") != before["qosClass"]:
        causes.append(invalid("status.qosClass", status.get("qosClass"), "field is immutable"))
    nominated = status.get("nominatedNodeName")
    if nominated and nominated != before.get("nominatedNodeName") and old["spec"].get("nodeName"):
        detail = "may not be set on pods that are already bound to a node"
        causes.append(forbidden("status.nominatedNodeName", detail))
    for index, condition in enumerate(status.get("conditions") or ()):
        faults = qualified_name_faults(condition["type"])
        causes += invalid_each(f"status.conditions[{index}].Type", condition["type"], faults)
    causes += _transition_faults(old, new, "containerStatuses", "containers")
    causes += _transition_faults(old, new, "initContainerStatuses", "initContainers")
    return causes + _pod_ip_faults(status) + _host_ip_faults(status)


def _pod_ip_faults(status: dict[str, Any]) -> list[Cause]:
    ips = [entry.get("ip", "") for entry in status.get("podIPs") or ()]
    return _ip_list_faults("status.podIPs", ips)


def _host_ip_faults(status: dict[str, Any]) -> list[Cause]:
    ips = [entry["ip"] for entry in status.get("hostIPs") or ()]
    if not ips:
        return []
    causes: list[Cause] = []
    if ips[0] != status.get("hostIP", ""):
        causes.append(invalid("status.hostIPs[0].ip", ips[0], "must be equal to `hostIP`"))
    return causes + _ip_list_faults("status.hostIPs", ips)


def _ip_list_faults(field: str, ips: list[str]) -> list[Cause]:
    causes: list[Cause] = []
    for index, ip in enumerate(ips):
        causes += invalid_each(f"{field}[{index}]", ip, ip_faults(ip))
    if causes:
        return causes
    versions = [ip_address(ip).version for ip in ips]
    if len(set(versions)) < len(versions):
        causes.append(invalid(field, [{"IP": ip} for ip in ips], _FAMILIES))
    return causes


def _transition_faults(
    old: dict[str, Any], new: dict[str, Any], part: str, containers: str
) -> list[Cause]:
    known = {container["name"]: container for container in old["spec"].get(containers) or ()}
    after = {one["name"]: one for one in new["status"].get(part) or ()}
    causes: list[Cause] = []
    for index, status in enumerate(old["status"].get(part) or ()):
        ended, current = status["state"].get("terminated"), after.get(status["name"])
        if ended is None or current is None or current["state"].get("terminated") is not None:
            continue
        container = known.get(status["name"])
        if container is None or not _may_restart(old["spec"], container, ended["exitCode"]):
            detail = "may not be transitioned to non-terminated state"
            causes.append(forbidden(f"status.{part}[{index}].state", detail))
    return causes


def _may_restart(spec: dict[str, Any], container: dict[str, Any], exit_code: int) -> bool:
    for rule in container.get("restartPolicyRules") or ():
        codes = rule.get("exitCodes") or {}
        if (exit_code in (codes.get("values") or ())) == (codes.get("operator") == "In"):
            return True
    policy = container.get("restartPolicy") or spec["restartPolicy"]
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)
