"""The discovery documents: groups, versions and resources of the server. Pure.

`document` answers the paths ``/api``, ``/apis`` and below, also in the aggregated form that saves
kubectl one request for each group. Nothing here changes while the server runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from vk.devcluster.kinds import KINDS, METRICS, Kind

__all__ = ["AGGREGATED", "document"]

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

_EVERY = (*KINDS, *METRICS)
_READ_WRITE = ("get", "patch", "update")
_STREAMED = ("create", "get")
_PARTS: dict[str, tuple[tuple[str, str, str], tuple[str, ...]]] = {
    "binding": (("", "v1", "Binding"), ("create",)),
    "eviction": (("policy", "v1", "Eviction"), ("create",)),
    "token": (("authentication.k8s.io", "v1", "TokenRequest"), ("create",)),
    "finalize": (("", "", ""), ("update",)),
    "log": (("", "", ""), ("get",)),
    "exec": (("", "v1", "PodExecOptions"), _STREAMED),
    "attach": (("", "v1", "PodAttachOptions"), _STREAMED),
    "portforward": (("", "v1", "PodPortForwardOptions"), _STREAMED),
    "proxy": (("", "v1", "NodeProxyOptions"), ("create", "delete", "get", "patch", "update")),
}
"""Subresources with an object of their own, or with other verbs: group, version, kind; verbs."""


@lru_cache(maxsize=64)
def document(path: str, *, aggregated: bool, server: str) -> dict[str, Any] | None:
    """Return the discovery document of a path, None when there is none; ``server`` is its address.

    The result is shared: do not change it.
    """
    parts = path.strip("/").split("/")
    if aggregated and path in ("/api", "/apis"):
        return _aggregated(core=path == "/api")
    if path == "/api":
        addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": server}]
        return {
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": addresses,
        }
    if path == "/apis":
        groups = [_group(group) for group in _groups() if group]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if path == "/api/v1":
        return _resources("", "v1")
    if parts[0] == "apis" and len(parts) == 2 and parts[1] in _groups():
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1])}
    if parts[0] == "apis" and len(parts) == 3 and parts[2] in _groups().get(parts[1], ()):
        return _resources(parts[1], parts[2])
    return None


def _groups() -> dict[str, list[str]]:
    """Return the groups in order, each with its versions."""
    found: dict[str, list[str]] = {}
    for kind in _EVERY:
        versions = found.setdefault(kind.group, [])
        if kind.version not in versions:
            versions.append(kind.version)
    return found


def _group(group: str) -> dict[str, Any]:
    versions = [
        {"groupVersion": f"{group}/{version}", "version": version} for version in _groups()[group]
    ]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _of(group: str, version: str) -> Iterable[Kind]:
    return (kind for kind in _EVERY if (kind.group, kind.version) == (group, version))


def _resources(group: str, version: str) -> dict[str, Any]:
    resources: list[dict[str, Any]] = []
    for kind in _of(group, version):
        resource: dict[str, Any] = {
            "name": kind.plural,
            "singularName": kind.singular,
            "namespaced": kind.namespaced,
            "kind": kind.name,
            "verbs": list(kind.verbs),
        }
        if kind.short_names:
            resource["shortNames"] = list(kind.short_names)
        if kind.categories:
            resource["categories"] = list(kind.categories)
        resources.append(resource)
        resources.extend(_part(kind, part) for part in sorted(kind.subresources))
    name = f"{group}/{version}" if group else version
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": name,
        "resources": resources,
    }


def _part(kind: Kind, part: str) -> dict[str, Any]:
    (group, version, name), verbs = _PARTS.get(part, (("", "", ""), _READ_WRITE))
    resource: dict[str, Any] = {
        "name": f"{kind.plural}/{part}",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": name or kind.name,
        "verbs": list(verbs),
    }
    if name and group != kind.group:
        resource |= {"group": group, "version": version}
    return resource


def _aggregated(*, core: bool) -> dict[str, Any]:
    items = []
    for group, versions in _groups().items():
        if bool(group) == core:
            continue
        described = [
            {
                "version": version,
                "resources": [_aggregated_resource(kind) for kind in _of(group, version)],
                "freshness": "Current",
            }
            for version in versions
        ]
        items.append({"metadata": {"name": group} if group else {}, "versions": described})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated_resource(kind: Kind) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "resource": kind.plural,
        "responseKind": _response_kind(kind.group, kind.version, kind.name),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        resource["shortNames"] = list(kind.short_names)
    if kind.categories:
        resource["categories"] = list(kind.categories)
    parts = []
    for part in sorted(kind.subresources):
        (group, version, name), verbs = _PARTS.get(part, (("", "", ""), _READ_WRITE))
        shown = (group, version, name) if name else (kind.group, kind.version, kind.name)
        parts.append(
            {"subresource": part, "responseKind": _response_kind(*shown), "verbs": list(verbs)}
        )
    if parts:
        resource["subresources"] = parts
    return resource


def _response_kind(group: str, version: str, name: str) -> dict[str, str]:
    return {"group": group, "version": version, "kind": name}
