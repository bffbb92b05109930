"""One volume of a pod, as CreateContainerGroup takes it. Pure.

ConfigMaps, Secrets, tokens and the downward API are files that the core resolved; the copy in the
group is not updated. Claims come with their PersistentVolume; those of the vendor's CSI drivers
become the flexVolume of the same kind.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

import vk
from vk_providers.alibabacloud.create_parameters.field_errors import FieldErrors

__all__ = ["FILE_VOLUMES", "volume_parameters"]

FILE_VOLUMES = frozenset({"configMap", "secret", "projected", "downwardAPI"})
_LARGEST_FILE = 32 * 1024
_LARGEST_VOLUME = 60 * 1024
_MOST_FILES = 90
_BINARY = re.compile(r"[0-9]+(\.[0-9]+)?[KMGT]i", re.ASCII)
_FLEX_DRIVERS = ("alicloud/disk", "alicloud/nas", "alicloud/oss")
_MEDIA = ("", "Memory", "LocalRaid0")
_SECRET_REF = "secretRef"


def volume_parameters(pod: vk.Pod, name: str, path: str, problems: FieldErrors) -> dict[str, Any]:
    """Return the parameters of the volume ``name`` at the field ``path``."""
    volume = pod.volumes[name]
    where = f"{path}.{volume.kind}"
    return {"Name": name, **_source(pod, volume, where, problems)}


def _source(pod: vk.Pod, volume: vk.Volume, path: str, problems: FieldErrors) -> dict[str, Any]:
    if volume.kind in FILE_VOLUMES:
        return _files(pod.files.get(volume.name), path, problems)
    if volume.kind in ("persistentVolumeClaim", "ephemeral"):
        return _claim(volume, path, problems)
    if volume.kind == "flexVolume":
        return _flex(volume.raw, path, problems)
    match volume.source:
        case vk.EmptyDir():
            return _empty_dir(volume, path, problems)
        case vk.NFS() as nfs:
            return _nfs(nfs)
        case vk.CSI() as csi:
            return _csi(csi, path, problems)
    problems.add(path, "ECI does not support volumes of this kind")
    return {}


def _empty_dir(volume: vk.Volume, path: str, problems: FieldErrors) -> dict[str, Any]:
    medium = volume.raw.get("medium") or ""
    if medium not in _MEDIA:
        problems.add(f"{path}.medium", "expected none, Memory or LocalRaid0")
    limit = volume.raw.get("sizeLimit")
    options = {"Medium": medium or None, "SizeLimit": None if limit is None else _limit(str(limit))}
    return {"Type": "EmptyDirVolume", "EmptyDirVolume": options}


def _limit(quantity: str) -> str:
    """Return a size with a binary unit, which the service needs: what has none in whole Ki."""
    if _BINARY.fullmatch(quantity):
        return quantity
    return f"{math.ceil(vk.parse_quantity(quantity) / 1024)}Ki"


def _nfs(nfs: vk.NFS) -> dict[str, Any]:
    options = {"Server": nfs.server, "Path": nfs.path, "ReadOnly": nfs.read_only}
    return {"Type": "NFSVolume", "NFSVolume": options}


def _files(files: vk.FileTree | None, path: str, problems: FieldErrors) -> dict[str, Any]:
    if files is None:
        problems.add(path, "its files are not resolved")
        return {}
    if not files:  # such as an empty ConfigMap
        return {"Type": "EmptyDirVolume"}
    problems.at_most(path, len(files), _MOST_FILES, "files")
    total = sum(len(file.content) for file in files.values())
    problems.at_most(path, total, _LARGEST_VOLUME, "bytes in all files")
    entries = []
    for name, file in sorted(files.items()):
        size = len(file.content)
        problems.at_most(f"{path}: file {name!r}", size, _LARGEST_FILE, "bytes")
        content = base64.b64encode(file.content).decode()
        entries.append({"Path": name, "Content": content, "Mode": f"{file.mode & 0o7777:04o}"})
    return {"Type": "ConfigFileVolume", "ConfigFileVolume": {"ConfigFileToPath": entries}}


def _flex(raw: Mapping[str, Any], path: str, problems: FieldErrors) -> dict[str, Any]:
    driver = raw.get("driver") or ""
    if driver not in _FLEX_DRIVERS:
        problems.add(f"{path}.driver", f"expected one of {', '.join(_FLEX_DRIVERS)}")
    if raw.get(_SECRET_REF):
        problems.add(f"{path}.{_SECRET_REF}", "ECI reads no Secrets; use a RAM role in the options")
    options = dict(raw.get("options") or {})
    if raw.get("readOnly"):
        options.setdefault("readOnly", "true")
    return _flex_volume(driver, options, raw.get("fsType") or "")


def _flex_volume(
    driver: str, options: Mapping[str, object], filesystem: str = ""
) -> dict[str, Any]:
    text = orjson.dumps(dict(options), option=orjson.OPT_SORT_KEYS).decode()
    flex = {"Driver": driver, "FsType": filesystem or None, "Options": text}
    return {"Type": "FlexVolume", "FlexVolume": flex}


def _claim(volume: vk.Volume, path: str, problems: FieldErrors) -> dict[str, Any]:
    persistent = volume.persistent_volume
    if persistent is None:
        problems.add(path, "the claim is not bound to a volume")
        return {}
    name = (persistent.get("metadata") or {}).get("name") or ""
    where = f"{path} (PersistentVolume {name})"
    spec = persistent.get("spec") or {}
    if spec.get("flexVolume"):
        return _flex(spec["flexVolume"], f"{where}.flexVolume", problems)
    match volume.source:
        case vk.NFS() as nfs:
            return _nfs(nfs)
        case vk.CSI() as csi:
            return _csi(csi, f"{where}.csi", problems)
    problems.add(where, "expected a volume of an Alibaba Cloud CSI driver, NFS or flexVolume")
    return {}


def _csi(csi: vk.CSI, path: str, problems: FieldErrors) -> dict[str, Any]:
    read = _CSI.get(csi.driver)
    if read is None:
        problems.add(f"{path}.driver", f"expected one of {', '.join(sorted(_CSI))}")
        return {}
    return read(csi, path, problems)


def _disk(csi: vk.CSI, path: str, problems: FieldErrors) -> dict[str, Any]:
    if not csi.handle:
        problems.add(f"{path}.volumeHandle", "expected a disk id")
    return _flex_volume("alicloud/disk", {"volumeId": csi.handle}, csi.filesystem)


def _nas(csi: vk.CSI, path: str, problems: FieldErrors) -> dict[str, Any]:
    attributes = csi.attributes
    if not attributes.get("server"):
        problems.add(f"{path}.volumeAttributes.server", "expected the mount target of a NAS")
    options = {
        "server": attributes.get("server", ""),
        "path": attributes.get("path") or "/",
        "vers": attributes.get("vers") or "3",
    }
    if attributes.get("options"):
        options["options"] = attributes["options"]
    return _flex_volume("alicloud/nas", options)


def _oss(csi: vk.CSI, path: str, problems: FieldErrors) -> dict[str, Any]:
    attributes = csi.attributes
    for name in ("bucket", "url"):
        if not attributes.get(name):
            problems.add(f"{path}.volumeAttributes.{name}", "expected a value")
    known = ("bucket", "url", "path", "otherOpts", "ramRole")
    options = {name: attributes[name] for name in known if attributes.get(name)}
    return _flex_volume("alicloud/oss", options)


_CSI: Mapping[str, Callable[[vk.CSI, str, FieldErrors], dict[str, Any]]] = {
    "diskplugin.csi.alibabacloud.com": _disk,
    "nasplugin.csi.alibabacloud.com": _nas,
    "ossplugin.csi.alibabacloud.com": _oss,
}
