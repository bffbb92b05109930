"""Checks of the security contexts of pods and containers. Pure.

In: a security context, and of a pod also what it shares with its host. Out: causes. Called by the
pod's and the containers' checks. Privileged containers are allowed, as in most clusters.
"""

from __future__ import annotations

import re
from typing import Any

from vk.devcluster.validation.causes import Cause, forbidden, invalid, required, unsupported

__all__ = ["container_security_faults", "pod_security_faults"]

_LARGEST_ID = 2**31 - 1
_PROC_MOUNTS = ("Default", "Unmasked")
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_CHANGE_POLICIES = ("Always", "OnRootMismatch")
_SYSCTL_FORM = r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
_GO_FIELDS = (
    *("Capabilities", "Privileged", "SELinuxOptions", "WindowsOptions", "RunAsUser"),
    *("RunAsGroup", "RunAsNonRoot", "ReadOnlyRootFilesystem", "AllowPrivilegeEscalation"),
    *("ProcMount", "SeccompProfile", "AppArmorProfile"),
)


def container_security_faults(field: str, context: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with the securityContext of a container."""
    causes = _id_faults(field, context, ("runAsUser", "runAsGroup"))
    mount = context.get("procMount")
    if mount is not None and mount not in _PROC_MOUNTS:
        causes.append(unsupported(f"{field}.procMount", mount, _PROC_MOUNTS))
    causes += _profile_faults(field, context)
    if context.get("allowPrivilegeEscalation") is False and context.get("privileged"):
        detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        causes.append(invalid(field, _go_context(context), detail))
    return causes


def pod_security_faults(spec: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with the securityContext of a pod."""
    field, context = "spec.securityContext", spec["securityContext"]
    causes = _id_faults(field, context, ("fsGroup", "runAsUser", "runAsGroup"))
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        causes += _one_id_faults(f"{field}.supplementalGroups[{index}]", group)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        detail = "ShareProcessNamespace and HostPID cannot both be enabled"
        causes.append(invalid(f"{field}.shareProcessNamespace", True, detail))
    if spec.get("hostUsers") is False:
        for name, shown in (("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
            if spec.get(name):
                causes.append(forbidden(f"spec.{shown}", "when `hostUsers` is false"))
    for index, sysctl in enumerate(context.get("sysctls") or ()):
        causes += _sysctl_faults(f"{field}.sysctls[{index}].name", sysctl["name"])
    policy = context.get("fsGroupChangePolicy")
    if policy is not None and policy not in _CHANGE_POLICIES:
        causes.append(unsupported(f"{field}.fsGroupChangePolicy", policy, _CHANGE_POLICIES))
    return causes + _profile_faults(field, context)


def _id_faults(field: str, context: dict[str, Any], names: tuple[str, ...]) -> list[Cause]:
    causes: list[Cause] = []
    for name in names:
        if context.get(name) is not None:
            causes += _one_id_faults(f"{field}.{name}", context[name])
    return causes


def _one_id_faults(field: str, value: int) -> list[Cause]:
    if 0 <= value <= _LARGEST_ID:
        return []
    return [invalid(field, value, f"must be between 0 and {_LARGEST_ID}, inclusive")]


def _sysctl_faults(field: str, name: str) -> list[Cause]:
    if not name:
        return [required(field)]
    if len(name) <= 253 and re.fullmatch(_SYSCTL_FORM, name):
        return []
    detail = f"must have at most 253 characters and match regex {_SYSCTL_FORM}"
    return [invalid(field, name, detail)]


def _profile_faults(field: str, context: dict[str, Any]) -> list[Cause]:
    profile = context.get("seccompProfile")
    if profile is None:
        return []
    kind, file = profile["type"], profile.get("localhostProfile")
    if kind not in _PROFILES:
        return [unsupported(f"{field}.seccompProfile.type", kind, _PROFILES)]
    where = f"{field}.seccompProfile.localhostProfile"
    if kind == "Localhost" and not file:
        return [required(where, "must be set when seccomp type is Localhost")]
    if kind != "Localhost" and file is not None:
        detail = "can only be set when seccomp type is Localhost"
        return [invalid(where, file, detail)]
    return []


def _go_context(context: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name in _GO_FIELDS:
        value = context.get(name[0].lower() + name[1:])
        if name == "SeccompProfile" and value is not None:
            value = {"Type": value["type"], "LocalhostProfile": value.get("localhostProfile")}
        shown[name] = value
    return shown
