"""Checks of the containers of a pod: images, ports, mounts, environment, probes, hooks. Pure.

In: a defaulted pod spec. Out: causes. Called by the checks of the pod.
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
from vk.devcluster.validation.names import (
    config_key_faults,
    header_faults,
    label_faults,
    port_faults,
    port_name_faults,
    qualified_name_faults,
    subdomain_faults,
    variable_name_faults,
)
from vk.devcluster.validation.resources import requirement_faults
from vk.devcluster.validation.security_contexts import container_security_faults
from vk.notation.field_path import split_subscript
from vk.notation.quantity import parse_quantity

__all__ = [
    "FIELDS_FOR_FILES",
    "containers_faults",
    "field_faults",
    "name_faults",
    "relative_path_faults",
    "resource_faults",
]

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


def name_faults(field: str, name: str, names: set[str]) -> list[Cause]:
    """Check a name that must be a label and not yet among ``names``, to which it is added."""
    if not name:
        return [required(f"{field}.name")]
    causes = invalid_each(f"{field}.name", name, label_faults(name))
    if name in names:
        causes.append(duplicate(f"{field}.name", name))
    names.add(name)
    return causes


def _container_faults(
    field: str, container: dict[str, Any], volumes: set[str], names: set[str]
) -> list[Cause]:
    image, causes = container.get("image", ""), name_faults(field, container["name"], names)
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
    causes += _environment_faults(field, container)
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
    causes += _lifecycle_faults(f"{field}.lifecycle", container.get("lifecycle") or {})
    for name in _PROBES:
        if container.get(name) is not None:
            causes += _probe_faults(f"{field}.{name}", name, container[name])
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


_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_FIELDS = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName"),
    *("spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP"),
    "status.podIPs",
)
FIELDS_FOR_FILES = (
    *("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace"),
    "metadata.uid",
)
_KNOWN_FIELDS = frozenset({*_FIELDS, *FIELDS_FOR_FILES, "spec.schedulerName", "status.phase"}) | {
    "spec.restartPolicy"
}
_MAPS = ("metadata.annotations", "metadata.labels")
_RESOURCES = (
    *("limits.cpu", "limits.ephemeral-storage", "limits.memory"),
    *("requests.cpu", "requests.ephemeral-storage", "requests.memory"),
)
_CONVERTING = "error converting fieldPath: "
_CPU_DIVISORS = ("1m", "1")
_MEMORY_DIVISORS = (
    "1",
    "1k",
    "1M",
    "1G",
    "1T",
    "1P",
    "1E",
    "1Ki",
    "1Mi",
    "1Gi",
    "1Ti",
    "1Pi",
    "1Ei",
)


def _environment_faults(field: str, container: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with env and envFrom of a container."""
    causes: list[Cause] = []
    for index, variable in enumerate(container.get("env") or ()):
        at = f"{field}.env[{index}]"
        if not variable["name"]:
            causes.append(required(f"{at}.name"))
        else:
            faults = variable_name_faults(variable["name"])
            causes += invalid_each(f"{at}.name", variable["name"], faults)
        if "valueFrom" in variable:
            causes += _source_faults(f"{at}.valueFrom", variable)
    for index, source in enumerate(container.get("envFrom") or ()):
        causes += _bulk_faults(f"{field}.envFrom", index, source)
    return causes


def _source_faults(field: str, variable: dict[str, Any]) -> list[Cause]:
    source = variable["valueFrom"]
    causes: list[Cause] = []
    if "fieldRef" in source:
        causes += field_faults(f"{field}.fieldRef", source["fieldRef"], _FIELDS)
    if "resourceFieldRef" in source:
        causes += resource_faults(f"{field}.resourceFieldRef", source["resourceFieldRef"])
    for name in ("configMapKeyRef", "secretKeyRef"):
        if name in source:
            causes += _key_faults(f"{field}.{name}", source[name])
    count = sum(name in source for name in _SOURCES)
    if not count:
        detail = (
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, "
            "`secretKeyRef` or `fileKeyRef`"
        )
        causes.append(invalid(field, "", detail))
    elif variable.get("value"):
        causes.append(invalid(field, "", "may not be specified when `value` is not empty"))
    elif count > 1:
        causes.append(invalid(field, "", "may not have more than one field specified at a time"))
    return causes


def field_faults(field: str, reference: dict[str, Any], supported: tuple[str, ...]) -> list[Cause]:
    """Return what is wrong with a fieldRef, where the given paths are allowed."""
    path = reference["fieldPath"]
    base, key = split_subscript(path)
    at = f"{field}.fieldPath"
    if not path:
        return [required(at)]
    if key is not None:
        if base not in _MAPS:
            return [
                invalid(at, path, f"{_CONVERTING}field label does not support subscript: {path}")
            ]
        checked = key.lower() if base == "metadata.annotations" else key
        return invalid_each(field, key, qualified_name_faults(checked))
    if path not in _KNOWN_FIELDS:
        detail = f"{_CONVERTING}field label not supported: {path}"
        return [invalid(at, path, detail)]
    return [] if path in supported else [unsupported(at, path, supported)]


