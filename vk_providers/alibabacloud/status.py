"""The status of a pod from its container group. Pure.

Restarting and Updating map to the phase Running; the vendor's own nodes set the pod back to
Pending, which Kubernetes does not permit. Image ids come from DescribeContainerGroupStatus.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import vk
from vk_providers.alibabacloud.create_parameters.annotations import PREFIX
from vk_providers.alibabacloud.create_parameters.sizes import size_of
from vk_providers.alibabacloud.groups import FINAL, SCHEDULE_FAILED, ContainerGroup

__all__ = ["ImageIds", "failed_status", "pod_status", "sidecars_of", "why_unplaced"]

ImageIds = Mapping[str, tuple[str, str]]
"""By container name: image id and container id."""
_KILLED = 137
_PHASES = {
    "Succeeded": "Succeeded",
    "Failed": "Failed",
    "Expired": "Failed",
    "Restarting": "Running",
    "Updating": "Running",
}
_NO_STOCK = ("NoStock", "StockExhaust", "StockClose", "FailedScheduling", "CreateBackoff")


def sidecars_of(pod: vk.Pod | None) -> frozenset[str]:
    """Return the names of the pod's native sidecars, which are containers of the group."""
    if pod is None:
        return frozenset()
    return frozenset(
        one["name"]
        for one in pod.spec.get("initContainers") or ()
        if one.get("restartPolicy") == "Always"
    )


def pod_status(
    group: ContainerGroup,
    *,
    sidecars: frozenset[str] = frozenset(),
    images: ImageIds | None = None,
    price: str = "",
) -> vk.PodStatus:
    """Return the status of the pod of ``group``."""
    raw, ended = group.raw, group.status in FINAL
    containers = [_container(one, ended, images or {}) for one in raw.get("containers") or ()]
    inits = [_container(one, ended, {}) for one in raw.get("initcontainers") or ()]
    inits += [one for one in containers if one.name in sidecars]
    reason = _reason(group)
    return vk.PodStatus(
        group.key,
        containers=[one for one in containers if one.name not in sidecars],
        init_containers=inits,
        pod_ips=_addresses(raw),
        host_ips=_addresses(raw)[:1],
        phase=_PHASES.get(group.status),
        reason=reason,
        message=_message(group) if reason else "",
        annotations=_annotations(group, price),
        created_at=group.created,
        backend_id=group.id,
    )


def failed_status(group: ContainerGroup, *, reason: str, message: str) -> vk.PodStatus:
    """Return the status of a pod whose group was ended, or not created, for ``reason``."""
    ended = vk.Terminated(_KILLED, reason=reason, message=message)
    names = group.containers
    return vk.PodStatus(
        group.key,
        containers=[vk.ContainerStatus(name=name, state=ended, ready=False) for name in names],
        phase="Failed",
        reason=reason,
        message=message,
        created_at=group.created,
        backend_id=group.id,
    )


def why_unplaced(group: ContainerGroup) -> tuple[str, str]:
    """Return reason and message of an unscheduled group."""
    for event in reversed(group.raw.get("events") or ()):
        if event.get("reason") in _NO_STOCK:
            return str(event["reason"]), str(event.get("message") or "")
    return "ScheduleFailed", "the container group could not be scheduled"


def _container(raw: Mapping[str, Any], group_ended: bool, images: ImageIds) -> vk.ContainerStatus:
    name = str(raw.get("name"))
    image_id, container_id = images.get(name, ("", ""))
    state = _state(raw.get("currentstate") or {})
    if group_ended and not isinstance(state, vk.Terminated):
        started = state.started_at if isinstance(state, vk.Running) else None
        text = "the container group has ended"
        state = vk.Terminated(_KILLED, "ContainerStatusUnknown", text, started_at=started)
    last = _state(raw.get("previousstate") or {})
    count = raw.get("restartcount")
    ready = raw.get("ready")
    return vk.ContainerStatus(
        name=name,
        state=state,
        ready=bool(ready) if ready is not None and isinstance(state, vk.Running) else None,
        restart_count=count if isinstance(count, int) else None,
        last_state=last if isinstance(last, vk.Terminated) else None,
        image=raw.get("image") or None,
        image_id=image_id,
        container_id=container_id,
    )


def _state(raw: Mapping[str, Any]) -> vk.ContainerState:
    """Return a state by its ``state`` field; fields of other states may be present, empty."""
    match str(raw.get("state") or "").lower():
        case "running":
            return vk.Running(vk.parse_time(raw.get("starttime")))
        case "terminated":
            code = raw.get("exitcode")
            code = code if isinstance(code, int) else _KILLED
            default = "Completed" if code == 0 else "Error"
            return vk.Terminated(
                code,
                reason=raw.get("reason") or default,
                message=raw.get("message") or "",
                started_at=vk.parse_time(raw.get("starttime")),
                finished_at=vk.parse_time(raw.get("finishtime")),
            )
    return vk.Waiting(raw.get("reason") or "ContainerCreating", raw.get("message") or "")


def _reason(group: ContainerGroup) -> str:
    return {"Expired": "SpotReclaimed", SCHEDULE_FAILED: "ScheduleFailed"}.get(group.status, "")


def _message(group: ContainerGroup) -> str:
    if group.status == SCHEDULE_FAILED:
        return why_unplaced(group)[1]
    return "the spot instance was reclaimed"


def _addresses(raw: Mapping[str, Any]) -> tuple[str, ...]:
    found = (raw.get("intranetip"), raw.get("ipv6address"))
    return tuple(address for address in found if address)


def _annotations(group: ContainerGroup, price: str) -> dict[str, str]:
    raw = group.raw
    size = size_of(raw.get("cpu"), raw.get("memory"))
    kind = raw.get("instancetype") or (str(size) if size else "")
    found = {
        "eci-instance-id": group.id,
        "eci-instance-spec": kind,
        "eci-instance-price": price,
        "allocated-eipAddress": raw.get("internetip") or "",
        "allocated-ipv6Address": raw.get("ipv6address") or "",
    }
    return {PREFIX + name: str(text) for name, text in found.items() if text}
