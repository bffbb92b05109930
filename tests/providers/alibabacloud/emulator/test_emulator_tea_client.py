"""The vendor's Python client understands the emulator, and is understood by it, over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from tea_client import ClientException, TeaClient

from vk_providers.alibabacloud import emulator


@pytest.fixture
def tea(running: emulator.RunningEmulator) -> TeaClient:
    """The vendor's client."""
    return TeaClient(running)


async def until(look: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool]) -> Any:
    """Look, each time by a call, until it holds; the timeout of the tests is the limit."""
    while not holds(found := await look()):
        pass
    return found


async def running_group(tea: TeaClient, *command: str, **members: Any) -> str:
    """Create a group; return its id once it runs."""
    id = await tea.create(*command, **members)
    await until(lambda: tea.group(id), lambda row: row["Status"] == "Running")
    return id


async def test_a_group_is_created_with_everything_and_shown_as_it_was_asked_for(tea: TeaClient):
    probe = {"TcpSocket": {"Port": 80}, "PeriodSeconds": 5, "SuccessThreshold": 1}
    container = {
        "Name": "main",
        "Image": "nginx:1.27",
        "Cpu": 0.5,
        "Memory": 1.0,
        "Tty": True,
        "Stdin": False,
        "Arg": ["a", "b c"],
        "EnvironmentVar": [{"Key": "A", "Value": "ä & = +"}],
        "Port": [{"Port": 80, "Protocol": "TCP"}],
        "VolumeMount": [{"Name": "files", "MountPath": "/files", "ReadOnly": True}],
        "LivenessProbe": probe,
        "ReadinessProbe": {"Exec": {"Command": ["true"]}},
        "SecurityContext": {"ReadOnlyRootFilesystem": True, "RunAsUser": 1000},
    }
    file = {"Path": "a", "Content": "QUJD", "Mode": None}
    id = await tea.create(
        Container=[container],
        InitContainer=[{"Name": "first", "Image": "busybox", "Command": ["true"]}],
        Volume=[
            {
                "Name": "files",
                "Type": "ConfigFileVolume",
                "ConfigFileVolume": {"ConfigFileToPath": [file]},
            }
        ],
        Tag=[{"Key": "pod-uid", "Value": "u1"}],
        HostAliase=[{"Ip": "10.0.0.1", "Hostname": ["a", "b"]}],
        DnsConfig={"NameServer": ["10.0.0.2"], "Option": [{"Name": "ndots", "Value": "2"}]},
        AutoCreateEip=True,
        EipBandwidth=5,
        Ipv6AddressCount=1,
        ComputeCategory=["economy"],
        SpotStrategy="SpotAsPriceGo",
        EphemeralStorage=10,
    )
    row = await until(lambda: tea.group(id), lambda row: row["Status"] == "Running")
    assert (row["Cpu"], row["Memory"], row["EphemeralStorage"]) == (0.5, 1.0, 10)
    assert row["Tags"] == [{"Key": "pod-uid", "Value": "u1"}]
    assert row["HostAliases"] == [{"Ip": "10.0.0.1", "Hostnames": ["a", "b"]}]
    assert row["DnsConfig"]["Options"] == [{"Name": "ndots", "Value": "2"}]
    assert row["InternetIp"]
    assert ":" in row["Ipv6Address"]
    assert (row["ComputeCategory"], row["Discount"]) == ("economy", 100)
    (shown,) = row["Containers"]
    assert (shown["Tty"], shown["Args"]) == (True, ["a", "b c"])
    assert shown["EnvironmentVars"] == [{"Key": "A", "Value": "ä & = +"}]
    assert shown["SecurityContext"] == {"ReadOnlyRootFilesystem": True, "RunAsUser": 1000}
    assert shown["LivenessProbe"]["TcpSocket"]["Port"] == 80
    assert shown["CurrentState"]["State"] == "Running"
    assert row["InitContainers"][0]["CurrentState"]["ExitCode"] == 0


async def test_status_and_events_fill_the_clients_models(tea: TeaClient):
    id = await running_group(tea)
    (row,) = (await tea.call("DescribeContainerGroupStatus"))["Data"]
    assert (row["ContainerGroupId"], row["Status"]) == (id, "Running")
    status = row["PodStatus"]
    assert status["Phase"] == "Running"
    assert status["PodIps"] == [{"Ip": status["PodIp"]}]
    (container,) = status["ContainerStatuses"]
    assert (container["Name"], container["Ready"]) == ("main", True)
    assert container["State"]["Running"]["StartedAtstartedAt"]
    assert {"type": "Ready", "status": "True"}.items() <= status["Conditions"][-1].items()
    (events,) = (await tea.call("DescribeContainerGroupEvents", SinceSecond=3600))["Data"]
    assert events["ContainerGroupId"] == id
    first = events["Events"][0]
    assert (first["Reason"], first["Count"]) == ("Scheduled", 1)
    assert first["involvedObject"]["Name"] == "default-web"


