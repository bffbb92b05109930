"""The kinds of object that the embedded API server has, as discovery announces them. Pure.

`KINDS` has one entry for each pair of group/version and kind. The server
builds its routes, its discovery documents and the texts of its refusals from it, and the rules and
the printer columns are chosen by it. A kind that is not here is a 404 to every client.

Note: the two Event kinds (``v1`` and ``events.k8s.io/v1``) are two views of the same stored
objects, see `Kind.store`; and the review kinds are created and answered, but never stored.
"""

from __future__ import annotations

import attrs

__all__ = ["KINDS", "METRICS", "Kind", "find", "kind_of", "stored_kind"]

_ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@attrs.frozen
class Kind:
    """One kind of object in one version of its group; the core group's name is empty."""

    group: str
    version: str
    name: str
    plural: str
    singular: str = attrs.field(
        default=attrs.Factory(lambda self: self.name.lower(), takes_self=True), kw_only=True
    )
    short_names: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    categories: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    namespaced: bool = attrs.field(default=True, kw_only=True)
    subresources: frozenset[str] = attrs.field(default=frozenset(), kw_only=True)
    verbs: tuple[str, ...] = attrs.field(default=_ALL_VERBS, kw_only=True)
    """The verbs that discovery lists for the resource itself, in its order."""

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource_name(self) -> str:
        """The resource as messages name it: ``pods``, ``leases.coordination.k8s.io``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def qualified_name(self) -> str:
        """The kind as messages about invalid objects name it: ``Pod``, ``Role.rbac....k8s.io``."""
        return f"{self.name}.{self.group}" if self.group else self.name

    @property
    def stored(self) -> bool:
        """Return whether objects of the kind are stored; reviews are only answered."""
        return {"create", "get"} <= {*self.verbs}

    @property
    def store(self) -> str:
        """Name of the set of objects that it shows: one for both kinds of Event."""
        return "events" if self.name == "Event" else self.resource_name


def _core(name: str, plural: str, *short_names: str, **rest: object) -> Kind:
    return Kind("", "v1", name, plural, short_names=short_names, **rest)  # type: ignore[arg-type]  # keywords of Kind, passed on


def _rbac(name: str, plural: str, *, namespaced: bool) -> Kind:
    return Kind("rbac.authorization.k8s.io", "v1", name, plural, namespaced=namespaced)


def _review(group: str, name: str, plural: str) -> Kind:
    return Kind(group, "v1", name, plural, namespaced=False, verbs=("create",))


_NAMESPACE_VERBS = tuple(verb for verb in _ALL_VERBS if verb != "deletecollection")
_STATUS = frozenset({"status"})
_POD_PARTS = frozenset(
    {
        *("status", "binding", "eviction", "ephemeralcontainers", "resize"),
        *("log", "exec", "attach", "portforward"),
    }
)

KINDS: tuple[Kind, ...] = (
    _core("Binding", "bindings", verbs=("create",)),
    _core("ConfigMap", "configmaps", "cm"),
    _core("Endpoints", "endpoints", "ep"),
    _core("Event", "events", "ev"),
    _core(
        "Namespace",
        "namespaces",
        "ns",
        namespaced=False,
        subresources=frozenset({"finalize", "status"}),
        verbs=_NAMESPACE_VERBS,
    ),
    _core("Node", "nodes", "no", namespaced=False, subresources=frozenset({"proxy", "status"})),
    _core("PersistentVolumeClaim", "persistentvolumeclaims", "pvc", subresources=_STATUS),
    _core("PersistentVolume", "persistentvolumes", "pv", namespaced=False, subresources=_STATUS),
    _core("Pod", "pods", "po", categories=("all",), subresources=_POD_PARTS),
    _core("Secret", "secrets"),
    _core("Service", "services", "svc", categories=("all",), subresources=frozenset({"status"})),
    _core("ServiceAccount", "serviceaccounts", "sa", subresources=frozenset({"token"})),
    _review("authentication.k8s.io", "SelfSubjectReview", "selfsubjectreviews"),
    _review("authentication.k8s.io", "TokenReview", "tokenreviews"),
    _review("authorization.k8s.io", "SelfSubjectAccessReview", "selfsubjectaccessreviews"),
    _review("authorization.k8s.io", "SubjectAccessReview", "subjectaccessreviews"),
    Kind(
        "certificates.k8s.io",
        "v1",
        "CertificateSigningRequest",
        "certificatesigningrequests",
        short_names=("csr",),
        namespaced=False,
        subresources=frozenset({"approval", "status"}),
    ),
    Kind("coordination.k8s.io", "v1", "Lease", "leases"),
    Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    Kind("events.k8s.io", "v1", "Event", "events", short_names=("ev",)),
    _rbac("ClusterRole", "clusterroles", namespaced=False),
    _rbac("ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    _rbac("Role", "roles", namespaced=True),
    _rbac("RoleBinding", "rolebindings", namespaced=True),
)
"""Every kind, core group first, then by group and name as the real server orders discovery."""


def _metrics(name: str, plural: str, *, namespaced: bool) -> Kind:
    verbs, group = ("get", "list"), "metrics.k8s.io"
    return Kind(group, "v1beta1", name, plural, singular="", namespaced=namespaced, verbs=verbs)


METRICS: tuple[Kind, ...] = (
    _metrics("NodeMetrics", "nodes", namespaced=False),
    _metrics("PodMetrics", "pods", namespaced=True),
)
"""Kinds that are measured when they are read; a real cluster has them from an add-on."""

_BY_PLURAL = {(kind.group, kind.version, kind.plural): kind for kind in (*KINDS, *METRICS)}
_BY_NAME = {(kind.api_version, kind.name): kind for kind in KINDS}


def find(group: str, version: str, plural: str) -> Kind | None:
    """Return the kind that a path names, None when the server has none such."""
    return _BY_PLURAL.get((group, version, plural))


def stored_kind(plural: str, group: str = "") -> Kind:
    """Return the kind of that name, which must be one of `KINDS`."""
    return _BY_PLURAL[group, "v1", plural]


def kind_of(api_version: object, name: object) -> Kind | None:
    """Return the kind that an object names, None when the server has none such."""
    return _BY_NAME.get((str(api_version), str(name)))
