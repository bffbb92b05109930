"""What a fieldSelector may name, kind by kind, and the values of one object. Pure.

In: a kind and its object. Out: names and texts, as the real server has them; a name that is not in
`field_labels` is refused with 400 ``field label not supported: NAME``. Called by the storage, which
selects, and by the server, which refuses.
"""

from __future__ import annotations

from typing import Any

from vk.devcluster.kinds import Kind

__all__ = ["field_labels", "selectable_fields"]

_ABOUT = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_PATHS: dict[tuple[str, str], dict[str, tuple[str, ...]]] = {
    ("", "Pod"): {
        "spec.nodeName": ("spec", "nodeName"),
        "spec.restartPolicy": ("spec", "restartPolicy"),
        "spec.schedulerName": ("spec", "schedulerName"),
        "spec.serviceAccountName": ("spec", "serviceAccountName"),
        "spec.hostNetwork": ("spec", "hostNetwork"),
        "status.phase": ("status", "phase"),
        "status.podIP": ("status", "podIP"),
        "status.podIPs": (),  # may be named, and is empty in the real server too
        "status.nominatedNodeName": ("status", "nominatedNodeName"),
    },
    ("", "Node"): {"spec.unschedulable": ("spec", "unschedulable")},
    ("", "Namespace"): {"status.phase": ("status", "phase")},
    ("", "Secret"): {"type": ("type",)},
    ("", "Service"): {
        "spec.clusterIP": ("spec", "clusterIP"),
        "spec.type": ("spec", "type"),
    },
    ("", "Event"): {
        **{f"involvedObject.{name}": ("involvedObject", name) for name in _ABOUT},
        "reason": ("reason",),
        "reportingComponent": ("reportingComponent",),
        "source": ("source", "component"),
        "type": ("type",),
    },
    ("events.k8s.io", "Event"): {
        **{f"regarding.{name}": ("regarding", name) for name in _ABOUT},
        "reason": ("reason",),
        "reportingController": ("reportingController",),
        "type": ("type",),
    },
    ("certificates.k8s.io", "CertificateSigningRequest"): {
        "spec.signerName": ("spec", "signerName")
    },
}
_NO_NAMESPACE = frozenset({("", "Node"), ("", "Namespace")}) | {
    ("certificates.k8s.io", "CertificateSigningRequest")
}
_BOOLEANS = frozenset({"spec.hostNetwork", "spec.unschedulable"})


def field_labels(kind: Kind) -> frozenset[str]:
    """Return the names that a fieldSelector may use for the kind."""
    key = (kind.group, kind.name)
    metadata = (
        {"metadata.name"} if key in _NO_NAMESPACE else {"metadata.name", "metadata.namespace"}
    )
    return frozenset(metadata | set(_PATHS.get(key, ())))


def selectable_fields(kind: Kind, obj: dict[str, Any]) -> dict[str, str]:
    """Return those names with the object's values; what it does not have is an empty text."""
    metadata = obj["metadata"]
    fields = {"metadata.name": metadata.get("name", "")}
    if (kind.group, kind.name) not in _NO_NAMESPACE:
        fields["metadata.namespace"] = metadata.get("namespace", "")
    for label, path in _PATHS.get((kind.group, kind.name), {}).items():
        value = _value(obj, path) if path else None
        fields[label] = str(bool(value)).lower() if label in _BOOLEANS else str(value or "")
    if "source" in fields:
        fields["source"] = fields["source"] or fields["reportingComponent"]
    return fields


def _value(obj: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        obj = (obj or {}).get(name)
    return obj
