"""Checks of the volumes of a pod. Pure.

In: a defaulted pod spec. Out: causes. Called by the pod's checks. Volumes of storage systems
that no node of this project mounts are checked for having one source only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vk.devcluster.validation.causes import (
    Cause,
    forbidden,
    invalid,
    invalid_each,
    required,
    unsupported,
)
from vk.devcluster.validation.containers import (
    FIELDS_FOR_FILES,
    field_faults,
    name_faults,
    relative_path_faults,
    resource_faults,
)
from vk.devcluster.validation.names import subdomain_faults
from vk.notation.quantity import parse_quantity

__all__ = ["volumes_faults"]

_LARGEST_MODE = 0o777
_MODE_TEXT = "must be a number between 0 and 0777 (octal), both inclusive"
_SHORTEST_TOKEN, _LONGEST_TOKEN = 600, 2**32
_HOST_PATH_TYPES = (
    *("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File"),
    *("FileOrCreate", "Socket"),
)
_SOURCE_ORDER = (
    *("emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret"),
    *("nfs", "iscsi", "glusterfs", "flocker", "persistentVolumeClaim", "rbd", "cinder", "cephfs"),
    *("quobyte", "downwardAPI", "fc", "flexVolume", "configMap", "azureFile", "vsphereVolume"),
    *("photonPersistentDisk", "portworxVolume", "azureDisk", "storageos", "projected", "scaleIO"),
    *("csi", "ephemeral", "image"),
)


def volumes_faults(spec: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with the volumes of a pod."""
    causes: list[Cause] = []
    names: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or ()):
        field, name = f"spec.volumes[{index}]", volume["name"]
        sources = [source for source in _SOURCE_ORDER if source in volume]
        if sources:
            causes += _source_faults(f"{field}.{sources[0]}", sources[0], volume[sources[0]])
        for source in sources[1:]:
            detail = "may not specify more than 1 volume type"
            causes.append(forbidden(f"{field}.{source}", detail))
        causes += name_faults(field, name, names)
    return causes


def _source_faults(field: str, name: str, source: dict[str, Any]) -> list[Cause]:
    checks = _CHECKS.get(name)
    return checks(field, source) if checks else []


def _required_text(field: str, source: dict[str, Any], name: str) -> list[Cause]:
    return [] if source.get(name) else [required(f"{field}.{name}")]


def _empty_dir(field: str, source: dict[str, Any]) -> list[Cause]:
    if parse_quantity(source.get("sizeLimit", "0")) >= 0:
        return []
    return [forbidden(f"{field}.sizeLimit", "SizeLimit field must be a valid resource quantity")]


def _host_path(field: str, source: dict[str, Any]) -> list[Cause]:
    path, kind = source["path"], source["type"]
    if not path:
        return [required(f"{field}.path")]
    causes: list[Cause] = []
    if ".." in path.split("/"):
        causes.append(invalid(f"{field}.path", path, "must not contain '..'"))
    if kind not in _HOST_PATH_TYPES:
        causes.append(unsupported(f"{field}.type", kind, _HOST_PATH_TYPES))
    return causes


def _nfs(field: str, source: dict[str, Any]) -> list[Cause]:
    causes = _required_text(field, source, "server") + _required_text(field, source, "path")
    if not source["path"].startswith("/"):
        causes.append(invalid(f"{field}.path", source["path"], "must be an absolute path"))
    return causes


def _files(name: str) -> Callable[[str, dict[str, Any]], list[Cause]]:
    def check(field: str, source: dict[str, Any]) -> list[Cause]:
        causes = _required_text(field, source, name)
        causes += _mode_faults(f"{field}.defaultMode", source.get("defaultMode"))
        return causes + _item_faults(field, source)

    return check


