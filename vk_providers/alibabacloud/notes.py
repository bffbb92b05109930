"""What a pod asks for in hardening that ECI cannot do, and runs without: said once a pod. Pure.

Refusing it would keep out every pod of a namespace with the "restricted" security standard. A group
is a virtual machine of its own, so these fields guard less there than on a shared machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import vk

__all__ = ["notes_on"]

_POD_FIELDS = (
    "fsGroup",
    "supplementalGroups",
    "seccompProfile",
    "seLinuxOptions",
    "appArmorProfile",
)
_CONTAINER_FIELDS = ("seccompProfile", "seLinuxOptions", "appArmorProfile", "procMount")


def notes_on(pod: vk.Pod) -> tuple[str, ...]:
    """Return the paths of the fields that are set and have no counterpart."""
    return tuple(dict.fromkeys(_unmet(pod.spec)))


def _unmet(spec: Mapping[str, Any]) -> Iterator[str]:
    context = spec.get("securityContext") or {}
    for field in _POD_FIELDS:
        if context.get(field) is not None:
            yield f"spec.securityContext.{field}"
    for kind in ("containers", "initContainers"):
        for container in spec.get(kind) or ():
            context = container.get("securityContext") or {}
            path = f"spec.{kind}[].securityContext"
            for field in _CONTAINER_FIELDS:
                if context.get(field) is not None:
                    yield f"{path}.{field}"
            if (context.get("capabilities") or {}).get("drop"):
                yield f"{path}.capabilities.drop"
            if context.get("allowPrivilegeEscalation") is False:
                yield f"{path}.allowPrivilegeEscalation"
