"""What a node may do at the API server, by feature: one table for all who need to know. Pure.

`vk doctor` asks the API server about each row, `vk rbac` turns the rows into roles, and a test
compares them with the API server's audit log: nothing granted and unused, nothing denied.

A role that names its objects cannot grant the creation of one, since the name is not in
the path: such a row is of its own, without a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from vk.provider import Provider
from vk.settings import Settings

__all__ = [
    "NODE",
    "PERMISSIONS",
    "REFERENCES",
    "Permission",
    "features_of",
    "wanted_permissions",
]

NODE = "{node}"
"""Stands for the node's name."""


@attrs.frozen
class Permission:
    """Some verbs on one kind of object. ``resource`` may have a subresource: ``pods/status``.

    No ``namespace``: in all of them; no ``name``: every object.
    """

    feature: str
    resource: str
    verbs: tuple[str, ...]
    why: str
    group: str = ""
    namespace: str = ""
    name: str = ""

    def attributes(self, verb: str, node: str) -> Mapping[str, str]:
        """Return the resourceAttributes of an access review."""
        resource, _, subresource = self.resource.partition("/")
        found = {
            "verb": verb,
            "group": self.group,
            "resource": resource,
            "subresource": subresource,
            "namespace": self.namespace,
            "name": node if self.name == NODE else self.name,
        }
        return {key: value for key, value in found.items() if value}

    def rule(self, node: str = "") -> dict[str, Any]:
        """Return the rule of a role; without ``node`` it holds for every node."""
        name = node if self.name == NODE else self.name
        rule: dict[str, Any] = {"apiGroups": [self.group], "resources": [self.resource]}
        return {**rule, **({"resourceNames": [name]} if name else {}), "verbs": list(self.verbs)}


_LEASES = {"group": "coordination.k8s.io", "namespace": "kube-node-lease"}
_AUTHORITY = {"namespace": "kube-system", "name": "extension-apiserver-authentication"}
_SIGNING = "certificates.k8s.io"
_CLAIMS = ("spec.volumes[].persistentVolumeClaim", "spec.volumes[].ephemeral")
_TOKENS = "spec.volumes[].projected.sources[].serviceAccountToken"

PERMISSIONS = (
    Permission("node", "nodes", ("create",), "the node is registered"),
    Permission("node", "nodes", ("get", "list", "watch", "patch"), "and kept", name=NODE),
    Permission("node", "nodes/status", ("patch",), "its conditions and capacity", name=NODE),
    Permission("node", "leases", ("create",), "the node's lease is made", **_LEASES),
    Permission("node", "leases", ("get", "update"), "and renewed", **_LEASES, name=NODE),
    Permission("node", "pods", ("get", "list", "watch"), "what is to run here"),
    Permission("node", "pods", ("delete",), "a deletion ends once the backend has confirmed it"),
    Permission("node", "pods/status", ("patch",), "what runs"),
    Permission("node", "services", ("list", "watch"), "the variables of services in containers"),
    Permission("node", "events", ("create", "patch"), "what users are told"),
    Permission("node", "namespaces", ("get",), "the cluster's identity", name="kube-system"),
    Permission(
        "kubelet-api",
        "tokenreviews",
        ("create",),
        "authentication of clients",
        group="authentication.k8s.io",
    ),
    Permission(
        "kubelet-api",
        "subjectaccessreviews",
        ("create",),
        "authorization of clients",
        group="authorization.k8s.io",
    ),
    Permission(
        "client-authority",
        "configmaps",
        ("list", "watch"),
        "what signs the API server's client certificates",
        **_AUTHORITY,
    ),
    Permission(
        "serving-certificate",
        "certificatesigningrequests",
        ("create", "get"),
        "a serving certificate that others believe",
        group=_SIGNING,
    ),
    Permission("persistent-volumes", "persistentvolumes", ("get",), "what a claim is bound to"),
    Permission("references", "configmaps", ("get",), "variables and files of containers"),
    Permission("references", "secrets", ("get",), "variables, files, registry passwords"),
    Permission("claims", "persistentvolumeclaims", ("get",), "volumes"),
    Permission("tokens", "serviceaccounts/token", ("create",), "tokens of pods"),
    Permission("watched-references", "configmaps", ("list", "watch"), "changes, as they happen"),
    Permission("watched-references", "secrets", ("list", "watch"), "changes, as they happen"),
    Permission("drain", "nodes", ("get", "patch", "delete"), "cordoned, removed", name=NODE),
    Permission("drain", "nodes/proxy", ("get",), "what its provider still has", name=NODE),
    Permission("drain", "pods", ("list",), "what runs on the node"),
    Permission("drain", "pods/eviction", ("create",), "and is ended"),
    Permission("drain", "leases", ("get", "delete"), "goes with the node", **_LEASES, name=NODE),
)

REFERENCES = frozenset({"references", "claims", "tokens", "watched-references"})
"""The features that are granted namespace by namespace."""


def features_of(settings: Settings, provider: type[Provider]) -> frozenset[str]:
    """Return the features that are switched on, for a node with this provider."""
    reads_files, honours = "files" in provider.resolves, provider.fields.honours
    claims = reads_files and any(map(honours, _CLAIMS))
    signed = settings.serving_signer and settings.serving_certificate is None
    switched = {
        "node": True,
        "kubelet-api": not settings.insecure_dev,
        "client-authority": not settings.insecure_dev and settings.client_ca_file is None,
        "serving-certificate": bool(signed),
        "persistent-volumes": claims,
        "claims": claims,
        "tokens": reads_files and honours(_TOKENS),
        "references": bool(provider.resolves),
        "watched-references": reads_files and settings.watch_references,
    }
    return frozenset(name for name, on in switched.items() if on)


def wanted_permissions(features: frozenset[str]) -> tuple[Permission, ...]:
    """Return the rows of ``features``."""
    return tuple(one for one in PERMISSIONS if one.feature in features)
