"""How the fields of each kind merge: the table behind strategic merge and server-side apply.

In: a kind's name. Out: its `Schema`. Used by `vk.devcluster.patch.strategic_merge` and by the field
ownership of `vk.devcluster`. The table has what the API server's own OpenAPI document has
(``x-kubernetes-patch-*``, ``x-kubernetes-list-*``, ``x-kubernetes-map-type``); a test compares
them.

Note: the two kinds of merge differ. A pod's ports merge by containerPort in a patch and by
containerPort and protocol in an apply; its hostIPs merge in a patch and are one value in an apply.
What has no entry is ordinary: maps merge key by key, lists are one value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["Schema", "schema_of"]


@attrs.frozen(eq=False)
class Schema:
    """The rules of one field; those of a list are also the rules of its items' fields."""

    fields: Mapping[str, Schema] = attrs.field(factory=dict)
    """Fields below that have rules of their own."""
    merges: bool = attrs.field(default=False, kw_only=True)
    """Strategic merge keeps the list's other items."""
    merge_key: str = attrs.field(default="", kw_only=True)
    """The merge key of a strategic merge; empty for plain values."""
    keys: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    """The keys of a list of type map in an apply."""
    values: bool = attrs.field(default=False, kw_only=True)
    """In an apply the list is a set of plain values."""
    whole: bool = attrs.field(default=False, kw_only=True)
    """In an apply the map, or each item of the list, has one owner."""
    zero: Mapping[str, Any] = attrs.field(factory=dict, kw_only=True)
    """Of a kind: what an object shows before anything is set; no manager owns these values."""
    resets: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict, kw_only=True)
    """Of a kind: subresource ("" for the object itself) -> paths that a write to it cannot set."""

    def field(self, name: str) -> Schema:
        """Return the rules of the field below; the ordinary ones where there is no entry."""
        return self.fields.get(name, ORDINARY)


ORDINARY = Schema()
_WHOLE = Schema(whole=True)
_SET = Schema(merges=True, values=True)


def _keyed(key: str, *more: str, whole: bool = False, **fields: Schema) -> Schema:
    """Return a list whose items merge by ``key`` in a patch and by all keys in an apply."""
    return Schema(fields, merges=True, merge_key=key, keys=(key, *more), whole=whole)


def _applied(key: str) -> Schema:
    """Return a list whose items merge in an apply only."""
    return Schema(keys=(key,))


def _of(**fields: Schema) -> Schema:
    return Schema(fields)


_META = _of(finalizers=_SET, ownerReferences=_keyed("uid", whole=True))
_CONDITIONS = _keyed("type")
_RESOURCES = _of(claims=_applied("name"))
_SECRET = _of(secretRef=_WHOLE)

_CONTAINERS = _keyed(
    "name",
    env=_keyed(
        "name",
        valueFrom=_of(
            configMapKeyRef=_WHOLE,
            fieldRef=_WHOLE,
            fileKeyRef=_WHOLE,
            resourceFieldRef=_WHOLE,
            secretKeyRef=_WHOLE,
        ),
    ),
    ports=_keyed("containerPort", "protocol"),
    resources=_RESOURCES,
    volumeDevices=_keyed("devicePath"),
    volumeMounts=_keyed("mountPath"),
)
_CLAIM_TEMPLATE = _of(metadata=_META, spec=_of(dataSource=_WHOLE, selector=_WHOLE))
_VOLUMES = _keyed(
    "name",
    cephfs=_SECRET,
    cinder=_SECRET,
    csi=_of(nodePublishSecretRef=_WHOLE),
    ephemeral=_of(volumeClaimTemplate=_CLAIM_TEMPLATE),
    flexVolume=_SECRET,
    iscsi=_SECRET,
    rbd=_SECRET,
    scaleIO=_SECRET,
    storageos=_SECRET,
)
_POD_SPEC = _of(
    affinity=_of(nodeAffinity=_of(requiredDuringSchedulingIgnoredDuringExecution=_WHOLE)),
    containers=_CONTAINERS,
    ephemeralContainers=_CONTAINERS,
    hostAliases=_keyed("ip"),
    imagePullSecrets=_keyed("name", whole=True),
    initContainers=_CONTAINERS,
    nodeSelector=_WHOLE,
    resourceClaims=_keyed("name"),
    resources=_RESOURCES,
    schedulingGates=_keyed("name"),
    topologySpreadConstraints=_keyed("topologyKey", "whenUnsatisfiable", labelSelector=_WHOLE),
    volumes=_VOLUMES,
)
_POD_STATUS = _of(
    conditions=_CONDITIONS,
    hostIPs=Schema(merges=True, merge_key="ip"),
    podIPs=_keyed("ip"),
    resourceClaimStatuses=_keyed("name"),
    resources=_RESOURCES,
)