def resource_faults(
    field: str, reference: dict[str, Any], *, in_volume: bool = False
) -> list[Cause]:
    """Return what is wrong with a resourceFieldRef; in a volume it has to name the container."""
    causes: list[Cause] = []
    name = reference["resource"]
    if in_volume and not reference.get("containerName"):
        causes.append(required(f"{field}.containerName"))
    if not name:
        return [*causes, required(f"{field}.resource")]
    if name not in _RESOURCES and "hugepages-" not in name:
        return [*causes, unsupported(f"{field}.resource", name, _RESOURCES)]
    divisor = reference.get("divisor", "0")
    if not parse_quantity(divisor):
        return causes
    kind = name.partition(".")[2]
    if kind == "cpu" and divisor not in _CPU_DIVISORS:
        detail = "only divisor's values 1m and 1 are supported with the cpu resource"
        causes.append(invalid(f"{field}.divisor", name, detail))
    elif kind != "cpu" and divisor not in _MEMORY_DIVISORS:
        what = "local ephemeral storage" if kind == "ephemeral-storage" else "memory"
        detail = (
            f"only divisor's values {', '.join(_MEMORY_DIVISORS)} are supported with the {what}"
        )
        causes.append(invalid(f"{field}.divisor", name, f"{detail} resource"))
    return causes


def _key_faults(field: str, reference: dict[str, Any]) -> list[Cause]:
    name, key = reference.get("name", ""), reference["key"]
    causes = invalid_each(f"{field}.name", name, subdomain_faults(name))
    if not key:
        return [*causes, required(f"{field}.key")]
    return causes + invalid_each(f"{field}.key", key, config_key_faults(key))


def _bulk_faults(field: str, index: int, source: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    at = f"{field}[{index}]"
    if source.get("prefix"):
        faults = variable_name_faults(source["prefix"])
        causes += invalid_each(f"{at}.prefix", source["prefix"], faults)
    names = [name for name in ("configMapRef", "secretRef") if name in source]
    for name in names:
        target = source[name].get("name", "")
        if not target:
            causes.append(required(f"{at}.{name}.name"))
        else:
            causes += invalid_each(f"{at}.{name}.name", target, subdomain_faults(target))
    if not names:
        detail = "must specify one of: `configMapRef` or `secretRef`"
        causes.append(invalid(field, "", detail))  # the real server leaves the index out
    elif len(names) > 1:
        causes.append(invalid(field, "", "may not have more than one field specified at a time"))
    return causes


_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_SCHEMES = ("HTTP", "HTTPS")
_COUNTS = (
    *("initialDelaySeconds", "timeoutSeconds", "periodSeconds"),
    *("successThreshold", "failureThreshold"),
)


def _probe_faults(field: str, name: str, probe: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with one probe; ``name`` is the field that holds it."""
    causes = _handler_faults(field, probe)
    for count in _COUNTS:
        if probe.get(count, 0) < 0:
            detail = "must be greater than or equal to 0"
            causes.append(invalid(f"{field}.{count}", probe[count], detail))
    grace = probe.get("terminationGracePeriodSeconds")
    where = f"{field}.terminationGracePeriodSeconds"
    if grace is not None and name == "readinessProbe":
        causes.append(invalid(where, grace, "must not be set for readinessProbes"))
    elif grace is not None and grace <= 0:
        causes.append(invalid(where, grace, "must be greater than 0"))
    successes = probe["successThreshold"]
    if name != "readinessProbe" and successes != 1:
        causes.append(invalid(f"{field}.successThreshold", successes, "must be 1"))
    return causes


def _lifecycle_faults(field: str, lifecycle: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with the hooks of a container."""
    causes: list[Cause] = []
    for hook in ("postStart", "preStop"):
        if hook in lifecycle:
            causes += _handler_faults(f"{field}.{hook}", lifecycle[hook])
    return causes


def _handler_faults(field: str, handler: dict[str, Any]) -> list[Cause]:
    present = [name for name in _HANDLERS if name in handler]
    if not present:
        return [required(field, "must specify a handler type")]
    causes: list[Cause] = []
    for name in present[1:]:
        detail = "may not specify more than 1 handler type"
        causes.append(forbidden(f"{field}.{name}", detail))
    name = present[0]
    at, action = f"{field}.{name}", handler[name]
    if name == "exec" and not action.get("command"):
        causes.append(required(f"{at}.command"))
    elif name == "httpGet":
        causes += _http_faults(at, action)
    elif name in ("tcpSocket", "grpc"):
        causes += _port_faults(f"{at}.port", action["port"])
    elif name == "sleep" and action["seconds"] < 0:
        causes.append(invalid(f"{at}.seconds", action["seconds"], "must be non-negative"))
    return causes


def _http_faults(field: str, action: dict[str, Any]) -> list[Cause]:
    causes = _port_faults(f"{field}.port", action["port"])
    if action["scheme"] not in _SCHEMES:
        causes.append(unsupported(f"{field}.scheme", action["scheme"], _SCHEMES))
    for header in action.get("httpHeaders") or ():
        faults = header_faults(header["name"])
        causes += invalid_each(f"{field}.httpHeaders", header["name"], faults)
    return causes


def _port_faults(field: str, port: int | str) -> list[Cause]:
    faults = port_faults(port) if isinstance(port, int) else port_name_faults(port)
    return invalid_each(field, port, faults)