async def test_an_update_is_merged_and_a_restart_starts_again(tea: TeaClient):
    id = await running_group(tea)
    new = [{"Name": "main", "Image": "nginx:1.28"}]
    await tea.call(
        "UpdateContainerGroup", ContainerGroupId=id, UpdateType="IncrementalUpdate", Container=new
    )

    async def container() -> dict[str, Any]:
        return dict((await tea.group(id))["Containers"][0])

    shown = await until(container, lambda one: one["CurrentState"]["State"] == "Running")
    assert (shown["Image"], shown["RestartCount"]) == ("nginx:1.28", 1)
    await tea.call("RestartContainerGroup", ContainerGroupId=id)
    await until(container, lambda one: one["RestartCount"] == 2)


async def test_a_deleted_group_is_in_no_list(tea: TeaClient):
    id = await tea.create()
    await tea.call("DeleteContainerGroup", ContainerGroupId=id)
    assert (await tea.call("DescribeContainerGroups"))["ContainerGroups"] == []
    with pytest.raises(ClientException) as refusal:
        await tea.call("DeleteContainerGroup", ContainerGroupId=id)
    assert (refusal.value.code, refusal.value.status_code) == ("InvalidParameter.NotFound", 404)


async def test_a_log_is_read(tea: TeaClient):
    id = await running_group(tea, "sh", "-c", "echo hello; sleep infinity")

    async def log() -> str:
        answer = await tea.call(
            "DescribeContainerLog", ContainerGroupId=id, ContainerName="main", Tail=10
        )
        return str(answer["Content"])

    assert await until(log, bool) == "hello\n"


async def test_a_command_runs_at_once_or_by_a_ticket(tea: TeaClient):
    id = await running_group(tea)
    asked = {"ContainerGroupId": id, "ContainerName": "main", "Command": '["echo", "hi"]'}
    answer = await tea.call("ExecContainerCommand", **asked, Sync=True, TTY=False)
    assert answer["SyncResponse"] == "hi\n"
    ticket = await tea.call("ExecContainerCommand", **asked)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(ticket["WebSocketUri"]) as socket,
    ):
        frames = [frame.data async for frame in socket]
    assert frames == [b"\x01hi\n"]


async def test_tags_are_set_listed_and_removed(tea: TeaClient):
    id = await tea.create()
    kind = {"ResourceType": "ContainerGroup", "ResourceId": [id]}
    await tea.call("TagResources", **kind, Tag=[{"Key": "app", "Value": "web"}])
    (row,) = (await tea.call("ListTagResources", **kind))["TagResources"]
    assert (row["ResourceId"], row["TagKey"], row["TagValue"]) == (id, "app", "web")
    found = await tea.call("DescribeContainerGroups", Tag=[{"Key": "app", "Value": "web"}])
    assert [row["ContainerGroupId"] for row in found["ContainerGroups"]] == [id]
    await tea.call("UntagResources", **kind, TagKey=["app"])
    assert (await tea.call("ListTagResources", **kind))["TagResources"] == []


async def test_price_usage_regions_and_stock_are_answered(tea: TeaClient):
    await tea.create(Cpu=2.0, Memory=4.0)
    spot = await tea.call(
        "DescribeContainerGroupPrice", Cpu=2.0, Memory=4.0, SpotStrategy="SpotAsPriceGo"
    )
    price = spot["PriceInfo"]["Price"]
    assert 0 < price["TradePrice"] < price["OriginalPrice"]
    assert next(row["ZoneId"] for row in spot["PriceInfo"]["SpotPrices"]["SpotPrice"])
    assert (await tea.call("ListUsage"))["Attributes"]["UsedCpu"] == "2"
    (region,) = (await tea.call("DescribeRegions"))["Regions"]
    assert (region["RegionId"], len(region["Zones"])) == ("cn-hangzhou", 3)
    stock = await tea.call(
        "DescribeAvailableResource",
        DestinationResource={"Category": "InstanceType", "Cores": 2.0, "Memory": 4.0},
    )
    (first, *_) = stock["AvailableZones"]["AvailableZone"]
    (supported, *_) = first["AvailableResources"]["AvailableResource"][0]["SupportedResources"][
        "SupportedResource"
    ]
    assert supported["StatusCategory"] == "WithStock"


async def test_metrics_have_the_names_of_each_action(tea: TeaClient):
    id = await running_group(tea)
    one = await tea.call("DescribeContainerGroupMetric", ContainerGroupId=id)
    (disk,) = one["Records"][-1]["Disk"]
    assert set(disk) == {"Device", "ReadBytes", "ReadIO", "WriteBytes", "WriteIO"}
    several = await tea.call("DescribeMultiContainerGroupMetric", ContainerGroupIds=f'["{id}"]')
    (disk,) = several["MonitorDatas"][0]["Records"][-1]["Disk"]
    assert set(disk) == {"Device", "ReadBytes", "ReadIo", "WriteBytes", "WriteIo"}


