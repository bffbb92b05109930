"""The environment of a program in an emulated container: its variables and volume files."""

from __future__ import annotations

import base64
import binascii
import posixpath
from collections.abc import Iterator, Mapping

from vk_providers.alibabacloud.emulator.container import EmulatedContainer
from vk_providers.alibabacloud.emulator.errors import invalid
from vk_providers.alibabacloud.emulator.group import EmulatedGroup
from vk_providers.alibabacloud.emulator.shell.script import ProgramContext

__all__ = ["container_of", "program_context"]


def container_of(group: EmulatedGroup, name: str) -> EmulatedContainer:
    """Return the container of this name; the first one where there is no name. Raises `Refusal`."""
    if not name:
        return group.containers[0]
    for each in group.containers + group.inits:
        if each.name == name:
            return each
    raise invalid("ContainerName", "expected the name of a container of the group")


def program_context(group: EmulatedGroup, container: EmulatedContainer) -> ProgramContext:
    """Return the context of a program in the container."""
    folder = container.spec.get("WorkingDir", "/")
    return ProgramContext(environment(group, container), dict(_files(group, container)), folder)


def environment(group: EmulatedGroup, container: EmulatedContainer) -> Mapping[str, str]:
    """Return the variables of a program in the container."""
    values = {
        "HOSTNAME": str(group.parameters.get("HostName", group.name)),
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    marks = {
        "__ECI_ID__": group.id,
        "__ECI_NAME__": group.name,
        "__REGION_ID__": group.settings.region,
        "__ZONE_ID__": group.placement.zone,
        "__CONTAINER_NAME__": container.name,
    }
    for each in container.spec.get("EnvironmentVar", []):
        text = each.get("Value", "")
        values[each["Key"]] = group.address if each.get("FieldRef") else marks.get(text, text)
    return values


def _files(group: EmulatedGroup, container: EmulatedContainer) -> Iterator[tuple[str, bytes]]:
    volumes = {each["Name"]: each for each in group.parameters.get("Volume", [])}
    for mount in container.spec.get("VolumeMount", []):
        volume = volumes.get(mount["Name"], {})
        for each in volume.get("ConfigFileVolume", {}).get("ConfigFileToPath", []):
            path = posixpath.join(mount["MountPath"], each["Path"])
            if sub := mount.get("SubPath"):
                path = mount["MountPath"] if each["Path"] == sub else ""
            if path:
                yield path, _content(each.get("Content", ""))


def _content(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise invalid("Volume.ConfigFileToPath.Content", "expected base64") from None
