"""Checks of the containers of a pod: names, images, ports, mounts. Pure.

In: a defaulted pod spec. Out: causes. Called by the pod's checks; environment, probes and security
have files of their own.
"""

from __future__ import annotations

import posixpath
from typing import Any

from vk.devcluster.validation.causes import (
    Cause,
    duplicate,
    forbidden,
    invalid,
    invalid_each,
    not_found,
    required,
    unsupported,
)
from vk.devcluster.validation.environment_checks import environment_faults
from vk.devcluster.validation.names import label_faults, port_faults, port_name_faults
from vk.devcluster.validation.probes_checks import lifecycle_faults, probe_faults
from vk.devcluster.validation.resources import requirement_faults
from vk.devcluster.validation.security_checks import container_security_faults

__all__ = ["containers_faults", "relative_path_faults"]

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_NOT_FOR_EPHEMERAL = ("ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def containers_faults(spec: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with all containers of a pod."""
    volumes = {volume["name"] for volume in spec.get("volumes") or ()}
    causes: list[Cause] = []
    if not spec["containers"]:
        causes.append(required("spec.containers"))
    names: set[str] = set()
    for part in ("containers", "initContainers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(part) or ()):
            field = f"spec.{part}[{index}]"
            causes += _container_faults(field, container, volumes, names)
            if part == "ephemeralContainers":
                causes += _ephemeral_faults(field, container, spec)
            else:
                causes += _probes_faults(field, container, part)
    return causes + _host_port_faults(spec)


def _container_faults(
    field: str, container: dict[str, Any], volumes: set[str], names: set[str]
) -> list[Cause]:
    name, image = container["name"], container.get("image", "")
    causes: list[Cause] = []
    if not name:
        causes.append(required(f"{field}.name"))
    else:
        causes += invalid_each(f"{field}.name", name, label_faults(name))
        if name in names:
            causes.append(duplicate(f"{field}.name", name))
        names.add(name)
    if not image:
        causes.append(required(f"{field}.image"))
    elif image != image.strip():
        detail = "must not have leading or trailing whitespace"
        causes.append(invalid(f"{field}.image", image, detail))
    for option, known in (
        ("terminationMessagePolicy", _MESSAGE_POLICIES),
        ("imagePullPolicy", _PULL_POLICIES),
    ):
        if container[option] not in known:
            causes.append(unsupported(f"{field}.{option}", container[option], known))
    causes += _port_list_faults(f"{field}.ports", container.get("ports") or [])
    causes += environment_faults(field, container)
    causes += _mount_faults(f"{field}.volumeMounts", container.get("volumeMounts") or [], volumes)
    causes += requirement_faults(f"{field}.resources", container["resources"])
    security = container.get("securityContext") or {}
    return causes + container_security_faults(f"{field}.securityContext", security)


def _port_list_faults(field: str, ports: list[dict[str, Any]]) -> list[Cause]:
    causes: list[Cause] = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        at, name = f"{field}[{index}]", port.get("name", "")
        if name:
            causes += invalid_each(f"{at}.name", name, port_name_faults(name))
            if name in names:
                causes.append(duplicate(f"{at}.name", name))
            names.add(name)
        if not port["containerPort"]:
            causes.append(required(f"{at}.containerPort"))
        else:
            faults = port_faults(port["containerPort"])
            causes += invalid_each(f"{at}.containerPort", port["containerPort"], faults)
        if port.get("hostPort"):
            causes += invalid_each(
                f"{at}.hostPort", port["hostPort"], port_faults(port["hostPort"])
            )
        if port["protocol"] not in _PROTOCOLS:
            causes.append(unsupported(f"{at}.protocol", port["protocol"], _PROTOCOLS))
    return causes


def _mount_faults(field: str, mounts: list[dict[str, Any]], volumes: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    paths: set[str] = set()
    for index, mount in enumerate(mounts):
        at, name, path = f"{field}[{index}]", mount["name"], mount["mountPath"]
        if not name:
            causes.append(required(f"{at}.name"))
        if name not in volumes:
            causes.append(not_found(f"{at}.name", name))
        if not path:
            causes.append(required(f"{at}.mountPath"))
        elif path in paths:
            causes.append(invalid(f"{at}.mountPath", path, "must be unique"))
        paths.add(path)
        for option in ("subPath", "subPathExpr"):
            if mount.get(option):
                where = f"{field}.{option}"  # as the real server calls it
                causes += relative_path_faults(where, mount[option])
        if mount.get("subPath") and mount.get("subPathExpr"):
            detail = "subPathExpr and subPath are mutually exclusive"
            causes.append(invalid(f"{field}.subPathExpr", mount["subPathExpr"], detail))
    return causes


def relative_path_faults(field: str, path: str) -> list[Cause]:
    """Return what is wrong with a path that has to stay inside of a folder."""
    if posixpath.isabs(path):
        return [invalid(field, path, "must be a relative path")]
    if ".." in path.split("/"):
        return [invalid(field, path, "must not contain '..'")]
    return []


def _probes_faults(field: str, container: dict[str, Any], part: str) -> list[Cause]:
    policy = container.get("restartPolicy")
    causes: list[Cause] = []
    if part == "initContainers" and policy != "Always":
        detail = "may not be set for init containers without restartPolicy=Always"
        for name in ("lifecycle", *_PROBES):
            if container.get(name) is not None:
                causes.append(forbidden(f"{field}.{name}", detail))
        return causes
    causes += lifecycle_faults(f"{field}.lifecycle", container.get("lifecycle") or {})
    for name in _PROBES:
        if container.get(name) is not None:
            causes += probe_faults(f"{field}.{name}", name, container[name])
    return causes


def _ephemeral_faults(field: str, container: dict[str, Any], spec: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    target = container.get("targetContainerName", "")
    known = [*(spec["containers"] or ()), *(spec.get("initContainers") or ())]
    if target and all(target != one["name"] for one in known):
        causes.append(not_found(f"{field}.targetContainerName", target))
    for name in _NOT_FOR_EPHEMERAL:
        if container.get(name):
            detail = "cannot be set for an Ephemeral Container"
            causes.append(forbidden(f"{field}.{name}", detail))
    if container["resources"]:
        detail = "cannot be set for an Ephemeral Container"
        causes.append(forbidden(f"{field}.resources", detail))
    return causes


def _host_port_faults(spec: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for part in ("containers", "initContainers"):
        taken = seen if part == "containers" else set()
        for index, container in enumerate(spec.get(part) or ()):
            for at, port in enumerate(container.get("ports") or ()):
                field = f"spec.{part}[{index}].ports[{at}].hostPort"
                host_port = port.get("hostPort")
                if not host_port:
                    continue
                key = f"{port['protocol']}/{port.get('hostIP', '')}/{host_port}"
                if key in taken:
                    causes.append(duplicate(field, key))
                taken.add(key)
                if spec.get("hostNetwork") and host_port != port["containerPort"]:
                    detail = "must match `containerPort` when `hostNetwork` is true"
                    causes.append(invalid(field, host_port, detail))
    return causes
