"""The parameters of CreateContainerGroup and UpdateContainerGroup, with their limits.

Wire names and limits are those of the service's OpenAPI metadata and documentation of 2018-08-08.
"""

from __future__ import annotations

from collections.abc import Mapping

from vk_providers.alibabacloud.emulator.schema import (
    ListSchema,
    ObjectSchema,
    ParameterSchema,
    choice,
    flag,
    integer,
    matching,
    number,
    text,
)

__all__ = ["CREATE", "GROUP_ID", "TAGS", "TOKEN", "UPDATE", "VOLUME"]

_LONG_CONTENT = 65_536
_VOLUME_NAME = matching(
    r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", "lower-case letters, digits and hyphens, none at an end"
)
_FILE = ObjectSchema(
    {
        "Path": text(1024, 1),
        "Content": text(_LONG_CONTENT),
        "Mode": matching("0[0-7]{3}", "four octal digits"),
    },
    ("Path",),
)
VOLUME = ObjectSchema(
    {
        "Name": _VOLUME_NAME,
        "Type": choice(
            "EmptyDirVolume",
            "NFSVolume",
            "ConfigFileVolume",
            "FlexVolume",
            "DiskVolume",
            "HostPathVolume",
        ),
        "EmptyDirVolume": ObjectSchema(
            {
                "Medium": choice("", "Memory", "memory", "LocalRaid0"),
                "SizeLimit": matching(r"[0-9]+(\.[0-9]+)?[KMGT]i?", "a size with unit"),
            }
        ),
        "NFSVolume": ObjectSchema(
            {"Server": text(256, 1), "Path": text(1024, 1), "ReadOnly": flag}, ("Server", "Path")
        ),
        "ConfigFileVolume": ObjectSchema(
            {
                "ConfigFileToPath": ListSchema(_FILE, 90),
                "DefaultMode": matching("0[0-7]{3}", "four octal digits"),
            }
        ),
        "FlexVolume": ObjectSchema(
            {
                "Driver": choice("alicloud/disk", "alicloud/nas", "alicloud/oss"),
                "FsType": text(16),
                "Options": text(4096),
            },
            ("Driver",),
        ),
        "DiskVolume": ObjectSchema(
            {"DiskId": text(64), "FsType": text(16), "DiskSize": integer(20, 32_768)}
        ),
        "HostPathVolume": ObjectSchema(
            {"Path": text(1024, 1), "Type": choice("Directory", "File")}
        ),
    },
    ("Name", "Type"),
)


_LONG = 65_536
_CAPABILITIES = (
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FSETID FOWNER KILL MKNOD NET_ADMIN NET_BIND_SERVICE NET_RAW"
    " SETGID SETUID SETFCAP SETPCAP SYS_CHROOT SYS_PTRACE SYS_RAWIO"
)
_NAME = matching(
    r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", "lower-case letters, digits and hyphens, none at an end"
)
_PORT = integer(1, 65_535)
_SECONDS = integer(0, 2**31 - 1)


def _group_name(value: str) -> str:
    if not 2 <= len(value) <= 128:
        raise ValueError("expected 2 to 128 characters")
    name: str = _NAME(value)
    return name


def _tag_text(longest: int, shortest: int, starts: tuple[str, ...]) -> ParameterSchema:
    read = text(longest, shortest)

    def check(value: str) -> str:
        read(value)
        if value.startswith(starts) or "http://" in value or "https://" in value:
            raise ValueError("expected no aliyun, acs:, http:// or https://")
        return value

    return check


