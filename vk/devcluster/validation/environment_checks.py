"""Checks of a container's environment. Pure.

In: a container. Out: causes. Called by the containers' checks.
"""

from __future__ import annotations

from typing import Any

from vk.devcluster.validation.causes import (
    Cause,
    invalid,
    invalid_each,
    required,
    unsupported,
)
from vk.devcluster.validation.names import (
    config_key_faults,
    qualified_name_faults,
    subdomain_faults,
    variable_name_faults,
)
from vk.notation.field_path import split_subscript
from vk.notation.quantity import parse_quantity

__all__ = ["FIELDS_FOR_FILES", "environment_faults", "field_faults", "resource_faults"]

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


def environment_faults(field: str, container: dict[str, Any]) -> list[Cause]:
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
