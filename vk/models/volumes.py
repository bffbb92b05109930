"""The volumes of a pod as typed values, each with the source as it was written.

In: the ``volumes`` of a PodSpec, and for a claim the PersistentVolume that it is bound to. Out:
`Volume` values, which providers read as `Pod.volumes`. Pure. The kinds that have no type here keep
``source`` None: a provider that knows them reads ``raw``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from vk.models.api_object import EMPTY, Json, spec_of
from vk.notation.quantity import parse_quantity

__all__ = ["CSI", "NFS", "EmptyDir", "HostPath", "ImageSource", "Volume", "VolumeSource", "volume"]


@attrs.frozen(kw_only=True)
class EmptyDir:
    """A folder that lives as long as the pod; ``size_limit`` in bytes."""

    medium: str = ""
    size_limit: int | None = None


@attrs.frozen(kw_only=True)
class HostPath:
    """A path of the host, also of kind ``local``; ``type`` as in the API, empty: any."""

    path: str
    type: str = ""


@attrs.frozen(kw_only=True)
class NFS:
    """An exported path of a file server."""

    server: str
    path: str
    read_only: bool = False


@attrs.frozen(kw_only=True)
class CSI:
    """A volume of a CSI driver; ``handle`` is empty for an inline (ephemeral) volume."""

    driver: str
    handle: str = ""
    filesystem: str = ""
    read_only: bool = False
    attributes: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class ImageSource:
    """The files of an image."""

    reference: str
    pull_policy: str = ""


VolumeSource = EmptyDir | HostPath | NFS | CSI | ImageSource


@attrs.frozen(kw_only=True)
class Volume:
    """One volume: ``kind`` is the field under which ``raw`` stands in the pod's spec.

    For a claim, ``persistent_volume`` is the object that it is bound to, and ``source`` is that
    object's; both are None until the core has resolved them.
    """

    name: str
    kind: str
    raw: Json = attrs.field(repr=False)
    source: VolumeSource | None = None
    persistent_volume: Json | None = attrs.field(default=None, repr=False)


def volume(raw: Json, persistent_volume: Json | None = None) -> Volume:
    """Return one entry of ``spec.volumes``; an entry without a source is an emptyDir.

    Raises ValueError for a size that is not a quantity.
    """
    kind = next((field for field in raw if field != "name"), "emptyDir")
    source = raw.get(kind) or EMPTY
    spec = {kind: source} if persistent_volume is None else spec_of(persistent_volume)
    return Volume(
        name=raw["name"],
        kind=kind,
        raw=source,
        source=_typed(spec),
        persistent_volume=persistent_volume,
    )


def _typed(spec: Json) -> VolumeSource | None:
    for field, read in _READERS.items():
        if (source := spec.get(field)) is not None:
            return read(source)
    return None


def _empty_dir(raw: Json) -> EmptyDir:
    limit = raw.get("sizeLimit")
    size = None if limit is None else int(parse_quantity(str(limit)))
    return EmptyDir(medium=raw.get("medium") or "", size_limit=size)


def _csi(raw: Json) -> CSI:
    return CSI(
        driver=raw["driver"],
        handle=raw.get("volumeHandle") or "",
        filesystem=raw.get("fsType") or "",
        read_only=bool(raw.get("readOnly")),
        attributes=raw.get("volumeAttributes") or {},
    )


_READERS: Mapping[str, Callable[[Json], VolumeSource]] = {
    "emptyDir": _empty_dir,
    "local": lambda raw: HostPath(path=raw["path"]),
    "hostPath": lambda raw: HostPath(path=raw["path"], type=raw.get("type") or ""),
    "nfs": lambda raw: NFS(
        server=raw["server"], path=raw["path"], read_only=bool(raw.get("readOnly"))
    ),
    "csi": _csi,
    "image": lambda raw: ImageSource(
        reference=raw.get("reference") or "", pull_policy=raw.get("pullPolicy") or ""
    ),
}
