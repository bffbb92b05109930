"""The parameters of the ECI actions: the vendor's description, narrowed by its documentation.

Names, types, required parameters, ranges and enumerations come from `api_description`. `_LIMITS`,
`_MOST` and `_REQUIRED` add what only the pages of the documentation say (patterns, lengths, numbers
of items); they cannot permit what the description does not. Init containers share the limits of
containers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vk_providers.alibabacloud.api_description import ParameterDescription, describe
from vk_providers.alibabacloud.emulator.schema import (
    AnyMembers,
    Leaf,
    ListSchema,
    ObjectSchema,
    ParameterSchema,
    choice,
    flag,
    integer,
    matching,
    number,
    text,
    words,
)
from vk_providers.alibabacloud.emulator.states import read_moment

__all__ = ["COMMON", "schema"]

COMMON = frozenset(
    {
        "AccessKeyId",
        "Action",
        "Format",
        "OwnerAccount",
        "OwnerId",
        "RegionId",
        "ResourceOwnerAccount",
        "ResourceOwnerId",
        "SecurityToken",
        "Signature",
        "SignatureMethod",
        "SignatureNonce",
        "SignatureType",
        "SignatureVersion",
        "Timestamp",
        "Version",
    }
)
"""Parameters of the protocol, which every action has."""
_LONGEST = 65_536
_NAME = matching(
    r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", "lower-case letters, digits and hyphens, none at an end"
)
_PORT = integer(1, 65_535)
_AT_LEAST_ONE = integer(1, 2**31 - 1)
_MODE = matching("0[0-7]{3}", "four octal digits")
_CAPABILITIES = (
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FSETID FOWNER KILL MKNOD NET_ADMIN NET_BIND_SERVICE NET_RAW"
    " SETGID SETUID SETFCAP SETPCAP SYS_CHROOT SYS_PTRACE SYS_RAWIO"
)
_GROUP_ID = matching(r"eci-[a-z0-9]+", "the id of a container group")


def _group_name(value: str) -> str:
    if not 2 <= len(value) <= 128:
        raise ValueError("expected 2 to 128 characters")
    name: str = _NAME(value)
    return name


def _tag_text(longest: int, shortest: int) -> Leaf:
    read = text(longest, shortest)

    def check(value: str) -> str:
        read(value)
        if value.startswith(("aliyun", "acs:")) or "http://" in value or "https://" in value:
            raise ValueError("expected no aliyun, acs:, http:// or https://")
        return value

    return check


def _probe(kind: str) -> dict[str, Leaf]:
    start = f"Container.N.{kind}."
    return {
        f"{start}HttpGet.Path": text(1024),
        f"{start}HttpGet.Port": _PORT,
        f"{start}HttpGet.Scheme": choice("HTTP", "HTTPS"),
        f"{start}Exec.Command.N": text(256),
        f"{start}TcpSocket.Port": _PORT,
        f"{start}PeriodSeconds": _AT_LEAST_ONE,
        f"{start}TimeoutSeconds": _AT_LEAST_ONE,
        f"{start}SuccessThreshold": _AT_LEAST_ONE,
        f"{start}FailureThreshold": _AT_LEAST_ONE,
    }


def _lifecycle(moment: str) -> dict[str, Leaf]:
    start = f"Container.N.Lifecycle{moment}Handler"
    return {
        f"{start}Exec.N": text(256),
        f"{start}HttpGetPort": _PORT,
        f"{start}HttpGetScheme": choice("HTTP", "HTTPS"),
        f"{start}TcpSocketPort": _PORT,
    }


_LIMITS: Mapping[str, Leaf] = {
    "ClientToken": matching(r"[\x21-\x7e]{1,64}", "1 to 64 ASCII characters"),
    "ContainerGroupId": _GROUP_ID,
    "ContainerGroupIds": words("ids", 20),
    "Tag.N.Key": _tag_text(64, 1),
    "Tag.N.Value": _tag_text(128, 0),
    "Cpu": number(0, 64),
    "Memory": number(0, 512),
    "ContainerGroupName": _group_name,
    "SecurityGroupId": matching(r"sg-[A-Za-z0-9-]+(,sg-[A-Za-z0-9-]+){0,4}", "sg-... ids"),
    "ActiveDeadlineSeconds": _AT_LEAST_ONE,
    "ImageSnapshotId": matching(r"imc-[a-z0-9]+", "imc-..."),
    "EipInstanceId": matching(r"eip-[a-z0-9]+", "eip-..."),
    "EipBandwidth": integer(1, 1000),
    "Ipv6AddressCount": integer(0, 1),
    "Ipv6GatewayBandwidth": integer(1, 5000),
    "SpotPriceLimit": number(0, 100_000),
    "SpotDuration": integer(0, 6),
    "CorePattern": matching(r"[^|].*", "a path that does not begin with |"),
    "FixedIp": flag,
    "FixedIpRetainHour": integer(1, 720),
    "CpuOptionsCore": integer(1, 128),
    "CpuOptionsThreadsPerCore": integer(1, 2),
    "DataCacheProvisionedIops": integer(0, 50_000),
    "ComputeCategory.N": choice("economy", "general"),
    "HostAliase.N.Ip": text(64, 1),
    "Volume.N.Name": _NAME,
    "Volume.N.Type": choice(
        "EmptyDirVolume",
        "NFSVolume",
        "ConfigFileVolume",
        "FlexVolume",
        "DiskVolume",
        "HostPathVolume",
    ),
    "Volume.N.EmptyDirVolume.Medium": choice("", "Memory", "memory", "LocalRaid0"),
    "Volume.N.EmptyDirVolume.SizeLimit": matching(r"[0-9]+(\.[0-9]+)?[KMGT]i?", "a size with unit"),
    "Volume.N.NFSVolume.Server": text(256, 1),
    "Volume.N.NFSVolume.Path": text(1024, 1),
    "Volume.N.ConfigFileVolume.ConfigFileToPath.N.Path": text(1024, 1),
    "Volume.N.ConfigFileVolume.ConfigFileToPath.N.Mode": _MODE,
    "Volume.N.ConfigFileVolume.DefaultMode": _MODE,
    "Volume.N.FlexVolume.Driver": choice("alicloud/disk", "alicloud/nas", "alicloud/oss"),
    "Volume.N.FlexVolume.Options": text(4096),
    "Volume.N.DiskVolume.DiskSize": integer(20, 32_768),
    "Volume.N.HostPathVolume.Path": text(1024, 1),
    "Volume.N.HostPathVolume.Type": choice("Directory", "File"),
    "Container.N.Name": _NAME,
    "Container.N.Cpu": number(0, 64),
    "Container.N.Memory": number(0, 512),
    "Container.N.Gpu": integer(0, 16),
    "Container.N.Command.N": text(256),
    "Container.N.EnvironmentVar.N.Key": matching(
        r"[A-Za-z_][A-Za-z0-9_]{0,127}", "up to 128 letters, digits, underscores"
    ),
    "Container.N.EnvironmentVar.N.Value": text(256),
    "Container.N.EnvironmentVar.N.FieldRef.FieldPath": choice("status.podIP"),
    "Container.N.Port.N.Port": _PORT,
    "Container.N.VolumeMount.N.Name": text(128, 1),
    "Container.N.VolumeMount.N.MountPath": text(1024, 1),
    "Container.N.SecurityContext.ReadOnlyRootFilesystem": choice("true", "True"),
    "Container.N.SecurityContext.Capability.Add.N": choice(*_CAPABILITIES.split()),
    "Container.N.TerminationMessagePolicy": choice("File", "FallbackToLogsOnError"),
    **_probe("LivenessProbe"),
    **_probe("ReadinessProbe"),
    **_lifecycle("PostStart"),
    **_lifecycle("PreStop"),
    "DescribeContainerGroups.Limit": integer(1, 20),
    "DescribeContainerGroups.ComputeCategory": choice("economy", "general"),
    "ListTagResources.Limit": integer(1, 100),
    "DescribeImageCaches.NextToken": matching("[0-9]{0,6}", "a token of this list"),
    "DescribeDataCaches.NextToken": matching("[0-9]{0,6}", "a token of this list"),
    "DescribeImageCaches.Limit": integer(1, 50),
    "DescribeImageCaches.ImageMatchCountRequest": integer(1, 100),
    "ResourceType": choice("containergroup", "ContainerGroup"),
    "ResourceId.N": _GROUP_ID,
    "ExecContainerCommand.Command": words("words", 20),
    "StartTime": read_moment,
    "EndTime": read_moment,
    "DescribeContainerLog.Tail": integer(1, 2000),
    "DescribeContainerLog.LimitBytes": integer(1, 1_048_576),
    "DescribeContainerGroupMetric.Period": choice("15", "30", "60", "600"),
    "MetricType": choice("summary"),
    "DestinationResource.Cores": number(0, 64),
    "DestinationResource.Memory": number(0, 512),
    "SpotResource.SpotPriceLimit": number(0, 100_000),
    "SpotResource.SpotDuration": integer(0, 6),
    "CreateImageCache.ImageCacheSize": integer(20, 32_768),
    "RetentionDays": _AT_LEAST_ONE,
}
"""By name, or by action and name: what the documentation permits."""
_MOST: Mapping[str, int] = {
    "Container": 20,
    "Container.N.Command": 20,
    "Container.N.EnvironmentVar": 240,
    "Container.N.VolumeMount": 40,
    "Container.N.LivenessProbe.Exec.Command": 20,
    "Volume": 20,
    "Tag": 20,
    "ImageRegistryCredential": 10,
    "AcrRegistryInfo": 10,
    "NtpServer": 20,
    "ComputeCategory": 2,
    "ResourceId": 50,
    "TagKey": 20,
}
"""The documented numbers of items; the description often has one more."""
_REQUIRED: Mapping[str, Sequence[str]] = {
    "Container.N": ("Name",),
    "Container.N.EnvironmentVar.N": ("Key",),
    "Container.N.EnvironmentVar.N.FieldRef": ("FieldPath",),
    "Container.N.Port.N": ("Port",),
    "Container.N.VolumeMount.N": ("Name", "MountPath"),
    "Container.N.LivenessProbe.HttpGet": ("Port",),
    "Container.N.LivenessProbe.TcpSocket": ("Port",),
    "Container.N.LivenessProbe.Exec": ("Command",),
    "Container.N.ReadinessProbe.HttpGet": ("Port",),
    "Container.N.ReadinessProbe.TcpSocket": ("Port",),
    "Container.N.ReadinessProbe.Exec": ("Command",),
    "CreateContainerGroup.InitContainer.N": ("Image",),
    "DnsConfig.Option.N": ("Name",),
    "HostAliase.N": ("Ip", "Hostname"),
    "HostSecurityContext.Sysctl.N": ("Name",),
    "ImageRegistryCredential.N": ("Server", "UserName", "Password"),
    "SecurityContext.Sysctl.N": ("Name",),
    "Tag.N": ("Key",),
    "Volume.N": ("Name", "Type"),
    "Volume.N.ConfigFileVolume.ConfigFileToPath.N": ("Path",),
    "Volume.N.FlexVolume": ("Driver",),
    "Volume.N.NFSVolume": ("Server", "Path"),
}
"""Members that an object needs, beyond those that the description marks."""


def schema(action: str) -> ObjectSchema:
    """Return the schema of an ECI action, without the parameters of the protocol."""
    tree: dict[str, Any] = {}
    described = describe(action).parameters
    for name in described:
        if name not in COMMON:
            node = tree
            for segment in name.split("."):
                node = node.setdefault(segment, {})
    return _Schemas(action, described).object("", tree)


class _Schemas:
    """Builds the schema of one action from the tree of its names."""

    def __init__(self, action: str, described: Mapping[str, ParameterDescription]) -> None:
        self._action = action
        self._described = described

    def object(self, path: str, members: Mapping[str, Any]) -> ObjectSchema:
        start = f"{path}." if path else ""
        required = [
            member
            for member in members
            if (known := self._described.get(start + member)) is not None and known.required
        ]
        required += [one for one in self._documented(_REQUIRED, path) or () if one in members]
        return ObjectSchema(
            {member: self._node(start + member, below) for member, below in members.items()},
            tuple(dict.fromkeys(required)),
        )

    def _node(self, path: str, members: Mapping[str, Any]) -> ParameterSchema:
        described = self._described.get(path)
        if "N" in members:
            counts = (described and described.max_items, self._documented(_MOST, path))
            return ListSchema(
                self._node(f"{path}.N", members["N"]), min(count for count in counts if count)
            )
        if members:
            return self.object(path, members)
        if described is None or described.type == "object":
            return AnyMembers()
        permitted, documented = _leaf(described), self._documented(_LIMITS, path)
        return permitted if documented is None else _both(permitted, documented)

    def _documented(self, table: Mapping[str, Any], path: str) -> Any:
        names = (f"{self._action}.{path}", path, path.replace("InitContainer.", "Container.", 1))
        return next((table[name] for name in names if name in table), None)


_INTEGERS = {"int32": 2**31 - 1, "int64": 2**63 - 1}


def _leaf(described: ParameterDescription) -> Leaf:
    """Return the parser of a described value."""
    low, high = described.minimum or 0, described.maximum
    match described.type:
        case "integer":
            return integer(low, high if high is not None else _INTEGERS[described.format])
        case "number":
            return number(low, high if high is not None else 2.0**53)
        case "boolean":
            return flag
    if described.values:
        return choice(*described.values)
    return text(high if high is not None else _LONGEST, low)


def _both(first: Callable[[str], Any], second: Leaf) -> Leaf:
    def read(value: str) -> Any:
        first(value)
        return second(value)

    return read
