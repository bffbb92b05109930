"""A container group as the answers of the service show it. Pure.

DescribeContainerGroups is in PascalCase. DescribeContainerGroupStatus and -Events resemble a pod's
status: the service and the vendor's older clients use lowerCamelCase, its metadata and its newer
clients another casing. `in_both_casings` has each row in both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from vk_providers.alibabacloud.emulator.container import EmulatedContainer
from vk_providers.alibabacloud.emulator.events import Event
from vk_providers.alibabacloud.emulator.group import EmulatedGroup
from vk_providers.alibabacloud.emulator.states import (
    EmulatedState,
    RunningState,
    TerminatedState,
    moment,
)

__all__ = ["event_row", "events_row", "group_row", "in_both_casings", "status_row"]

_COPIED = (
    "RamRoleName",
    "SpotStrategy",
    "SpotPriceLimit",
    "EphemeralStorage",
    "ResourceGroupId",
    "TerminationGracePeriodSeconds",
)
_CONTAINER = ("Name", "Image", "ImagePullPolicy", "WorkingDir")
_FLAGS = ("Tty", "Stdin", "StdinOnce")
_MOUNT = ("Name", "MountPath", "ReadOnly", "MountPropagation")
_SHOWN_VOLUMES = ("EmptyDirVolume", "NFSVolume", "FlexVolume")
"""Volumes whose members are all shown."""


def group_row(group: EmulatedGroup, *, events: bool) -> dict[str, Any]:
    """Return the group's row."""
    settings, parameters = group.settings, group.parameters
    row: dict[str, Any] = {
        "ContainerGroupId": group.id,
        "ContainerGroupName": group.name,
        "RegionId": settings.region,
        "ZoneId": group.placement.zone,
        "Status": group.status,
        "RestartPolicy": group.restart_policy,
        "Cpu": group.size.cpu,
        "Memory": group.size.memory,
        "InstanceType": group.size.instance_type,
        "VpcId": settings.vpc,
        "VSwitchId": group.placement.vswitch,
        "SecurityGroupId": parameters.get("SecurityGroupId", settings.security_group),
        "ComputeCategory": next(iter(parameters.get("ComputeCategory", ())), "general"),
        "CreationTime": moment(group.created),
        "Discount": 100,
        "Tags": [{"Key": key, "Value": value} for key, value in group.tags.items()],
        "Events": [event_row(each) for each in group.events.all] if events else [],
        "Containers": [_container_row(each) for each in group.containers],
        "InitContainers": [_container_row(each) for each in group.inits],
        "Volumes": [_volume(each) for each in parameters.get("Volume", [])],
        "HostAliases": [
            {"Ip": each["Ip"], "Hostnames": each["Hostname"]}
            for each in parameters.get("HostAliase", [])
        ],
        "DnsConfig": _dns(parameters.get("DnsConfig", {})),
        "EciSecurityContext": {"Sysctls": parameters.get("SecurityContext", {}).get("Sysctl", [])},
        **{name: parameters[name] for name in _COPIED if name in parameters},
    }
    return row | _so_far(group)


def _so_far(group: EmulatedGroup) -> dict[str, Any]:
    """Return the fields that a group has only after some time."""
    row = dict[str, Any]()
    if group.address:
        row["IntranetIp"] = group.address
        row |= group.public_addresses
        row["EniInstanceId"] = "eni-" + group.id.removeprefix("eci-")
    if group.finished is not None:
        row[_FINISHED.get(group.status, "FailedTime")] = moment(group.finished)
    return row


_FINISHED = {"Succeeded": "SucceededTime", "Failed": "FailedTime", "Expired": "ExpiredTime"}


def event_row(event: Event) -> dict[str, Any]:
    """Return an event's row."""
    return {
        "Type": event.type,
        "Reason": event.reason,
        "Name": event.name,
        "Message": event.message,
        "Count": event.count,
        "FirstTimestamp": moment(event.first),
        "LastTimestamp": moment(event.last),
    }


def _container_row(container: EmulatedContainer) -> dict[str, Any]:
    spec, mount = container.spec, (*_MOUNT, *(() if container.init else ("SubPath",)))
    row: dict[str, Any] = {
        **{name: spec.get(name, "") for name in _CONTAINER},
        "Cpu": spec.get("Cpu", 0.0),
        "Memory": spec.get("Memory", 0.0),
        "Gpu": spec.get("Gpu", 0),
        "Command" if container.init else "Commands": spec.get("Command", []),
        "Args": spec.get("Arg", []),
        "Ready": container.ready,
        "RestartCount": container.restarts,
        "CurrentState": _state(container.state),
        "EnvironmentVars": _environment(spec),
        "Ports": [
            {"Port": each["Port"], "Protocol": each.get("Protocol", "TCP")}
            for each in spec.get("Port", [])
        ],
        "VolumeMounts": [
            {name: each[name] for name in mount if name in each}
            for each in spec.get("VolumeMount", [])
        ],
        "SecurityContext": _security(spec.get("SecurityContext", {})),
    }
    if container.last is not None:
        row["PreviousState"] = _state(container.last)
    if not container.init:
        row |= {name: spec.get(name, False) for name in _FLAGS}
        for name in ("LivenessProbe", "ReadinessProbe"):
            if name in spec:
                row[name] = _probe(spec[name])
    return row


