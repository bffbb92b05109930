"""A group as DescribeContainerGroupStatus and -Events tell it: nearly a pod's status. Pure.

The keys below ``Data`` are in lowerCamel, as the service sends them, not as its metadata prints
them; `pascal` turns them into the other casing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from vk_providers.alibabacloud.emulator.container import Container
from vk_providers.alibabacloud.emulator.events import Event
from vk_providers.alibabacloud.emulator.group import Group
from vk_providers.alibabacloud.emulator.states import Running, State, Terminated, moment

__all__ = ["events_row", "pascal", "status_row"]

_PHASES = {
    "Scheduling": "Pending",
    "ScheduleFailed": "Failed",
    "Pending": "Pending",
    "Running": "Running",
    "Restarting": "Pending",
    "Updating": "Pending",
    "Terminating": "Running",
    "Succeeded": "Succeeded",
    "Failed": "Failed",
    "Expired": "Failed",
}


def status_row(group: Group) -> dict[str, Any]:
    """Return the group's row; it has no tags and no init containers, as with the service."""
    status: dict[str, Any] = {
        "phase": _PHASES[group.status],
        "startTime": moment(group.entry.billed_from or group.created),
        "qosClass": "Guaranteed",
        "conditions": _conditions(group),
        "containerStatuses": [_container(group, each) for each in group.containers],
    }
    if group.status == "ScheduleFailed":
        status["reason"] = "ContainerInstanceScheduleFailed"
    if group.address:
        status |= {
            "podIP": group.address,
            "podIPs": [{"ip": group.address}],
            "hostIP": group.address,
        }
    return {**_names(group), "status": group.status, "annotations": "{}", "podStatus": status}


def events_row(group: Group, since: float, source: str) -> dict[str, Any]:
    """Return the group's events that happened after ``since``, of one source or of all."""
    events = [
        _event(group, each)
        for each in group.events.all
        if each.last >= since and source in ("", each.source)
    ]
    return {**_names(group), "events": events}


def pascal(value: Any) -> Any:
    """Return JSON with the other casing of its keys."""
    if isinstance(value, Mapping):
        return {key[:1].upper() + key[1:]: pascal(each) for key, each in value.items()}
    return [pascal(each) for each in value] if isinstance(value, list) else value


def _names(group: Group) -> dict[str, Any]:
    return {
        "containerGroupId": group.id,
        "name": group.name,
        "namespace": "default",
        "uuid": group.id,
    }


def _container(group: Group, container: Container) -> dict[str, Any]:
    digest = hashlib.sha256(container.spec["Image"].encode()).hexdigest()
    row: dict[str, Any] = {
        "name": container.name,
        "image": container.spec["Image"],
        "imageID": f"{container.spec['Image']}@sha256:{digest}" if container.created else "",
        "ready": container.ready,
        "started": isinstance(container.state, Running),
        "restartCount": container.restarts,
        "state": _state(group, container, container.state),
        "lastState": {},
    }
    if container.last is not None:
        row["lastState"] = _state(group, container, container.last)
    if container.created:
        row["containerID"] = _container_id(group, container, container.restarts)
    return row


def _state(group: Group, container: Container, state: State) -> dict[str, Any]:
    match state:
        case Running():
            return {"running": {"startedAt": moment(state.started)}}
        case Terminated():
            earlier = container.restarts - (state is not container.state)
            return {
                "terminated": {
                    "exitCode": state.code,
                    "signal": state.signal,
                    "reason": state.reason,
                    "message": "",
                    "startedAt": moment(state.started),
                    "finishedAt": moment(state.finished),
                    "containerID": _container_id(group, container, earlier),
                }
            }
    return {"waiting": {"reason": state.reason, "message": state.message}}


def _container_id(group: Group, container: Container, run: int) -> str:
    text = f"{group.id}/{container.name}/{run}"
    return "containerd://" + hashlib.sha256(text.encode()).hexdigest()


def _conditions(group: Group) -> list[dict[str, Any]]:
    placed = group.entry.billed_from is not None
    ready = group.status == "Running" and all(each.ready for each in group.containers)
    held = {
        "PodScheduled": placed,
        "ContainerInstanceCreated": placed,
        "Initialized": placed and all(each.over for each in group.inits),
        "ContainersReady": ready,
        "Ready": ready,
    }
    rows = list[dict[str, Any]]()
    for kind, holds in held.items():
        row = {
            "type": kind,
            "status": "True" if holds else "False",
            "lastTransitionTime": moment(group.changed_at),
        }
        if kind == "ContainerInstanceCreated" and group.unplaced:
            row |= {
                "reason": f"ContainerGroup.{group.unplaced}",
                "message": "No stock in any zone asked for",
            }
        rows.append(row)
    return rows


def _event(group: Group, event: Event) -> dict[str, Any]:
    return {
        "type": event.type,
        "reason": event.reason,
        "message": event.message,
        "count": event.count,
        "firstTimestamp": moment(event.first),
        "lastTimestamp": moment(event.last),
        "reportingComponent": event.source,
        "source": {"component": event.source, "host": group.settings.region},
        "involvedObject": {
            "kind": "Pod",
            "name": group.name,
            "namespace": "default",
            "uid": group.id,
            "apiVersion": "v1",
        },
        "metadata": {"name": event.name, "namespace": "default"},
    }
