"""What a new cluster contains before any client writes to it.

`objects` gives them in order: namespaces, the roles that clients of a real cluster count on and
their bindings, and the Services and ConfigMaps that nodes look for. Pure.

Note: members of system:nodes get the rights of nodes by a binding, since there is no node
authorizer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["KUBELET_CLIENT", "objects"]

Object = dict[str, Any]

KUBELET_CLIENT = "kube-apiserver-kubelet-client"
"""The user of the API server at a kubelet."""

_RBAC = "rbac.authorization.k8s.io"
_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]


def objects(authority: str, *, cluster_uid: str) -> Iterator[tuple[str, Object]]:
    """Yield the plural and the object of each; ``authority`` is the PEM certificate of clients.

    ``cluster_uid`` is the UID of kube-system.
    """
    for name in _NAMESPACES:
        uid = {"uid": cluster_uid} if name == "kube-system" else {}
        yield "namespaces", {"metadata": {"name": name, **uid}}
    for name, rules in _ROLES.items():
        yield "clusterroles", {"metadata": _labelled(name), "rules": rules}
    for name, (role, subject) in _BINDINGS.items():
        yield "clusterrolebindings", _binding(name, "ClusterRole", role, subject)
    reader = "extension-apiserver-authentication-reader"
    trust = "extension-apiserver-authentication"
    rule = _rule("", "configmaps", _READ) | {"resourceNames": [trust]}
    place = {"namespace": "kube-system"}
    yield "roles", {"metadata": _labelled(reader) | place, "rules": [rule]}
    yield (
        "configmaps",
        {
            "metadata": {"name": trust} | place,
            "data": {"client-ca-file": authority},
        },
    )
    kubernetes = _service("default", "kubernetes", "10.96.0.1", {"https": (443, "TCP")})
    kubernetes["metadata"]["labels"] = {"component": "apiserver", "provider": "kubernetes"}
    yield "services", kubernetes
    dns = {"dns": (53, "UDP"), "dns-tcp": (53, "TCP")}
    yield "services", _service("kube-system", "kube-dns", "10.96.0.10", dns)


def _labelled(name: str) -> Object:
    return {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}


def _binding(name: str, kind: str, role: str, subject: tuple[str, str]) -> Object:
    return {
        "metadata": _labelled(name),
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": role},
        "subjects": [{"apiGroup": _RBAC, "kind": subject[0], "name": subject[1]}],
    }


def _service(namespace: str, name: str, ip: str, ports: dict[str, tuple[int, str]]) -> Object:
    listed = [
        {"name": port, "port": number, "protocol": protocol, "targetPort": number}
        for port, (number, protocol) in ports.items()
    ]
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": listed, "type": "ClusterIP"},
    }


def _rule(group: str, resources: str, verbs: list[str]) -> Object:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs}


def _paths(*paths: str) -> Object:
    return {"nonResourceURLs": list(paths), "verbs": ["get"]}


_ALL = ["*"]
_KUBELET_PARTS = ("configz", "healthz", "log", "metrics", "pods", "proxy", "stats")
_EVENTS = [
    _rule("", "events", ["create", "patch", "update"]),
    _rule("events.k8s.io", "events", ["create", "patch", "update"]),
]
_REVIEWS = [
    _rule("authentication.k8s.io", "tokenreviews", ["create"]),
    _rule("authorization.k8s.io", "subjectaccessreviews", ["create"]),
]
_STREAMS = "pods/attach pods/exec pods/portforward"
_IN_NAMESPACES = "configmaps endpoints events pods services serviceaccounts"
_VIEW = [
    _rule("", f"{_IN_NAMESPACES} namespaces pods/log pods/status services/status", _READ),
    _rule("discovery.k8s.io", "endpointslices", _READ),
    _rule("metrics.k8s.io", "nodes pods", _READ),
]
_EDIT = [
    *_VIEW,
    _rule("", f"{_IN_NAMESPACES} {_STREAMS} secrets", [*_READ, *_WRITE]),
    _rule("", "pods/eviction serviceaccounts/token", ["create"]),
    _rule("coordination.k8s.io", "leases", [*_READ, *_WRITE]),
]

_ROLES: dict[str, list[Object]] = {
    "cluster-admin": [
        {"apiGroups": _ALL, "resources": _ALL, "verbs": _ALL},
        {"nonResourceURLs": _ALL, "verbs": _ALL},
    ],
    "admin": [*_EDIT, _rule(_RBAC, "roles rolebindings", [*_READ, *_WRITE])],
    "edit": _EDIT,
    "view": _VIEW,
    "system:auth-delegator": _REVIEWS,
    "system:basic-user": [
        _rule("authorization.k8s.io", "selfsubjectaccessreviews", ["create"]),
        _rule("authentication.k8s.io", "selfsubjectreviews", ["create"]),
    ],
    "system:discovery": [
        _paths(
            "/api",
            "/api/*",
            "/apis",
            "/apis/*",
            "/healthz",
            "/livez",
            "/openapi",
            "/openapi/*",
            "/readyz",
            "/version",
            "/version/",
        )
    ],
    "system:public-info-viewer": [_paths("/healthz", "/livez", "/readyz", "/version", "/version/")],
    "system:kubelet-api-admin": [
        _rule("", "nodes", [*_READ, "proxy"]),
        _rule("", " ".join(f"nodes/{part}" for part in _KUBELET_PARTS), _ALL),
    ],
    "system:kube-scheduler": [
        *_EVENTS,
        *_REVIEWS,
        _rule("", "nodes pods namespaces services", _READ),
        _rule("", "pods", ["delete"]),
        _rule("", "bindings pods/binding", ["create"]),
        _rule("", "pods/status", ["patch", "update"]),
        _rule("coordination.k8s.io", "leases", ["create", "get", "update"]),
    ],
    "system:node": [
        *_EVENTS,
        *_REVIEWS,
        _rule("", "nodes", [*_READ, "create", "delete", "patch", "update"]),
        _rule("", "nodes/status pods/status", ["patch", "update"]),
        _rule("", "pods", [*_READ, "create", "delete"]),
        _rule("", "pods/eviction serviceaccounts/token", ["create"]),
        _rule("", "configmaps secrets services endpoints namespaces serviceaccounts", _READ),
        _rule("coordination.k8s.io", "leases", ["create", "delete", "get", "patch", "update"]),
        _rule("certificates.k8s.io", "certificatesigningrequests", ["create", *_READ]),
    ],
}

_BINDINGS: dict[str, tuple[str, tuple[str, str]]] = {
    "cluster-admin": ("cluster-admin", ("Group", "system:masters")),
    "system:basic-user": ("system:basic-user", ("Group", "system:authenticated")),
    "system:discovery": ("system:discovery", ("Group", "system:authenticated")),
    "system:kube-scheduler": ("system:kube-scheduler", ("User", "system:kube-scheduler")),
    KUBELET_CLIENT: ("system:kubelet-api-admin", ("User", KUBELET_CLIENT)),
    "system:node": ("system:node", ("Group", "system:nodes")),
    "system:public-info-viewer": ("system:public-info-viewer", ("Group", "system:authenticated")),
    "system:public-info-viewer:unauthenticated": (
        "system:public-info-viewer",
        ("Group", "system:unauthenticated"),
    ),
}
