"""Authorization by RBAC: the rules of the stored roles and bindings.

`Rules.allow` decides each request and the access reviews. Members of system:masters may do
everything. Decisions are remembered until a role or binding changes.

Note: there is no node authorizer; members of system:nodes have what the ClusterRole
system:node gives them, for every node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from vk.devcluster.calls import User
from vk.devcluster.kinds import Kind, stored_kind
from vk.devcluster.storage.storage import Change, Storage, parse

__all__ = ["Attributes", "Rules"]

_GROUP = "rbac.authorization.k8s.io"
_MASTERS = "system:masters"
_REMEMBERED = 10_000  # decisions

Rule = dict[str, Any]


@attrs.frozen
class Attributes:
    """The attributes of a request: a verb on a resource, or on a path that is none."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    version: str = attrs.field(default="", eq=False)


@attrs.define(eq=False)
class Rules:
    """Evaluates the roles and bindings of a storage."""

    storage: Storage
    _decisions: dict[tuple[str, tuple[str, ...], Attributes], bool] = attrs.field(
        factory=dict, init=False, repr=False
    )

    def __attrs_post_init__(self) -> None:
        self.storage.observers.append(self._forget)

    def allow(self, user: User, wanted: Attributes) -> bool:
        """Return whether ``user`` may do that."""
        if _MASTERS in user.groups:
            return True
        key = (user.name, user.groups, wanted)
        decision = self._decisions.get(key)
        if decision is None:
            if len(self._decisions) >= _REMEMBERED:
                self._decisions.clear()
            decision = any(_covers(rule, wanted) for rule in self._rules(user, wanted.namespace))
            self._decisions[key] = decision
        return decision

    def _forget(self, kind: Kind, change: Change) -> None:
        if kind.group == _GROUP:
            self._decisions.clear()

    def _rules(self, user: User, namespace: str) -> Iterator[Rule]:
        """Yield every rule that holds for the user, of the cluster and of the namespace."""
        for plural, within in (("clusterrolebindings", None), ("rolebindings", namespace)):
            if within == "":
                continue
            kind = stored_kind(plural, _GROUP)
            for entry in self.storage.entries(kind, within):
                binding = parse(kind, entry)
                subjects = binding.get("subjects") or ()
                if any(_is_subject(subject, user, entry.namespace) for subject in subjects):
                    yield from self._role(binding["roleRef"], entry.namespace)

    def _role(self, reference: dict[str, str], namespace: str) -> Sequence[Rule]:
        if reference.get("kind") == "Role":
            role = self.storage.get(
                stored_kind("roles", _GROUP), namespace, reference.get("name", "")
            )
        else:
            role = self.storage.get(
                stored_kind("clusterroles", _GROUP), "", reference.get("name", "")
            )
        rules: Sequence[Rule] = (role or {}).get("rules") or ()
        return rules


def _is_subject(subject: dict[str, str], user: User, namespace: str) -> bool:
    name = subject.get("name", "")
    if subject.get("kind") == "Group":
        return name in user.groups
    if subject.get("kind") == "ServiceAccount":
        place = subject.get("namespace") or namespace
        return user.name == f"system:serviceaccount:{place}:{name}"
    return subject.get("kind") == "User" and name == user.name


def _covers(rule: Rule, wanted: Attributes) -> bool:
    if not _has(rule.get("verbs"), wanted.verb):
        return False
    if wanted.path:
        return any(_covers_path(path, wanted.path) for path in rule.get("nonResourceURLs") or ())
    if not _has(rule.get("apiGroups"), wanted.group):
        return False
    names = rule.get("resourceNames") or ()
    if names and wanted.name not in names:
        return False
    resources = rule.get("resources") or ()
    if not wanted.subresource:
        return _has(resources, wanted.resource)
    return (
        _has(resources, f"{wanted.resource}/{wanted.subresource}")
        or f"*/{wanted.subresource}" in resources
    )


def _covers_path(pattern: str, path: str) -> bool:
    return pattern == path or (pattern.endswith("*") and path.startswith(pattern[:-1]))


def _has(values: Sequence[str] | None, wanted: str) -> bool:
    return values is not None and ("*" in values or wanted in values)