def _kind(
    zero: Mapping[str, Any] | None = None,
    resets: Mapping[str, tuple[str, ...]] | None = None,
    **fields: Schema,
) -> Schema:
    zero = {"metadata": {}, **(zero or {})}
    return Schema({"metadata": _META, **fields}, zero=zero, resets=resets or {})


_EMPTY: Mapping[str, Any] = {"spec": {}, "status": {}}
_SPLIT = {"": ("status",), "status": ("spec",)}
_ROLE = _kind({"rules": None})
_BINDING = _kind(
    {"roleRef": {"apiGroup": "", "kind": "", "name": ""}},
    roleRef=_WHOLE,
)
_EVENT_ZERO: Mapping[str, Any] = {
    "deprecatedFirstTimestamp": None,
    "deprecatedLastTimestamp": None,
    "deprecatedSource": {},
    "eventTime": None,
    "firstTimestamp": None,
    "involvedObject": {},
    "lastTimestamp": None,
    "regarding": {},
    "reportingComponent": "",
    "reportingInstance": "",
    "source": {},
}
_REVIEW = _kind(_EMPTY)
_NODE_STATUS: Mapping[str, Any] = {
    "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
    "nodeInfo": {
        "architecture": "",
        "bootID": "",
        "containerRuntimeVersion": "",
        "kernelVersion": "",
        "kubeProxyVersion": "",
        "kubeletVersion": "",
        "machineID": "",
        "operatingSystem": "",
        "osImage": "",
        "systemUUID": "",
    },
}

_KINDS: Mapping[str, Schema] = {
    "Binding": _kind(target=_WHOLE),
    "CertificateSigningRequest": _kind(
        {"spec": {"request": None, "signerName": ""}, "status": {}},
        {
            "": ("spec", "status"),
            "approval": ("spec", "status.certificate"),
            "status": ("spec", "status.conditions"),
        },
        status=_of(conditions=_applied("type")),
    ),
    "ClusterRole": _ROLE,
    "ClusterRoleBinding": _BINDING,
    "ConfigMap": _kind(),
    "EndpointSlice": _kind({"addressType": "", "endpoints": None, "ports": None}),
    "Endpoints": _kind(),
    # Of core and of events.k8s.io: their fields do not overlap where the rules differ.
    "Event": _kind(_EVENT_ZERO, involvedObject=_WHOLE, regarding=_WHOLE, related=_WHOLE),
    "Lease": _kind({"spec": {}}),
    "Namespace": _kind(
        _EMPTY,
        {**_SPLIT, "finalize": ("status",)},
        status=_of(conditions=_CONDITIONS),
    ),
    "Node": _kind(
        {"spec": {}, "status": _NODE_STATUS},
        _SPLIT,
        spec=_of(podCIDRs=_SET),
        status=_of(addresses=_keyed("type"), conditions=_CONDITIONS),
    ),
    "Pod": _kind(
        {"spec": {"containers": None}, "status": {}},
        {
            "": ("status",),
            "ephemeralcontainers": ("status",),
            "resize": ("status",),
            "status": ("spec", "metadata.deletionTimestamp", "metadata.ownerReferences"),
        },
        spec=_POD_SPEC,
        status=_POD_STATUS,
    ),
    "Role": _ROLE,
    "RoleBinding": _BINDING,
    "Secret": _kind(),
    "SelfSubjectAccessReview": _REVIEW,
    "SelfSubjectReview": _REVIEW,
    "Service": _kind(
        {"spec": {}, "status": {"loadBalancer": {}}},
        _SPLIT,
        spec=_of(ports=_keyed("port", "protocol"), selector=_WHOLE),
        status=_of(conditions=_CONDITIONS),
    ),
    "ServiceAccount": _kind(secrets=_keyed("name", whole=True)),
    "SubjectAccessReview": _REVIEW,
    "TokenReview": _REVIEW,
}
_UNKNOWN = _kind()


def schema_of(kind: str) -> Schema:
    """Return the rules of a kind such as "Pod"; of an unknown one, those of its metadata."""
    return _KINDS.get(kind, _UNKNOWN)
