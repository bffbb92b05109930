"""The strategy of pods: which part each (sub)resource may write, and the status of a new pod. Pure.

In: decoded pods. Out: `PODS`. Called through the table of strategies; the defaults and the checks
are in the files beside it.

Note: a write of the status may also change labels and annotations, never owners; a condition
that comes without observedGeneration keeps the one it had; and ``podIP`` is always the first of
``podIPs``, where the single field counts if the two differ.
"""

from __future__ import annotations

from typing import Any

from vk.devcluster.validation.causes import Cause, forbidden
from vk.devcluster.validation.pods_changes import change_faults, ephemeral_faults
from vk.devcluster.validation.pods_checks import pod_faults
from vk.devcluster.validation.pods_defaults import admit_pod, set_pod_defaults, tolerate_lost_nodes
from vk.devcluster.validation.pods_resize import keep_but_resources, resize_faults, unresizable
from vk.devcluster.validation.pods_resources import qos_class
from vk.devcluster.validation.pods_status import status_faults
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
            return status_faults(old, new)
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