def _state(state: EmulatedState) -> dict[str, Any]:
    match state:
        case RunningState():
            return {"State": "Running", "StartTime": moment(state.started)}
        case TerminatedState():
            return {
                "State": "Terminated",
                "Reason": state.reason,
                "ExitCode": state.code,
                "Signal": state.signal,
                "StartTime": moment(state.started),
                "FinishTime": moment(state.finished),
            }
    return {
        "State": "Waiting",
        "Reason": state.reason,
        "Message": state.message,
        "DetailStatus": state.reason,
    }


def _environment(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    hidden = spec.get("EnvironmentVarHide", False)
    rows = list[dict[str, Any]]()
    for each in spec.get("EnvironmentVar", []):
        row: dict[str, Any] = {"Key": each["Key"]}
        row["Value"] = "" if hidden else each.get("Value", "")
        if "FieldRef" in each:
            row["ValueFrom"] = {"FieldRef": each["FieldRef"]}
        rows.append(row)
    return rows


def _security(context: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: context[name] for name in ("RunAsUser",) if name in context}
    if "ReadOnlyRootFilesystem" in context:
        row["ReadOnlyRootFilesystem"] = True
    if "Capability" in context:
        row["Capability"] = {"Adds": context["Capability"].get("Add", [])}
    return row


def _probe(probe: Mapping[str, Any]) -> dict[str, Any]:
    row = {
        "InitialDelaySeconds": probe.get("InitialDelaySeconds", 0),
        "PeriodSeconds": probe.get("PeriodSeconds", 10),
        "TimeoutSeconds": probe.get("TimeoutSeconds", 1),
        "SuccessThreshold": probe.get("SuccessThreshold", 1),
        "FailureThreshold": probe.get("FailureThreshold", 3),
        "Execs": probe.get("Exec", {}).get("Command", []),
    }
    return row | {name: probe[name] for name in ("HttpGet", "TcpSocket") if name in probe}


def _volume(volume: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat row, without the contents of files."""
    row = {"Name": volume["Name"], "Type": volume["Type"]}
    kind = volume["Type"]
    members: Mapping[str, Any] = volume.get(kind, {})
    if kind == "ConfigFileVolume":
        files: Iterable[Mapping[str, Any]] = members.get("ConfigFileToPath", [])
        row["ConfigFileVolumeConfigFileToPaths"] = [{"Path": each["Path"]} for each in files]
        return row
    shown = members if kind in _SHOWN_VOLUMES else {}
    if kind == "DiskVolume":
        shown = {name: members[name] for name in ("DiskId", "FsType") if name in members}
    return row | {f"{kind}{name}": value for name, value in shown.items()}


def _dns(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "NameServers": config.get("NameServer", []),
        "Searches": config.get("Search", []),
        "Options": config.get("Option", []),
    }


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


def status_row(group: EmulatedGroup) -> dict[str, Any]:
    """Return the group's row; it has no tags and no init containers, as with the service."""
    status: dict[str, Any] = {
        "phase": _PHASES[group.status],
        "startTime": moment(group.entry.billed_from or group.created),
        "qosClass": "Guaranteed",
        "conditions": _conditions(group),
        "containerStatuses": [_container_status(group, each) for each in group.containers],
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


def events_row(group: EmulatedGroup, since: float, source: str) -> dict[str, Any]:
    """Return the group's events that happened after ``since``, of one source or of all."""
    events = [
        _pod_event(group, each)
        for each in group.events.all
        if each.last >= since and source in ("", each.source)
    ]
    return {**_names(group), "events": events}


_MISPRINTS = {"startedatstartedat": "startedat"}
"""Names that the metadata misprints, in lower case, and what they are of."""


def in_both_casings(row: Mapping[str, Any], described: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row in the casing of the description too."""
    return {**_renamed(row, described), **row}


def _renamed(value: Any, described: Any) -> Any:
    if isinstance(value, list):
        return [_renamed(each, described[0]) for each in value]
    if not isinstance(value, Mapping):
        return value
    names = {_MISPRINTS.get(name.lower(), name.lower()): name for name in described}
    return {
        names[key.lower()]: _renamed(each, described[names[key.lower()]])
        for key, each in value.items()
        if key.lower() in names
    }


def _names(group: EmulatedGroup) -> dict[str, Any]:
    return {
        "containerGroupId": group.id,
        "name": group.name,
        "namespace": "default",
        "uuid": group.id,
    }


def _container_status(group: EmulatedGroup, container: EmulatedContainer) -> dict[str, Any]:
    digest = hashlib.sha256(container.spec["Image"].encode()).hexdigest()
    row: dict[str, Any] = {
        "name": container.name,
        "image": container.spec["Image"],
        "imageID": f"{container.spec['Image']}@sha256:{digest}" if container.created else "",
        "ready": container.ready,
        "started": isinstance(container.state, RunningState),
        "restartCount": container.restarts,
        "state": _container_state(group, container, container.state),
        "lastState": {},
    }
    if container.last is not None:
        row["lastState"] = _container_state(group, container, container.last)
    if container.created:
        row["containerID"] = _container_id(group, container, container.restarts)
    return row


def _container_state(
    group: EmulatedGroup, container: EmulatedContainer, state: EmulatedState
) -> dict[str, Any]:
    match state:
        case RunningState():
            return {"running": {"startedAt": moment(state.started)}}
        case TerminatedState():
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


def _container_id(group: EmulatedGroup, container: EmulatedContainer, run: int) -> str:
    text = f"{group.id}/{container.name}/{run}"
    return "containerd://" + hashlib.sha256(text.encode()).hexdigest()


def _conditions(group: EmulatedGroup) -> list[dict[str, Any]]:
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


def _pod_event(group: EmulatedGroup, event: Event) -> dict[str, Any]:
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