_RESERVED = ("aliyun", "acs:")
GROUP_ID = matching(r"eci-[a-z0-9]+", "the id of a container group")
TOKEN = matching(r"[\x21-\x7e]{1,64}", "1 to 64 ASCII characters")
TAGS = ListSchema(
    ObjectSchema(
        {"Key": _tag_text(64, 1, _RESERVED), "Value": _tag_text(128, 0, _RESERVED)}, ("Key",)
    ),
    20,
)
_OPTION = ObjectSchema({"Name": text(256, 1), "Value": text(256)}, ("Name",))
_PROBE = ObjectSchema(
    {
        "HttpGet": ObjectSchema(
            {"Path": text(1024), "Port": _PORT, "Scheme": choice("HTTP", "HTTPS")}, ("Port",)
        ),
        "Exec": ObjectSchema({"Command": ListSchema(text(256), 20)}, ("Command",)),
        "TcpSocket": ObjectSchema({"Port": _PORT}, ("Port",)),
        "InitialDelaySeconds": _SECONDS,
        "PeriodSeconds": integer(1, 2**31 - 1),
        "TimeoutSeconds": integer(1, 2**31 - 1),
        "SuccessThreshold": integer(1, 2**31 - 1),
        "FailureThreshold": integer(1, 2**31 - 1),
    }
)
_ENVIRONMENT = ObjectSchema(
    {
        "Key": matching(r"[A-Za-z_][A-Za-z0-9_]{0,127}", "up to 128 letters, digits, underscores"),
        "Value": text(256),
        "FieldRef": ObjectSchema({"FieldPath": choice("status.podIP")}, ("FieldPath",)),
    },
    ("Key",),
)
_MOUNT = ObjectSchema(
    {
        "Name": text(128, 1),
        "MountPath": text(1024, 1),
        "SubPath": text(1024),
        "ReadOnly": flag,
        "MountPropagation": choice("None", "HostToContainer", "Bidirectional"),
    },
    ("Name", "MountPath"),
)
_SECURITY = ObjectSchema(
    {
        "RunAsUser": _SECONDS,
        "ReadOnlyRootFilesystem": choice("true"),
        "Capability": ObjectSchema({"Add": ListSchema(choice(*_CAPABILITIES.split()), 20)}),
    }
)
_EVERY_CONTAINER: Mapping[str, ParameterSchema] = {
    "Name": _NAME,
    "Image": text(255, 1),
    "ImagePullPolicy": choice("Always", "IfNotPresent", "Never"),
    "WorkingDir": text(1024),
    "Cpu": number(0, 64),
    "Memory": number(0, 512),
    "Gpu": integer(0, 16),
    "Command": ListSchema(text(256), 20),
    "Arg": ListSchema(text(_LONG), 101),
    "EnvironmentVar": ListSchema(_ENVIRONMENT, 240),
    "Port": ListSchema(
        ObjectSchema({"Port": _PORT, "Protocol": choice("TCP", "UDP")}, ("Port",)), 100
    ),
    "VolumeMount": ListSchema(_MOUNT, 40),
    "SecurityContext": _SECURITY,
    "SecurityContextPrivileged": flag,
    "TerminationMessagePath": text(1024),
    "TerminationMessagePolicy": choice("File", "FallbackToLogsOnError"),
}


def _lifecycle(moment: str) -> dict[str, ParameterSchema]:
    start = f"Lifecycle{moment}Handler"
    return {
        f"{start}Exec": ListSchema(text(256), 20),
        f"{start}HttpGetHost": text(256),
        f"{start}HttpGetPort": _PORT,
        f"{start}HttpGetPath": text(1024),
        f"{start}HttpGetScheme": choice("HTTP", "HTTPS"),
        f"{start}HttpGetHttpHeader": ListSchema(_OPTION, 20),
        f"{start}TcpSocketHost": text(256),
        f"{start}TcpSocketPort": _PORT,
    }


