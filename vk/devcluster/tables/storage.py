"""The columns of PersistentVolumes and claims. Pure.

In: stored objects. Out: their cells; called by `vk.devcluster.tables.table`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from vk.devcluster.tables.column import AGE, NAME, Column, Columns, since, wide
from vk.models.api_object import status_of

__all__ = ["CLAIMS", "PERSISTENT_VOLUMES"]

_UNSET = "<unset>"
_SHORT = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}


def _volume(volume: dict[str, Any], now: datetime) -> list[Any]:
    metadata, spec, status = volume["metadata"], volume["spec"], status_of(volume)
    claim = spec.get("claimRef")
    phase = "Terminating" if metadata.get("deletionTimestamp") else status.get("phase", "")
    return [
        metadata["name"],
        (spec.get("capacity") or {}).get("storage", ""),
        _modes(spec.get("accessModes") or ()),
        spec.get("persistentVolumeReclaimPolicy", ""),
        phase,
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or _UNSET,
        status.get("reason", ""),
        since(metadata.get("creationTimestamp"), now),
        spec.get("volumeMode") or _UNSET,
    ]


def _claim(claim: dict[str, Any], now: datetime) -> list[Any]:
    metadata, spec, status = claim["metadata"], claim["spec"], status_of(claim)
    bound = spec.get("volumeName", "")
    phase = "Terminating" if metadata.get("deletionTimestamp") else status.get("phase", "")
    return [
        metadata["name"],
        phase,
        bound,
        (status.get("capacity") or {}).get("storage", "") if bound else "",
        _modes(status.get("accessModes") or ()) if bound else "",
        spec.get("storageClassName") or "",
        spec.get("volumeAttributesClassName") or _UNSET,
        since(metadata.get("creationTimestamp"), now),
        spec.get("volumeMode") or _UNSET,
    ]


def _modes(modes: Iterable[str]) -> str:
    return ",".join(short for mode, short in _SHORT.items() if mode in modes)


_CAPACITY = Column("Capacity", "How much it holds.")
_ACCESS = Column("Access Modes", "Who may use it, and how.")
_CLASS = Column("StorageClass", "What kind of disk it is.")
_ATTRIBUTES = Column("VolumeAttributesClass", "What more is asked of the disk.")
_MODE = wide("VolumeMode", "A file system or a block device.")
_STATUS = Column("Status", "Whether it is bound.")
PERSISTENT_VOLUMES = Columns(
    (
        NAME,
        _CAPACITY,
        _ACCESS,
        Column("Reclaim Policy", "What becomes of it once its claim is gone."),
        _STATUS,
        Column("Claim", "The claim that it is bound to."),
        _CLASS,
        _ATTRIBUTES,
        Column("Reason", "Why it is in its phase."),
        AGE,
        _MODE,
    ),
    _volume,
)
CLAIMS = Columns(
    (
        NAME,
        _STATUS,
        Column("Volume", "The PersistentVolume that it is bound to."),
        _CAPACITY,
        _ACCESS,
        _CLASS,
        _ATTRIBUTES,
        AGE,
        _MODE,
    ),
    _claim,
)
