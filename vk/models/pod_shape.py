"""The shape of a pod's object, as far as the core reads it: which field has a wrong type.

In: the raw pod, after a rule failed on it. Out: the path of the first malformed field and what is
expected there, never the value, which may be a secret. Pure. Not called for pods that can be read,
so that a pod's way to the provider costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from vk.notation.quantity import parse_quantity

__all__ = ["malformed_field"]


@attrs.frozen
class _Leaf:
    """A single value: what is expected, and whether a value is that."""

    expected: str
    accepts: Callable[[Any], bool]
    required: bool = False


@attrs.frozen
class _MapOf:
    """An object with any keys."""

    shape: _Shape


_Shape = _Leaf | _MapOf | Mapping[str, Any] | list[Any]
"""A mapping names the fields of an object, a list has the shape of its items."""


def malformed_field(raw: Mapping[str, Any]) -> str | None:
    """Return ``path: expected ...`` for the first malformed field; None if there is none."""
    return next(_faults(raw, _POD, ""), None)


def _faults(value: Any, shape: Any, path: str) -> Iterator[str]:
    match shape:
        case _Leaf():
            missing = value is None
            if (missing and shape.required) or (not missing and not shape.accepts(value)):
                yield f"{path}: expected {shape.expected}"
        case list():
            if isinstance(value, Sequence) and not isinstance(value, str | bytes):
                for index, item in enumerate(value):
                    yield from _item_faults(item, shape[0], f"{path}[{index}]")
            elif value is not None:
                yield f"{path}: expected a list"
        case _ if value is not None and not isinstance(value, Mapping):
            yield f"{path or 'the pod'}: expected an object"
        case _MapOf():
            for key, item in (value or {}).items():
                yield from _item_faults(item, shape.shape, f"{path}[{key}]")
        case _ if value is not None:
            for name, inner in shape.items():
                yield from _faults(value.get(name), inner, f"{path}.{name}" if path else name)


def _item_faults(item: Any, shape: Any, path: str) -> Iterator[str]:
    """Yield the faults of an item of a list or map, where null is one too."""
    if item is None:
        yield f"{path}: expected {shape.expected if isinstance(shape, _Leaf) else 'an object'}"
    else:
        yield from _faults(item, shape, path)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_quantity(value: Any) -> bool:
    if not isinstance(value, str) and not _is_integer(value) and not isinstance(value, float):
        return False
    try:
        parse_quantity(str(value))
    except ValueError:
        return False
    return True


_TEXT = _Leaf("a string", lambda value: isinstance(value, str))
_NAME = _Leaf(
    "a non-empty string", lambda value: isinstance(value, str) and bool(value), required=True
)
_FLAG = _Leaf("true or false", lambda value: isinstance(value, bool))
_INTEGER = _Leaf("an integer", _is_integer)
_QUANTITY = _Leaf("a quantity such as 500m or 1.5Gi", _is_quantity)
_TEXTS = [_TEXT]
_TEXT_MAP = _MapOf(_TEXT)
_RESOURCES = {"limits": _MapOf(_QUANTITY), "requests": _MapOf(_QUANTITY)}
_NAMED_OBJECT = {"name": _TEXT, "optional": _FLAG}
_KEY_OF_OBJECT = {**_NAMED_OBJECT, "key": _TEXT}
_FIELD = {"apiVersion": _TEXT, "fieldPath": _TEXT}
_RESOURCE = {"containerName": _TEXT, "divisor": _QUANTITY, "resource": _TEXT}
_ITEMS = [{"key": _TEXT, "mode": _INTEGER, "path": _TEXT}]
_DOWNWARD = [{"fieldRef": _FIELD, "mode": _INTEGER, "path": _TEXT, "resourceFieldRef": _RESOURCE}]
_CONTAINER = {
    "args": _TEXTS,
    "command": _TEXTS,
    "env": [
        {
            "name": _NAME,
            "value": _TEXT,
            "valueFrom": {
                "configMapKeyRef": _KEY_OF_OBJECT,
                "fieldRef": _FIELD,
                "resourceFieldRef": _RESOURCE,
                "secretKeyRef": _KEY_OF_OBJECT,
            },
        }
    ],
    "envFrom": [{"configMapRef": _NAMED_OBJECT, "prefix": _TEXT, "secretRef": _NAMED_OBJECT}],
    "image": _TEXT,
    "name": _NAME,
    "ports": [{"containerPort": _INTEGER, "name": _TEXT, "protocol": _TEXT}],
    "resources": _RESOURCES,
    "restartPolicy": _TEXT,
    "securityContext": {"runAsUser": _INTEGER},
    "volumeDevices": [{"name": _TEXT}],
    "volumeMounts": [{"mountPath": _TEXT, "name": _TEXT, "readOnly": _FLAG}],
}
_EXPRESSIONS = [{"key": _TEXT, "operator": _TEXT, "values": _TEXTS}]
_TERMS = [{"matchExpressions": _EXPRESSIONS, "matchFields": _EXPRESSIONS}]
_CONFIG_MAP = {**_NAMED_OBJECT, "defaultMode": _INTEGER, "items": _ITEMS}
_SECRET = {**_CONFIG_MAP, "secretName": _TEXT}
_POD: Mapping[str, Any] = {
    "metadata": {
        "annotations": _TEXT_MAP,
        "deletionTimestamp": _TEXT,
        "finalizers": _TEXTS,
        "generation": _INTEGER,
        "labels": _TEXT_MAP,
        "name": _NAME,
        "namespace": _NAME,
        "ownerReferences": [{"controller": _FLAG, "kind": _TEXT, "name": _TEXT, "uid": _TEXT}],
        "uid": _NAME,
    },
    "spec": {
        "activeDeadlineSeconds": _INTEGER,
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": _TERMS}
            }
        },
        "containers": [_CONTAINER],
        "dnsConfig": {
            "nameservers": _TEXTS,
            "options": [{"name": _NAME, "value": _TEXT}],
            "searches": _TEXTS,
        },
        "dnsPolicy": _TEXT,
        "enableServiceLinks": _FLAG,
        "ephemeralContainers": [_CONTAINER],
        "hostAliases": [{"hostnames": _TEXTS, "ip": _TEXT}],
        "hostNetwork": _FLAG,
        "imagePullSecrets": [{"name": _TEXT}],
        "initContainers": [_CONTAINER],
        "nodeName": _TEXT,
        "nodeSelector": _TEXT_MAP,
        "os": {"name": _TEXT},
        "overhead": _MapOf(_QUANTITY),
        "readinessGates": [{"conditionType": _NAME}],
        "resources": _RESOURCES,
        "restartPolicy": _TEXT,
        "securityContext": {"fsGroup": _INTEGER, "runAsUser": _INTEGER},
        "serviceAccountName": _TEXT,
        "terminationGracePeriodSeconds": _INTEGER,
        "tolerations": [{"effect": _TEXT, "key": _TEXT, "operator": _TEXT, "value": _TEXT}],
        "volumes": [
            {
                "configMap": _CONFIG_MAP,
                "csi": {"driver": _NAME},
                "downwardAPI": {"defaultMode": _INTEGER, "items": _DOWNWARD},
                "emptyDir": {"medium": _TEXT, "sizeLimit": _QUANTITY},
                "hostPath": {"path": _NAME, "type": _TEXT},
                "name": _NAME,
                "nfs": {"path": _NAME, "server": _NAME},
                "persistentVolumeClaim": {"claimName": _TEXT, "readOnly": _FLAG},
                "projected": {
                    "defaultMode": _INTEGER,
                    "sources": [
                        {
                            "configMap": _CONFIG_MAP,
                            "downwardAPI": {"items": _DOWNWARD},
                            "secret": _SECRET,
                            "serviceAccountToken": {
                                "audience": _TEXT,
                                "expirationSeconds": _INTEGER,
                                "path": _TEXT,
                            },
                        }
                    ],
                },
                "secret": _SECRET,
            }
        ],
    },
}
