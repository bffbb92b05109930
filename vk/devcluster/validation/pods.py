"""Pods: which part each (sub)resource may write, and checks of a new status. Pure.

In: decoded pods. Out: `PODS`, the strategy; defaults, updates and checks of the spec are in the
files beside it.

Note: a write of the status may also change labels and annotations, never owners; a condition that
comes without observedGeneration keeps the one it had; and ``podIP`` is always the first of
``podIPs``, where the single field counts if the two differ, while ``hostIPs`` must begin with
``hostIP``. A container that has ended for good must not run again.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from vk.devcluster.validation.causes import Cause, forbidden, invalid, invalid_each
from vk.devcluster.validation.names import ip_faults, qualified_name_faults
from vk.devcluster.validation.pod_defaults import admit_pod, set_pod_defaults, tolerate_lost_nodes
from vk.devcluster.validation.pod_resources import qos_class
from vk.devcluster.validation.pod_spec import pod_faults
from vk.devcluster.validation.pod_updates import (
    change_faults,
    ephemeral_faults,
    keep_but_resources,
    resize_faults,
    unresizable,
)
from vk.devcluster.validation.strategy import Strategy
from vk.models.time import format_time, now

__all__ = ["PODS"]

_GATED = "Scheduling is blocked due to non-empty scheduling gates"


def _prepare_create(pod: dict[str, Any]) -> None:
    admit_pod(pod)
    if pod["spec"]["terminationGracePeriodSeconds"] < 0:
        pod["spec"]["terminationGracePeriodSeconds"] = 1
    status: dict[str, Any] = {"phase": "Pending", "qosClass": qos_class(pod["spec"])}
    if pod["spec"].get("schedulingGates"):
        status["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": None,
                "lastTransitionTime": pod["metadata"].get("creationTimestamp")
                or format_time(now()),
                "reason": "SchedulingGated",
                "message": _GATED,
            }
        ]
    pod["status"] = status


def _default(pod: dict[str, Any]) -> None:
    set_pod_defaults(pod)
    _join_ips(pod["status"])


def _prepare_update(old: dict[str, Any], new: dict[str, Any], subresource: str) -> None:
    if subresource in ("binding", "deletion"):
        return
    if subresource == "status":
        _prepare_status(old, new)
        return
    new["status"] = old["status"]
    if not subresource:
        tolerate_lost_nodes(new["spec"])
    if subresource == "resize":
        keep_but_resources(old, new)
    if subresource == "ephemeralcontainers":
        containers = new["spec"].get("ephemeralContainers")
        new["spec"] = dict(old["spec"])
        new["spec"].pop("ephemeralContainers", None)
        if containers:
            new["spec"]["ephemeralContainers"] = containers


def _prepare_status(old: dict[str, Any], new: dict[str, Any]) -> None:
    new["spec"] = old["spec"]
    owners = old["metadata"].get("ownerReferences")
    new["metadata"].pop("ownerReferences", None)
    if owners:
        new["metadata"]["ownerReferences"] = owners
    status, before = new["status"], old["status"]
    for name in ("qosClass", "observedGeneration"):
        if not status.get(name) and before.get(name):
            status[name] = before[name]
    generations: dict[str, list[int]] = {}
    for condition in before.get("conditions") or ():
        generation = condition.get("observedGeneration", 0)
        generations.setdefault(condition["type"], []).append(generation)
    for condition in status.get("conditions") or ():
        known = generations.get(condition["type"])
        kept = known.pop(0) if known else 0
        if kept and not condition.get("observedGeneration"):
            condition["observedGeneration"] = kept


def _join_ips(status: dict[str, Any]) -> None:
    ips = status.get("podIPs") or []
    first = status.get("podIP", "")
    if first and (not ips or ips[0].get("ip") != first):
        status["podIPs"] = [{"ip": first}]
    elif ips and not first:
        status["podIP"] = ips[0].get("ip", "")


def _check_create(pod: dict[str, Any]) -> list[Cause]:
    causes = pod_faults(pod)
    if pod["spec"].get("ephemeralContainers"):
        causes.append(forbidden("spec.ephemeralContainers", "cannot be set on create"))
    return causes


def _check_update(old: dict[str, Any], new: dict[str, Any], subresource: str) -> list[Cause]:
    match subresource:
        case "status":
            return _status_faults(old, new)
        case "ephemeralcontainers":
            return pod_faults(new) + ephemeral_faults(old, new)
        case "resize":
            return unresizable(old) or pod_faults(new) + resize_faults(old, new)
        case "binding" | "deletion":
            return []
        case _:
            return pod_faults(new) + change_faults(old, new)


PODS = Strategy(
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    check_create=_check_create,
    check_update=_check_update,
    generation=lambda pod: pod["spec"],
)


_FAMILIES = "may specify no more than one IP for each IP family"


def _status_faults(old: dict[str, Any], new: dict[str, Any]) -> list[Cause]:
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
