"""The downward API: what a fieldRef or a resourceFieldRef stands for.

In: the pod, the reference, the addresses as far as they are known. Out: the text, or None while it
depends on an address that is not known yet. Pure; used for variables and for volumes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vk.errors import InvalidInputError
from vk.models.api_object import EMPTY, containers_of, spec_of
from vk.models.pod import Json
from vk.notation.field_path import format_map, split_subscript
from vk.notation.quantity import ceil_divide, parse_quantity

__all__ = ["field_value", "pod_allocatable", "resource_value", "waits_for_address"]


_POD_ADDRESSES = ("status.podIP", "status.podIPs")
_HOST_ADDRESSES = ("status.hostIP", "status.hostIPs")
_MAPS = {"metadata.labels": "labels", "metadata.annotations": "annotations"}
_PLAIN = {
    # path: where it is, and what the API server fills in where it is missing
    "metadata.name": ("metadata", "name", ""),
    "metadata.namespace": ("metadata", "namespace", "default"),
    "metadata.uid": ("metadata", "uid", ""),
    "spec.host": ("spec", "nodeName", ""),
    "spec.nodeName": ("spec", "nodeName", ""),
    "spec.restartPolicy": ("spec", "restartPolicy", "Always"),
    "spec.schedulerName": ("spec", "schedulerName", "default-scheduler"),
    "spec.serviceAccountName": ("spec", "serviceAccountName", ""),
    "status.phase": ("status", "phase", "Pending"),
}
# A limit that is not set is the node's: the container may use all of it.
_LIMITED_BY_NODE = ("cpu", "memory", "ephemeral-storage")
_LIMITED_BY_POD = ("cpu", "memory")


def waits_for_address(source: Json) -> bool:
    """Return whether a variable's ``valueFrom`` is an address that only a started pod has."""
    path = (source.get("fieldRef") or EMPTY).get("fieldPath")
    return path in _POD_ADDRESSES or path in _HOST_ADDRESSES


def field_value(
    pod: Json, reference: Json, *, pod_ips: Sequence[str] = (), host_ips: Sequence[str] = ()
) -> str | None:
    """Return the text that a fieldRef stands for, None while its address is unknown.

    A pod in its host's network has its host's addresses. Raises InvalidInputError for a field that
    the downward API does not have.
    """
    path = reference.get("fieldPath") or ""
    version = reference.get("apiVersion") or "v1"
    if version != "v1":
        raise InvalidInputError(f"fieldRef of apiVersion {version!r}, expected v1")
    if path in _POD_ADDRESSES or path in _HOST_ADDRESSES:
        addresses = host_ips if path in _HOST_ADDRESSES else _addresses(pod, pod_ips, host_ips)
        if not addresses:
            return None
        return ",".join(addresses) if path.endswith("s") else addresses[0]
    return _known_field(pod, path)


def pod_allocatable(pod: Json, allocatable: Mapping[str, str]) -> Mapping[str, str]:
    """Return ``allocatable`` with the pod's own limits in place of the node's.

    For variables only: volumes show the node's all the same, as with the kubelet.
    """
    limits = _section(pod["spec"], "limits")
    own = {name: str(limits[name]) for name in _LIMITED_BY_POD if _is_set(limits.get(name))}
    return {name: own.get(name, amount) for name, amount in allocatable.items()}


def resource_value(
    pod: Json, reference: Json, *, container: str, allocatable: Mapping[str, str]
) -> str:
    """Return the amount that a resourceFieldRef stands for, in its divisor's units, rounded up.

    ``container`` is the one that asks, for references without containerName; a limit that is zero
    or not set is ``allocatable``'s. Raises InvalidInputError for an unknown container or resource.
    """
    section, _, resource = (reference.get("resource") or "").partition(".")
    if section not in ("limits", "requests") or not resource:
        raise InvalidInputError(
            f"resourceFieldRef to {reference.get('resource')!r}, expected limits.* or requests.*"
        )
    named = _container(pod, reference.get("containerName") or container)
    amount = _section(named, section).get(resource)
    try:
        if section == "limits" and resource in _LIMITED_BY_NODE and not _is_set(amount):
            amount = allocatable.get(resource)
        # A divisor of 0, which Kubernetes writes for "not given", counts as 1.
        divisor = parse_quantity(str(reference.get("divisor") or "1")) or parse_quantity("1")
        return str(ceil_divide(parse_quantity(str(amount or "0")), divisor))
    except ValueError as error:
        raise InvalidInputError(f"resourceFieldRef to {section}.{resource}: {error}") from error


def _addresses(pod: Json, pod_ips: Sequence[str], host_ips: Sequence[str]) -> Sequence[str]:
    if not pod_ips and spec_of(pod).get("hostNetwork"):
        return host_ips
    return pod_ips


def _known_field(pod: Json, path: str) -> str:
    base, key = split_subscript(path)
    if base in _MAPS:
        values = pod["metadata"].get(_MAPS[base]) or EMPTY
        return format_map(values) if key is None else str(values.get(key, ""))
    if key is not None or base not in _PLAIN:
        raise InvalidInputError(f"fieldRef to {path!r}, which the downward API does not have")
    part, name, default = _PLAIN[base]
    return str((pod.get(part) or EMPTY).get(name) or default)


def _container(pod: Json, name: str) -> Json:
    for container in containers_of(pod, ephemeral=True):
        if container["name"] == name:
            return container
    raise InvalidInputError(f"resourceFieldRef to container {name!r}, which the pod does not have")


def _is_set(amount: object) -> bool:
    return amount is not None and parse_quantity(str(amount)) > 0


def _section(owner: Json, section: str) -> Json:
    return (owner.get("resources") or EMPTY).get(section) or EMPTY
