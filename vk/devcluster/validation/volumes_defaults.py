"""What the API server writes into a volume that its author left out. Pure.

In: one decoded volume of a pod, changed in place. Called by the pod's defaults. A volume that names
no source is an emptyDir.
"""

from __future__ import annotations

from typing import Any

from vk.devcluster.validation.images import pull_policy

__all__ = ["set_source_defaults", "set_volume_defaults"]

_MODE = 0o644
_WITH_MODE = ("secret", "configMap", "downwardAPI", "projected")
_SOURCE_DEFAULTS: dict[str, dict[str, Any]] = {
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {
        "cachingMode": "ReadWrite",
        "kind": "Shared",
        "fsType": "ext4",
        "readOnly": False,
    },
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def set_volume_defaults(volume: dict[str, Any]) -> None:
    """Fill in the source of one volume; repeatable."""
    if len(volume) == 1 and "name" in volume:
        volume["emptyDir"] = {}
    for name in _WITH_MODE:
        if name in volume:
            volume[name].setdefault("defaultMode", _MODE)
    set_source_defaults(volume)
    _set_field_versions(volume.get("downwardAPI") or {})
    for source in (volume.get("projected") or {}).get("sources") or ():
        _set_field_versions(source.get("downwardAPI") or {})
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
    if "image" in volume:
        volume["image"].setdefault("pullPolicy", pull_policy(volume["image"].get("reference", "")))
    claim = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if claim is not None:
        claim["spec"].setdefault("volumeMode", "Filesystem")


def set_source_defaults(owner: dict[str, Any]) -> None:
    """Fill in the source of a disk, which volumes of pods and PersistentVolumes have alike."""
    for name, defaults in _SOURCE_DEFAULTS.items():
        if name in owner:
            for field, value in defaults.items():
                owner[name].setdefault(field, value)


def _set_field_versions(source: dict[str, Any]) -> None:
    for item in source.get("items") or ():
        if "fieldRef" in item:
            item["fieldRef"].setdefault("apiVersion", "v1")
