"""CreateContainerGroup: validation across parameters, then the creation of the group."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

from vk_providers.alibabacloud.emulator.cloud import ApiCall
from vk_providers.alibabacloud.emulator.errors import EciApiError, invalid
from vk_providers.alibabacloud.emulator.sizes import size_of

__all__ = ["check", "create"]

_FILE = 32 * 1024
_FILES = 60 * 1024
_PROBES = ("HttpGet", "Exec", "TcpSocket")


def create(call: ApiCall) -> dict[str, Any]:
    """Create a group; return its id."""
    parameters, cloud = call.parameters, call.cloud
    check(parameters)
    size = size_of(parameters, cloud.settings.region)
    fault = call.fault.kind if call.fault else ""
    if fault == "no_stock":
        text = "The resource is out of stock in the specified zone."
        raise EciApiError(403, "OperationDenied.NoStock", text)
    if parameters.get("DryRun"):
        raise EciApiError(400, "DryRunOperation", "Request validation has been passed.")
    unplaced = "NoStock" if fault == "schedule_failed" else ""
    group = cloud.create(parameters, size, call.now, unplaced=unplaced)
    call.record["group"] = group.id
    return {"ContainerGroupId": group.id}


def check(parameters: Mapping[str, Any]) -> None:
    """Validate the containers, volumes and tags of a group. Raises `EciApiError`."""
    containers = [*parameters.get("Container", []), *parameters.get("InitContainer", [])]
    _unique("Container.Name", (each["Name"] for each in containers), "DuplicatedName")
    volumes = parameters.get("Volume", [])
    names = [each["Name"] for each in volumes]
    _unique("Volume.Name", names, "DuplicatedVolumeName")
    _unique("Tag.Key", (each["Key"] for each in parameters.get("Tag", [])), "DuplicatedTagKey")
    for volume in volumes:
        _check_volume(volume)
    for container in containers:
        _check_container(container, names)


def _check_container(container: Mapping[str, Any], volumes: Iterable[str]) -> None:
    for mount in container.get("VolumeMount", []):
        if mount["Name"] not in volumes:
            raise invalid("Container.VolumeMount.Name", "expected the name of a volume")
    for kind in ("LivenessProbe", "ReadinessProbe"):
        probe = container.get(kind)
        if probe is not None and sum(each in probe for each in _PROBES) != 1:
            raise invalid(f"Container.{kind}", "expected one of HttpGet, Exec, TcpSocket")
    if container.get("LivenessProbe", {}).get("SuccessThreshold", 1) != 1:
        raise invalid("Container.LivenessProbe.SuccessThreshold", "expected 1")


def _check_volume(volume: Mapping[str, Any]) -> None:
    kind = volume["Type"]
    other = [name for name in volume if name not in ("Name", "Type", kind)]
    if other:
        raise invalid(f"Volume.{other[0]}", "expected only what belongs to the volume's Type")
    if kind != "EmptyDirVolume" and kind not in volume:
        raise invalid(f"Volume.{kind}", "expected it for a volume of this Type")
    files = volume.get("ConfigFileVolume", {}).get("ConfigFileToPath", [])
    sizes = [_size(each.get("Content", "")) for each in files]
    if any(size > _FILE for size in sizes) or sum(sizes) > _FILES:
        expected = "expected at most 32 KiB a file and 60 KiB a volume"
        raise invalid("Volume.ConfigFileVolume", expected, "LengthExceeded")


def _size(content: str) -> int:
    try:
        return len(base64.b64decode(content, validate=True))
    except binascii.Error:
        name = "Volume.ConfigFileVolume.ConfigFileToPath.Content"
        raise invalid(name, "expected base64") from None


def _unique(name: str, values: Iterable[str], kind: str) -> None:
    seen = set[str]()
    for value in values:
        if value in seen:
            raise invalid(name, "expected each name once", kind)
        seen.add(value)