_CONTAINER = {
    **_EVERY_CONTAINER,
    "EnvironmentVarHide": flag,
    "Tty": flag,
    "Stdin": flag,
    "StdinOnce": flag,
    "SecurityContextRunAsGroup": _SECONDS,
    "SecurityContextRunAsNonRoot": flag,
    "LivenessProbe": _PROBE,
    "ReadinessProbe": _PROBE,
    **_lifecycle("PostStart"),
    **_lifecycle("PreStop"),
}
_CREDENTIAL = ObjectSchema(
    {"Server": text(256, 1), "UserName": text(_LONG, 1), "Password": text(_LONG, 1)},
    ("Server", "UserName", "Password"),
)
_ACR = ObjectSchema(
    {
        "InstanceId": text(64),
        "InstanceName": text(128),
        "RegionId": text(64),
        "Domain": ListSchema(text(256), 20),
        "ArnService": text(256),
        "ArnUser": text(256),
    }
)
_SYSCTLS = ObjectSchema({"Sysctl": ListSchema(_OPTION, 20)})
_SHARED: Mapping[str, ParameterSchema] = {
    "RestartPolicy": choice("Always", "Never", "OnFailure"),
    "ClientToken": TOKEN,
    "ResourceGroupId": text(64),
    "Cpu": number(0, 64),
    "Memory": number(0, 512),
    "Tag": TAGS,
    "DnsConfig": ObjectSchema(
        {
            "NameServer": ListSchema(text(64), 20),
            "Search": ListSchema(text(256), 20),
            "Option": ListSchema(_OPTION, 20),
        }
    ),
    "ImageRegistryCredential": ListSchema(_CREDENTIAL, 10),
    "AcrRegistryInfo": ListSchema(_ACR, 10),
    "Volume": ListSchema(VOLUME, 20),
}
CREATE = ObjectSchema(
    {
        **_SHARED,
        "ZoneId": text(64),
        "VSwitchId": text(512),
        "ScheduleStrategy": choice("VSwitchOrdered", "VSwitchRandom"),
        "SecurityGroupId": matching(r"sg-[A-Za-z0-9-]+(,sg-[A-Za-z0-9-]+){0,4}", "sg-... ids"),
        "ContainerGroupName": _group_name,
        "RamRoleName": text(64),
        "InstanceType": text(256),
        "TerminationGracePeriodSeconds": _SECONDS,
        "ActiveDeadlineSeconds": integer(1, 2**31 - 1),
        "HostName": text(64),
        "DnsPolicy": choice("None", "Default"),
        "AutoMatchImageCache": flag,
        "ImageSnapshotId": matching(r"imc-[a-z0-9]+", "imc-..."),
        "ImageAccelerateMode": choice("nydus", "dadi", "p2p", "imc"),
        "EipInstanceId": matching(r"eip-[a-z0-9]+", "eip-..."),
        "AutoCreateEip": flag,
        "EipBandwidth": integer(1, 1000),
        "EipISP": choice("BGP", "BGP_PRO"),
        "EipCommonBandwidthPackage": text(64),
        "Ipv6AddressCount": integer(0, 1),
        "Ipv6GatewayBandwidthEnable": flag,
        "Ipv6GatewayBandwidth": integer(1, 5000),
        "SpotStrategy": choice("NoSpot", "SpotWithPriceLimit", "SpotAsPriceGo"),
        "SpotPriceLimit": number(0, 100_000),
        "SpotDuration": integer(0, 6),
        "StrictSpot": flag,
        "CorePattern": matching(r"[^|].*", "a path that does not begin with |"),
        "EphemeralStorage": integer(0, 5000),
        "FixedIp": flag,
        "FixedIpRetainHour": integer(1, 720),
        "PrivateIpAddress": text(64),
        "DryRun": flag,
        "ContainerResourceView": flag,
        "PlainHttpRegistry": text(1024),
        "InsecureRegistry": text(1024),
        "CpuOptionsCore": integer(1, 128),
        "CpuOptionsThreadsPerCore": integer(1, 2),
        "CpuArchitecture": choice("AMD64", "ARM64"),
        "DataCacheBucket": text(256),
        "DataCachePL": text(16),
        "DataCacheProvisionedIops": integer(0, 50_000),
        "DataCacheBurstingEnabled": flag,
        "ShareProcessNamespace": flag,
        "IngressBandwidth": integer(0, 2**53),
        "EgressBandwidth": integer(0, 2**53),
        "OsType": choice("Linux", "Windows"),
        "ComputeCategory": ListSchema(choice("economy", "general"), 2),
        "GpuDriverVersion": text(64),
        "OverheadReservationOption": ObjectSchema({"EnableOverheadReservation": flag}),
        "MaxPendingMinute": integer(10, 1440),
        "EciFailStrategy": choice("fail-back", "fail-over", "fail-fast"),
        "SlsEnable": flag,
        "NtpServer": ListSchema(text(64), 20),
        "HostAliase": ListSchema(
            ObjectSchema(
                {"Ip": text(64, 1), "Hostname": ListSchema(text(256), 20)}, ("Ip", "Hostname")
            ),
            100,
        ),
        "SecurityContext": _SYSCTLS,
        "HostSecurityContext": _SYSCTLS,
        "Container": ListSchema(ObjectSchema(_CONTAINER, ("Name", "Image")), 20),
        "InitContainer": ListSchema(ObjectSchema(_EVERY_CONTAINER, ("Name", "Image")), 20),
    },
    ("ContainerGroupName", "Container"),
)
UPDATE = ObjectSchema(
    {
        **_SHARED,
        "ContainerGroupId": GROUP_ID,
        "UpdateType": choice("RenewUpdate", "IncrementalUpdate"),
        "Container": ListSchema(ObjectSchema(_CONTAINER, ("Name",)), 20),
        "InitContainer": ListSchema(
            ObjectSchema(
                {**_EVERY_CONTAINER, "Tty": flag, "Stdin": flag, "StdinOnce": flag}, ("Name",)
            ),
            20,
        ),
    },
    ("ContainerGroupId",),
)