async def test_an_image_cache_becomes_ready_is_matched_and_deleted(tea: TeaClient):
    made = await tea.call(
        "CreateImageCache", ImageCacheName="web", Image=["nginx:1.27", "busybox"], RetentionDays=7
    )
    id = made["ImageCacheId"]
    assert (id[:4], made["ContainerGroupId"][:4]) == ("imc-", "eci-")

    async def row() -> dict[str, Any]:
        (found,) = (await tea.call("DescribeImageCaches", ImageCacheId=id))["ImageCaches"]
        return dict(found)

    ready = await until(row, lambda cache: cache["Status"] == "Ready")
    assert (ready["Progress"], ready["Images"]) == ("100%", ["nginx:1.27", "busybox"])
    assert ready["ExpireDateTime"]
    both = {"MatchImage": ["nginx:1.27", "redis"], "ImageMatchCountRequest": 1}
    assert (await tea.call("DescribeImageCaches", **both))["TotalCount"] == 1
    full = await tea.call("DescribeImageCaches", **both, ImageFullMatch=True)
    assert full["ImageCaches"] == []
    await running_group(tea, ImageSnapshotId=id)
    await tea.call("DeleteImageCache", ImageCacheId=id)
    assert (await tea.call("DescribeImageCaches"))["ImageCaches"] == []


async def test_a_data_cache_becomes_available_and_is_deleted(tea: TeaClient):
    source = {"Type": "NAS", "Options": {"server": "nas.example", "path": "/"}}
    place = {"VSwitchId": "vsw-emulator-h", "SecurityGroupId": "sg-emulator", "Size": 30}
    made = await tea.call(
        "CreateDataCache", Name="models", Bucket="b", Path="/m", DataSource=source, **place
    )

    async def row() -> dict[str, Any]:
        found = await tea.call("DescribeDataCaches", DataCacheId=[made["DataCacheId"]])
        return dict(found["DataCaches"][0])

    cache = await until(row, lambda cache: cache["Status"] == "Available")
    assert (cache["Bucket"], cache["Path"], cache["Size"]) == ("b", "/m", 30)
    assert cache["DataSource"]["Type"] == "NAS"
    await tea.call("DeleteDataCache", Bucket="b", Path="/m")
    assert (await tea.call("DescribeDataCaches"))["DataCaches"] == []


async def test_a_dry_run_creates_nothing(tea: TeaClient):
    with pytest.raises(ClientException) as refusal:
        await tea.create(DryRun=True)
    assert (refusal.value.code, refusal.value.status_code) == ("DryRunOperation", 400)
    assert (await tea.call("DescribeContainerGroups"))["TotalCount"] == 0


async def test_pages_join_to_the_whole_list(tea: TeaClient):
    made = [await tea.create() for _ in range(5)]
    for action, name in (
        ("DescribeContainerGroups", "ContainerGroups"),
        ("DescribeContainerGroupStatus", "Data"),
    ):
        page = await tea.call(action, Limit=2)
        ids = [row["ContainerGroupId"] for row in page[name]]
        while page["NextToken"]:
            page = await tea.call(action, Limit=2, NextToken=page["NextToken"])
            assert page["TotalCount"] == 5
            ids += [row["ContainerGroupId"] for row in page[name]]
        assert ids == made


async def test_a_token_makes_a_create_happen_once(tea: TeaClient):
    first = await tea.create(ClientToken="t1")
    assert await tea.create(ClientToken="t1") == first
    with pytest.raises(ClientException) as refusal:
        await tea.create(ClientToken="t1", ContainerGroupName="other")
    assert refusal.value.code == "IdempotentParameterMismatch"
    assert (await tea.call("DescribeContainerGroups"))["TotalCount"] == 1


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"access_key_secret": "wrong"}, "SignatureDoesNotMatch"),
        ({"access_key_id": "unknown"}, "InvalidAccessKeyId.NotFound"),
        ({"security_token": "none"}, "InvalidSecurityToken.MismatchWithAccessKey"),
    ],
)
async def test_a_wrong_key_is_refused(
    running: emulator.RunningEmulator, other: dict[str, Any], code: str
):
    with pytest.raises(ClientException) as refusal:
        await TeaClient(running, **other).call("DescribeContainerGroups")
    assert refusal.value.code == code


async def test_a_refusal_has_code_status_and_request_id(
    running: emulator.RunningEmulator, tea: TeaClient
):
    await running.set_faults({"kind": "no_stock"})
    with pytest.raises(ClientException) as refusal:
        await tea.create()
    assert (refusal.value.code, refusal.value.status_code) == ("OperationDenied.NoStock", 403)
    assert refusal.value.request_id


async def test_the_older_signature_of_the_client_is_taken_too(running: emulator.RunningEmulator):
    tea = TeaClient(running, signature_algorithm="v2")
    assert (await tea.call("ListUsage"))["Attributes"]["UsedCpu"] == "0"
