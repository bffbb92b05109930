"""The volumes that a container group may have: their parameters, with the service's limits."""

from __future__ import annotations

from vk_providers.alibabacloud.emulator.shapes import (
    Many,
    Shape,
    choice,
    flag,
    matching,
    text,
    whole,
)

__all__ = ["VOLUME"]

_LONG = 65_536
_NAME = matching(
    r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", "lower-case letters, digits and hyphens, none at an end"
)
_FILE = Shape(
    {
        "Path": text(1024, 1),
        "Content": text(_LONG),
        "Mode": matching("0[0-7]{3}", "four octal digits"),
    },
    ("Path",),
)
VOLUME = Shape(
    {
        "Name": _NAME,
        "Type": choice(
            "EmptyDirVolume",
            "NFSVolume",
            "ConfigFileVolume",
            "FlexVolume",
            "DiskVolume",
            "HostPathVolume",
        ),
        "EmptyDirVolume": Shape(
            {
                "Medium": choice("", "Memory", "memory", "LocalRaid0"),
                "SizeLimit": matching(r"[0-9]+(\.[0-9]+)?[KMGT]i?", "a size with unit"),
            }
        ),
        "NFSVolume": Shape(
            {"Server": text(256, 1), "Path": text(1024, 1), "ReadOnly": flag}, ("Server", "Path")
        ),
        "ConfigFileVolume": Shape(
            {
                "ConfigFileToPath": Many(_FILE, 90),
                "DefaultMode": matching("0[0-7]{3}", "four octal digits"),
            }
        ),
        "FlexVolume": Shape(
            {
                "Driver": choice("alicloud/disk", "alicloud/nas", "alicloud/oss"),
                "FsType": text(16),
                "Options": text(4096),
            },
            ("Driver",),
        ),
        "DiskVolume": Shape(
            {"DiskId": text(64), "FsType": text(16), "DiskSize": whole(20, 32_768)}
        ),
        "HostPathVolume": Shape({"Path": text(1024, 1), "Type": choice("Directory", "File")}),
    },
    ("Name", "Type"),
)
