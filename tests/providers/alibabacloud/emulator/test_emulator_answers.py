"""What the emulator answers has the fields and types that the vendor describes, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from simulated import Simulation

from vk_providers.alibabacloud.api_description import describe
from vk_providers.alibabacloud.emulator.actions import ACTIONS

TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
OPEN = {"ListUsage": "Attributes"}
"""Objects whose members the description does not name."""
UNKNOWN_HERE = {
    "TenantEniInstanceId": "not publicly available",
    "TenantEniIp": "not publicly available",
    "TenantSecurityGroupId": "not publicly available",
    "TenantVSwitchId": "not publicly available",
    "ExpiredTime": "of a group that was reclaimed",
    "FailedTime": "of a group that failed",
    "SucceededTime": "of a group that succeeded",
    "SpotPriceLimit": "of a group with a limit",
}


def differences(value: Any, described: Any, path: str = "") -> Iterator[str]:
    """Yield each field that is not described, or of another type."""
    if isinstance(described, dict):
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no object"
            return
        casings = {name.lower(): name for name in described}
        for name, each in value.items():
            if name in described:
                yield from differences(each, described[name], f"{path}.{name}")
            elif name.lower() not in casings and name != "startedAt":
                yield f"{path}.{name}: not described"
    elif isinstance(described, list):
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for each in value:
            yield from differences(each, described[0], f"{path}[]")
    elif not isinstance(value, TYPES[described]):
        yield f"{path}: {value!r} is no {described}"


def full(simulation: Simulation) -> str:
    """Create a group with all that there is; return its id."""
    volumes = {
        "EmptyDirVolume": {"EmptyDirVolume__Medium": "Memory", "EmptyDirVolume__SizeLimit": "1Gi"},
        "NFSVolume": {
            "NFSVolume__Server": "s",
            "NFSVolume__Path": "/",
            "NFSVolume__ReadOnly": "true",
        },
        "ConfigFileVolume": {
            "ConfigFileVolume__ConfigFileToPath__1__Path": "a",
            "ConfigFileVolume__ConfigFileToPath__1__Content": "QUJD",
            "ConfigFileVolume__ConfigFileToPath__1__Mode": "0644",
            "ConfigFileVolume__DefaultMode": "0644",
        },
        "FlexVolume": {"FlexVolume__Driver": "alicloud/oss", "FlexVolume__Options": "{}"},
        "DiskVolume": {"DiskVolume__DiskId": "d-1", "DiskVolume__DiskSize": 20},
        "HostPathVolume": {"HostPathVolume__Path": "/", "HostPathVolume__Type": "Directory"},
    }
    shared = {
        "EnvironmentVar__1__Key": "A",
        "EnvironmentVar__1__FieldRef__FieldPath": "status.podIP",
        "Port__1__Port": 80,
        "VolumeMount__1__Name": "v1",
        "VolumeMount__1__MountPath": "/v",
        "VolumeMount__1__SubPath": "a",
        "SecurityContext__Capability__Add__1": "CHOWN",
        "SecurityContext__RunAsUser": 1,
        "SecurityContext__ReadOnlyRootFilesystem": "true",
        "WorkingDir": "/",
        "ImagePullPolicy": "Always",
    }
    container = {
        **shared,
        "Tty": "true",
        "LivenessProbe__HttpGet__Path": "/",
        "LivenessProbe__HttpGet__Port": 80,
        "ReadinessProbe__Exec__Command__1": "true",
    }
    return simulation.create(
        **{f"Container__1__{name}": value for name, value in container.items()},
        **{f"InitContainer__1__{name}": value for name, value in shared.items()},
        InitContainer__1__Name="first",
        InitContainer__1__Image="busybox",
        InitContainer__1__Command__1="true",
        **{
            f"Volume__{number}__{name}": value
            for number, (kind, members) in enumerate(volumes.items(), 1)
            for name, value in {"Name": f"v{number}", "Type": kind, **members}.items()
        },
        DnsConfig__NameServer__1="10.0.0.1",
        DnsConfig__Option__1__Name="ndots",
        HostAliase__1__Ip="10.0.0.1",
        HostAliase__1__Hostname__1="a",
        SecurityContext__Sysctl__1__Name="net.ipv4.ping_group_range",
        SecurityContext__Sysctl__1__Value="0 1",
        AutoCreateEip="true",
        Ipv6AddressCount=1,
        RamRoleName="role",
        ResourceGroupId="rg-1",
        EphemeralStorage=10,
        SpotStrategy="SpotAsPriceGo",
        ComputeCategory__1="general",
        InstanceType="ecs.c6.xlarge",
    )


def test_a_group_has_every_field_that_is_described(simulation: Simulation):
    id = full(simulation)
    simulation.pass_time(60)
    (described,) = describe("DescribeContainerGroups").response["ContainerGroups"]
    row = simulation.row(id)
    assert described.keys() - row.keys() == UNKNOWN_HERE.keys()
    (container,) = row["Containers"]
    assert described["Containers"][0].keys() - container.keys() == {"PreviousState"}
    (container,) = row["InitContainers"]
    assert described["InitContainers"][0].keys() - container.keys() == {"PreviousState"}


def queries(simulation: Simulation) -> dict[str, dict[str, Any]]:
    """Prepare a group and caches; return the parameters of an answer of each action."""
    id = full(simulation)
    gone = simulation.create(uid="u2")
    simulation.create("false", uid="u3", RestartPolicy="Never")
    place = {"VSwitchId": "vsw-emulator-h", "SecurityGroupId": "sg-emulator"}
    image = {"ImageCacheName": "web", "Image__1": "nginx"}
    data = {"Name": "m", "Path": "/m", "DataSource__Type": "OSS", **place}
    one, pair = {"ContainerGroupId": id}, {"ContainerGroupId": id, "ContainerName": "main"}
    kind = {"ResourceType": "ContainerGroup", "ResourceId__1": id}
    made = simulation.call("CreateImageCache", **image, RetentionDays=1, Tag__1__Key="a")
    simulation.call("CreateDataCache", **data)
    simulation.pass_time(120)
    return {
        "CreateContainerGroup": {
            "ContainerGroupName": "web",
            "Container__1__Name": "a",
            "Container__1__Image": "b",
        },
        "DescribeContainerGroups": {"WithEvent": "true"},
        "DescribeContainerGroupStatus": {},
        "DescribeContainerGroupEvents": {},
        "DeleteContainerGroup": {"ContainerGroupId": gone},
        "UpdateContainerGroup": {**one, "RestartPolicy": "OnFailure"},
        "RestartContainerGroup": {"ContainerGroupId": simulation.ids()[0]},
        "TagResources": {**kind, "Tag__1__Key": "a", "Tag__1__Value": "b"},
        "ListTagResources": kind,
        "UntagResources": {**kind, "All": "true"},
        "ListUsage": {},
        "DescribeRegions": {},
        "DescribeContainerGroupPrice": {"Cpu": 2, "Memory": 4, "SpotStrategy": "SpotAsPriceGo"},
        "DescribeAvailableResource": {"DestinationResource__Category": "InstanceType"},
        "DescribeContainerLog": pair,
        "ExecContainerCommand": {**pair, "Command": '["true"]'},
        "DescribeContainerGroupMetric": one,
        "DescribeMultiContainerGroupMetric": {"ContainerGroupIds": f'["{id}"]'},
        "CreateImageCache": image,
        "DescribeImageCaches": {},
        "DeleteImageCache": {"ImageCacheId": made["ImageCacheId"]},
        "CreateDataCache": {**data, "Path": "/n"},
        "DescribeDataCaches": {},
        "DeleteDataCache": {"Path": "/m"},
    }


ECI = [name for version, name in ACTIONS if version == "2018-08-08"]


@pytest.mark.parametrize("action", ECI)
def test_an_answer_has_described_fields_of_the_described_types(simulation: Simulation, action: str):
    asked = queries(simulation)[action]
    if action == "UpdateContainerGroup":
        simulation.pass_time(30)
    answer = simulation.call(action, **asked)
    answer.pop(OPEN.get(action, ""), None)
    assert list(differences(answer, describe(action).response)) == []
