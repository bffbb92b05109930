"""The rules of PersistentVolumes and their claims. Pure.

In: decoded objects. Out: `PERSISTENT_VOLUMES` and `CLAIMS`, the strategies. Called through the
table of strategies. Nothing here binds a claim to a volume: clients that write both do.
"""

from __future__ import annotations

from typing import Any

from vk.devcluster.validation.causes import Cause, forbidden, required, unsupported
from vk.devcluster.validation.pod_defaults import set_source_defaults
from vk.devcluster.validation.resources import amount_faults
from vk.devcluster.validation.strategy import Strategy

__all__ = ["CLAIMS", "PERSISTENT_VOLUMES"]

_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_NOT_SOURCES = frozenset(
    {
        *("capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy"),
        *("storageClassName", "mountOptions", "volumeMode", "nodeAffinity"),
        "volumeAttributesClassName",
    }
)
_FIXED = "is immutable after creation"
_FIXED_CLAIM = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for "
    "bound claims"
)
_LATER = frozenset({"volumeName", "resources", "volumeAttributesClassName"})
"""Fields of a claim's spec that may change once, or under conditions."""


def _default_volume(volume: dict[str, Any]) -> None:
    spec = volume["spec"]
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    set_source_defaults(spec)
    volume["status"].setdefault("phase", "Pending")


def _default_claim(claim: dict[str, Any]) -> None:
    claim["spec"].setdefault("volumeMode", "Filesystem")
    claim["status"].setdefault("phase", "Pending")


def _prepare_create(obj: dict[str, Any]) -> None:
    obj["status"] = {"phase": "Pending"}


def _prepare_update(old: dict[str, Any], new: dict[str, Any], subresource: str) -> None:
    part = "spec" if subresource == "status" else "status"
    new[part] = old[part]


def _check_volume(volume: dict[str, Any]) -> list[Cause]:
    spec = volume["spec"]
    causes = _mode_faults(spec.get("accessModes") or (), "")
    capacity = spec.get("capacity") or {}
    if not capacity:
        causes.append(required("spec.capacity"))
    elif set(capacity) != {"storage"}:
        causes.append(unsupported("spec.capacity", capacity, ["storage"]))
    for name, amount in capacity.items():
        causes += amount_faults(f"spec.capacity[{name}]", name, amount)
    sources = _sources(spec)
    if not sources:
        causes.append(required("spec", "must specify a volume type"))
    for name in sources[1:]:
        causes.append(forbidden(f"spec.{name}", "may not specify more than 1 volume type"))
    if "local" in sources and not spec.get("nodeAffinity"):
        causes.append(required("spec.nodeAffinity", "Local volume requires node affinity"))
    return causes


def _sources(spec: dict[str, Any]) -> list[str]:
    return [name for name in _ORDER if spec.get(name) is not None]


# In the order in which the real server looks at them.
_ORDER = (
    *("hostPath", "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker", "nfs"),
    *("rbd", "quobyte", "cephfs", "iscsi", "cinder", "fc", "flexVolume", "azureFile"),
    *("vsphereVolume", "photonPersistentDisk", "azureDisk", "portworxVolume", "scaleIO"),
    *("local", "storageos", "csi"),
)


def _check_volume_update(old: dict[str, Any], new: dict[str, Any], subresource: str) -> list[Cause]:
    before, after = (
        {name: value for name, value in one["spec"].items() if name not in _NOT_SOURCES}
        for one in (old, new)
    )
    if before == after:
        return []
    name = "spec.persistentvolumesource"
    return [forbidden(name, f"{name} {_FIXED}")]


def _check_claim(claim: dict[str, Any]) -> list[Cause]:
    spec = claim["spec"]
    missing = "at least 1 access mode is required"
    causes = _mode_faults(spec.get("accessModes") or (), missing)
    requests = (spec.get("resources") or {}).get("requests") or {}
    if "storage" not in requests:
        causes.append(required("spec.resources[storage]"))
    for name, amount in requests.items():
        causes += amount_faults(f"spec.resources.requests[{name}]", name, amount)
    return causes


def _check_claim_update(old: dict[str, Any], new: dict[str, Any], subresource: str) -> list[Cause]:
    before, after = old["spec"], new["spec"]
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    rebound = "volumeName" in changed and before.get("volumeName")
    resized = "resources" in changed and old["status"].get("phase") != "Bound"
    if changed - _LATER or rebound or resized:
        return [forbidden("spec", _FIXED_CLAIM)]
    return []


def _mode_faults(modes: Any, missing: str) -> list[Cause]:
    if not modes:
        return [required("spec.accessModes", missing)]
    return [unsupported("spec.accessModes", mode, _MODES) for mode in modes if mode not in _MODES]


PERSISTENT_VOLUMES = Strategy(
    default=_default_volume,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    check=_check_volume,
    check_update=_check_volume_update,
)
CLAIMS = Strategy(
    default=_default_claim,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    check=_check_claim,
    check_update=_check_claim_update,
)
