"""Service accounts: the default one of each namespace, and what a new pod gets of its own.

`Accounts.admit` is the admission of new pods: it mounts the token of the pod's service account and
copies the account's pull secrets. As an observer of the storage it gives each namespace its account
``default`` and the ConfigMap ``kube-root-ca.crt``, and gives them again when they are deleted.

Note: a real cluster does the latter a moment later, in its controllers; here both are there
as soon as the namespace is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from vk.devcluster import refusals
from vk.devcluster.kinds import Kind, stored_kind
from vk.devcluster.names import generated
from vk.devcluster.storage.storage import Change, Storage

__all__ = ["Accounts"]

_PREFIX = "kube-api-access-"
_PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_SECONDS = 3607
_ROOT = "kube-root-ca.crt"
_MIRROR = "kubernetes.io/config.mirror"

Object = dict[str, Any]


@attrs.define(eq=False)
class Accounts:
    """Gives namespaces and pods their service accounts."""

    storage: Storage
    authority: str
    """The PEM certificate that signs the server's, for kube-root-ca.crt."""
    make: Callable[[Kind, Object], object]
    """Creates an object with the server's own rights."""

    def __attrs_post_init__(self) -> None:
        self.storage.observers.append(self._observe)

    def admit(self, kind: Kind, obj: Object) -> Object:
        """Return a new object as it is admitted. Raises the refusal forbidden."""
        if kind.name != "Pod":
            return obj
        if _MIRROR in (obj["metadata"].get("annotations") or {}):
            return obj
        namespace = obj["metadata"]["namespace"]
        name = obj["spec"].get("serviceAccountName") or "default"
        account = self.storage.get(stored_kind("serviceaccounts"), namespace, name)
        if account is None:
            why = f"error looking up service account {namespace}/{name}: "
            why += f'serviceaccount "{name}" not found'
            metadata = obj["metadata"]
            named = metadata.get("name") or metadata.get("generateName") or "Unknown"
            raise refusals.forbidden(kind, named, why)
        spec = {**obj["spec"], "serviceAccountName": name, "serviceAccount": name}
        if _automounts(account, spec):
            spec = _with_token(spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = account["imagePullSecrets"]
        return {**obj, "spec": spec}

    def _observe(self, kind: Kind, change: Change) -> None:
        entry = change.entry
        if kind.name == "Namespace" and change.type == "ADDED":
            self._make_account(entry.name)
            self._make_root(entry.name)
        if change.type != "DELETED" or not self._is_active(entry.namespace):
            return
        if kind.name == "ServiceAccount" and entry.name == "default":
            self._make_account(entry.namespace)
        if kind.name == "ConfigMap" and entry.name == _ROOT:
            self._make_root(entry.namespace)

    def _make_account(self, namespace: str) -> None:
        kind = stored_kind("serviceaccounts")
        if self.storage.entry(kind, namespace, "default") is None:
            self.make(kind, {"metadata": {"name": "default", "namespace": namespace}})

    def _make_root(self, namespace: str) -> None:
        kind = stored_kind("configmaps")
        text = "Contains a CA bundle that can be used to verify the kube-apiserver when using "
        text += "internal endpoints such as the internal service IP or kubernetes.default.svc. "
        text += "No other usage is guaranteed across distributions of Kubernetes clusters."
        metadata = {
            "name": _ROOT,
            "namespace": namespace,
            "annotations": {"kubernetes.io/description": text},
        }
        if self.storage.entry(kind, namespace, _ROOT) is None:
            self.make(kind, {"metadata": metadata, "data": {"ca.crt": self.authority}})

    def _is_active(self, namespace: str) -> bool:
        entry = self.storage.entry(stored_kind("namespaces"), "", namespace) if namespace else None
        return entry is not None and entry.fields.get("status.phase") == "Active"


def _automounts(account: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """Return whether a token is mounted: as the pod, else its account, sets it; by default yes."""
    for mounts in (
        spec.get("automountServiceAccountToken"),
        account.get("automountServiceAccountToken"),
    ):
        if mounts is not None:
            return bool(mounts)
    return True


def _with_token(spec: Object) -> Object:
    volumes = list(spec.get("volumes") or ())
    there = [volume["name"] for volume in volumes if volume["name"].startswith(_PREFIX)]
    name = there[0] if there else generated(_PREFIX)
    changed, mounted = dict(spec), False
    for field in ("initContainers", "containers"):
        if spec.get(field):
            changed[field] = [_with_mount(container, name) for container in spec[field]]
            mounted = mounted or changed[field] != spec[field]
    if mounted and not there:
        changed["volumes"] = [*volumes, _volume(name)]
    return changed


def _with_mount(container: Object, name: str) -> Object:
    mounts = container.get("volumeMounts") or []
    if any(mount.get("mountPath") == _PLACE for mount in mounts):
        return container
    mount = {"name": name, "readOnly": True, "mountPath": _PLACE}
    return {**container, "volumeMounts": [*mounts, mount]}


def _volume(name: str) -> Object:
    root = {"name": _ROOT, "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
        {"configMap": root},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 420}}
