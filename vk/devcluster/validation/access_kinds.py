"""The rules of Roles, ClusterRoles and their bindings. Pure.

In: decoded objects. Out: one strategy for each. Called through the table of strategies. Their names
may hold almost anything, ``system:node`` among them; the role that a binding names never changes.
"""

from __future__ import annotations

from typing import Any

from vk.devcluster.validation.causes import Cause, invalid, invalid_each, required, unsupported
from vk.devcluster.validation.names import path_segment_faults, subdomain_faults
from vk.devcluster.validation.strategy import Strategy

__all__ = ["CLUSTER_ROLES", "CLUSTER_ROLE_BINDINGS", "ROLES", "ROLE_BINDINGS"]

_GROUP = "rbac.authorization.k8s.io"
_SUBJECT_KINDS = ("ServiceAccount", "User", "Group")


def _check_role(role: dict[str, Any]) -> list[Cause]:
    namespaced = role["kind"] == "Role"
    causes: list[Cause] = []
    for index, rule in enumerate(role["rules"] or ()):
        causes += _rule_faults(f"rules[{index}]", rule, namespaced=namespaced)
    return causes


def _rule_faults(field: str, rule: dict[str, Any], *, namespaced: bool) -> list[Cause]:
    causes: list[Cause] = []
    if not rule["verbs"]:
        causes.append(required(f"{field}.verbs", "verbs must contain at least one value"))
    urls = rule.get("nonResourceURLs")
    if urls:
        if namespaced:
            detail = "namespaced rules cannot apply to non-resource URLs"
            causes.append(invalid(f"{field}.nonResourceURLs", urls, detail))
        if any(rule.get(name) for name in ("apiGroups", "resources", "resourceNames")):
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            causes.append(invalid(f"{field}.nonResourceURLs", urls, detail))
        return causes
    for name, word in (("apiGroups", "api group"), ("resources", "resource")):
        if not rule.get(name):
            detail = f"resource rules must supply at least one {word}"
            causes.append(required(f"{field}.{name}", detail))
    return causes


def _default_binding(binding: dict[str, Any]) -> None:
    reference = binding["roleRef"]
    reference["apiGroup"] = reference.get("apiGroup") or _GROUP
    for subject in binding.get("subjects") or ():
        if subject["kind"] in ("User", "Group"):
            subject.setdefault("apiGroup", _GROUP)


def _check_binding(binding: dict[str, Any]) -> list[Cause]:
    namespaced = binding["kind"] == "RoleBinding"
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    reference = binding["roleRef"]
    causes: list[Cause] = []
    if reference["apiGroup"] != _GROUP:
        causes.append(unsupported("roleRef.apiGroup", reference["apiGroup"], (_GROUP,)))
    if reference["kind"] not in kinds:
        causes.append(unsupported("roleRef.kind", reference["kind"], kinds))
    if not reference["name"]:
        causes.append(required("roleRef.name"))
    faults = path_segment_faults(reference["name"])
    causes += invalid_each("roleRef.name", reference["name"], faults)
    for index, subject in enumerate(binding.get("subjects") or ()):
        causes += _subject_faults(f"subjects[{index}]", subject, namespaced=namespaced)
    return causes


def _subject_faults(field: str, subject: dict[str, Any], *, namespaced: bool) -> list[Cause]:
    causes: list[Cause] = []
    name, group = subject["name"], subject.get("apiGroup", "")
    if not name:
        causes.append(required(f"{field}.name"))
    if subject["kind"] not in _SUBJECT_KINDS:
        causes.append(unsupported(f"{field}.kind", subject["kind"], _SUBJECT_KINDS))
    elif subject["kind"] == "ServiceAccount":
        causes += invalid_each(f"{field}.name", name, subdomain_faults(name) if name else [])
        if group:
            causes.append(unsupported(f"{field}.apiGroup", group, ("",)))
        if not namespaced and not subject.get("namespace"):
            causes.append(required(f"{field}.namespace"))
    elif group != _GROUP:
        causes.append(unsupported(f"{field}.apiGroup", group, (_GROUP,)))
    return causes


def _check_reference(old: dict[str, Any], new: dict[str, Any], subresource: str) -> list[Cause]:
    reference = new["roleRef"]
    if old["roleRef"] == reference:
        return []
    shown = {"APIGroup": reference["apiGroup"], "Kind": reference["kind"]}
    return [invalid("roleRef", shown | {"Name": reference["name"]}, "cannot change roleRef")]


ROLES = Strategy(check=_check_role, name_faults=path_segment_faults)
CLUSTER_ROLES = ROLES
ROLE_BINDINGS = Strategy(
    default=_default_binding,
    check=_check_binding,
    check_update=_check_reference,
    name_faults=path_segment_faults,
)
CLUSTER_ROLE_BINDINGS = ROLE_BINDINGS