def _item_faults(field: str, source: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    for index, item in enumerate(source.get("items") or ()):
        at = f"{field}.items[{index}]"
        causes += _required_text(at, item, "key") + _required_text(at, item, "path")
        causes += relative_path_faults(f"{at}.path", item["path"])
        causes += _mode_faults(f"{at}.mode", item.get("mode"))
    return causes


def _mode_faults(field: str, mode: int | None) -> list[Cause]:
    if mode is None or 0 <= mode <= _LARGEST_MODE:
        return []
    return [invalid(field, mode, _MODE_TEXT)]


def _downward(field: str, source: dict[str, Any]) -> list[Cause]:
    causes = _mode_faults(f"{field}.defaultMode", source.get("defaultMode"))
    for item in source.get("items") or ():
        causes += _downward_item(field, item)
    return causes


def _downward_item(field: str, item: dict[str, Any]) -> list[Cause]:
    causes = _required_text(field, item, "path")
    causes += relative_path_faults(f"{field}.path", item["path"])
    if "fieldRef" in item and "resourceFieldRef" in item:
        detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
        causes.append(invalid(field, "resource", detail))
    elif "fieldRef" in item:
        causes += field_faults(f"{field}.fieldRef", item["fieldRef"], FIELDS_FOR_FILES)
    elif "resourceFieldRef" in item:
        reference = item["resourceFieldRef"]
        causes += resource_faults(f"{field}.resourceFieldRef", reference, in_volume=True)
    else:
        causes.append(required(field, "one of fieldRef and resourceFieldRef is required"))
    return causes + _mode_faults(f"{field}.mode", item.get("mode"))


def _projected(field: str, projected: dict[str, Any]) -> list[Cause]:
    causes = _mode_faults(f"{field}.defaultMode", projected.get("defaultMode"))
    paths: set[str] = set()
    for index, source in enumerate(projected.get("sources") or ()):
        at = f"{field}.sources[{index}]"
        for name in ("secret", "configMap"):
            if name in source:
                causes += _required_text(f"{at}.{name}", source[name], "name")
                causes += _item_faults(f"{at}.{name}", source[name])
        for item in (source.get("downwardAPI") or {}).get("items") or ():
            causes += _downward_item(f"{at}.downwardAPI", item)
        if "serviceAccountToken" in source:
            causes += _token_faults(field, at, source["serviceAccountToken"])
        for path in _projected_paths(source):
            if path in paths:
                causes.append(invalid(field, _owner_of(source), "conflicting duplicate paths"))
            paths.add(path)
    return causes


def _token_faults(field: str, at: str, token: dict[str, Any]) -> list[Cause]:
    where, seconds = f"{at}.serviceAccountToken.expirationSeconds", token["expirationSeconds"]
    causes: list[Cause] = []
    if seconds < _SHORTEST_TOKEN:
        causes.append(invalid(where, seconds, "may not specify a duration less than 10 minutes"))
    if seconds > _LONGEST_TOKEN:
        detail = "may not specify a duration larger than 2^32 seconds"
        causes.append(invalid(where, seconds, detail))
    if not token["path"]:
        causes.append(required(f"{field}.path"))  # the real server leaves the source out
    return causes + relative_path_faults(f"{at}.serviceAccountToken.path", token["path"])


def _projected_paths(source: dict[str, Any]) -> list[str]:
    paths = [
        item["path"]
        for name in ("secret", "configMap", "downwardAPI")
        for item in (source.get(name) or {}).get("items") or ()
    ]
    token = source.get("serviceAccountToken")
    return [path for path in [*paths, token["path"] if token else ""] if path]


def _owner_of(source: dict[str, Any]) -> str:
    for name in ("secret", "configMap"):
        if name in source:
            return str(source[name].get("name", ""))
    return ""


def _claim(field: str, source: dict[str, Any]) -> list[Cause]:
    name = source["claimName"]
    if not name:
        return [required(f"{field}.claimName")]
    return invalid_each(f"{field}.claimName", name, subdomain_faults(name))


def _one_text(name: str) -> Callable[[str, dict[str, Any]], list[Cause]]:
    return lambda field, source: _required_text(field, source, name)


_CHECKS: dict[str, Callable[[str, dict[str, Any]], list[Cause]]] = {
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "nfs": _nfs,
    "secret": _files("secretName"),
    "configMap": _files("name"),
    "downwardAPI": _downward,
    "projected": _projected,
    "persistentVolumeClaim": _claim,
    "csi": _one_text("driver"),
    "image": _one_text("reference"),
}
