"""Lists come in pages, by filters, late for new groups, and in the casing of the service."""

import orjson
import pytest
from eci_client import Refused
from simulated import Simulation

from vk_providers.alibabacloud.emulator.settings import EmulatorSettings

ALL = "DescribeContainerGroups"
STATUS = "DescribeContainerGroupStatus"


def pages(simulation: Simulation, action: str, key: str, **filters: object) -> list[list[str]]:
    """Return the ids of each page up to the last."""
    found, token = list[list[str]](), ""
    while True:
        more = {"NextToken": token} if token else {}
        answer = simulation.call(action, **filters, **more)
        found.append([row.get(key) or row["containerGroupId"] for row in answer[list(answer)[-1]]])
        token = answer["NextToken"]
        if not token:
            return found


@pytest.mark.parametrize(("action", "size"), [(ALL, 20), (STATUS, 200)])
def test_pages_are_full_and_hold_every_group_once(simulation: Simulation, action: str, size: int):
    ids = [simulation.create(uid=f"u{n}") for n in range(size * 2 + 3)]
    found = pages(simulation, action, "ContainerGroupId")
    assert [len(page) for page in found] == [size, size, 3]
    assert [id for page in found for id in page] == ids


def test_a_full_last_page_has_no_token(simulation: Simulation):
    ids = [simulation.create(uid=f"u{n}") for n in range(4)]
    assert pages(simulation, ALL, "ContainerGroupId", Limit=2) == [ids[:2], ids[2:]]


@pytest.mark.parametrize(("action", "limit"), [(ALL, 21), (ALL, 0), (STATUS, 201)])
def test_a_larger_page_is_refused(simulation: Simulation, action: str, limit: int):
    with pytest.raises(Refused, match="400 InvalidParameter"):
        simulation.call(action, Limit=limit)


def test_a_token_is_good_for_its_own_filter_only(simulation: Simulation):
    for number in range(3):
        simulation.create(uid=f"u{number}")
    token = simulation.call(ALL, Limit=1)["NextToken"]
    assert simulation.call(ALL, Limit=2, NextToken=token)["TotalCount"] == 3
    for other in ({"Status": "Running"}, {"NextToken": "0" * 32}):
        with pytest.raises(Refused, match="400 InvalidParameter"):
            simulation.call(ALL, **{"NextToken": token, **other})


def test_groups_that_go_between_pages_shift_nothing(simulation: Simulation):
    ids = [simulation.create(uid=f"u{n}") for n in range(4)]
    token = simulation.call(ALL, Limit=2)["NextToken"]
    simulation.call("DeleteContainerGroup", ContainerGroupId=ids[0])
    assert simulation.ids(NextToken=token) == ids[2:]


def test_tags_and_other_filters_choose(simulation: Simulation):
    one = simulation.create(uid="u1", VSwitchId="vsw-emulator-i")
    two = simulation.create(uid="u2", ContainerGroupName="other")
    assert simulation.ids(Tag__1__Key="pod-uid", Tag__1__Value="u2") == [two]
    assert simulation.ids(Tag__1__Key="pod-uid") == [one, two]
    assert simulation.ids(Tag__1__Key="pod-uid", Tag__2__Key="absent") == []
    assert simulation.ids(ContainerGroupName="other") == [two]
    assert simulation.ids(ZoneId="cn-hangzhou-i") == [one]
    assert simulation.ids(VSwitchId="vsw-emulator-h") == [two]
    assert simulation.ids(Status="Running") == []
    simulation.pass_time(6)
    assert simulation.ids(Status="Running") == [one, two]


def test_ids_find_what_exists_and_miss_what_does_not(simulation: Simulation):
    id = simulation.create()
    assert simulation.ids(ContainerGroupIds=orjson.dumps([id, "eci-gone"]).decode()) == [id]
    assert simulation.ids(ContainerGroupIds='["eci-gone"]') == []
    for wrong in ("eci-x", "{}", "[]", orjson.dumps(["eci-x"] * 21).decode()):
        with pytest.raises(Refused, match="400 InvalidParameter"):
            simulation.ids(ContainerGroupIds=wrong)


def test_lists_miss_a_new_group_for_a_while_but_its_id_finds_it():
    simulation = Simulation(EmulatorSettings(rates=0, list_lag=10, speed=2))
    id = simulation.create()
    assert simulation.ids() == simulation.ids(Tag__1__Key="pod-uid") == []
    assert simulation.status(id) == "Scheduling"
    simulation.pass_time(5)
    assert simulation.ids() == [id]


def test_the_statuses_of_the_last_seconds_are_those_that_changed(simulation: Simulation):
    old = simulation.create(uid="u1")
    simulation.pass_time(100)
    new = simulation.create(uid="u2")
    rows = simulation.call(STATUS, SinceSecond=60)["Data"]
    assert [row["containerGroupId"] for row in rows] == [new]
    simulation.call("RestartContainerGroup", ContainerGroupId=old)
    rows = simulation.call(STATUS, SinceSecond=60)["Data"]
    assert [row["containerGroupId"] for row in rows] == [old, new]


def test_a_status_is_nearly_a_pod_status(simulation: Simulation):
    simulation.create("sh", "-c", "sleep 10; exit 3", RestartPolicy="Never")
    simulation.pass_time(60)
    (row,) = simulation.call(STATUS)["Data"]
    status = row["podStatus"]
    assert "tags" not in {key.lower() for key in row}
    assert (row["status"], row["namespace"], status["phase"]) == ("Failed", "default", "Failed")
    assert status["podIPs"] == [{"ip": status["podIP"]}]
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 3
    assert ended["containerID"].startswith("containerd://")
    kinds = {each["type"] for each in status["conditions"]}
    assert {"PodScheduled", "Initialized", "Ready", "ContainersReady"} <= kinds


def test_a_status_is_in_the_casing_of_the_service_and_in_that_of_the_metadata(
    simulation: Simulation,
):
    simulation.create()
    (row,) = simulation.call(STATUS)["Data"]
    assert row["podStatus"]["containerStatuses"][0]["state"]["waiting"]["reason"]
    assert row["PodStatus"]["ContainerStatuses"][0]["State"]["Waiting"]["Reason"]
    assert row["containerGroupId"] == row["ContainerGroupId"]


def test_events_come_with_the_list_or_by_themselves(simulation: Simulation):
    id = simulation.create(Container__1__Image="missing")
    simulation.pass_time(60)
    assert simulation.call(ALL)["ContainerGroups"][0]["Events"] == []
    assert {"Scheduled", "Failed", "BackOff"} <= set(simulation.reasons(id))
    (row,) = simulation.call("DescribeContainerGroupEvents", EventSource="EciService")["Data"]
    assert [each["reason"] for each in row["events"]] == ["Scheduled"]
    assert row["events"][0]["involvedObject"]["uid"] == id
    simulation.pass_time(5)
    recent = {"SinceSecond": 60, "EventSource": "EciService"}
    assert simulation.call("DescribeContainerGroupEvents", **recent)["Data"] == []


def test_events_of_groups_of_one_name_have_names_of_their_own(simulation: Simulation):
    for uid in ("u1", "u2"):
        simulation.create(uid=uid)
    simulation.pass_time(60)
    rows = simulation.call(ALL, WithEvent="true")["ContainerGroups"]
    names = [event["Name"] for row in rows for event in row["Events"]]
    assert len(set(names)) == len(names) == 10


def test_hidden_values_and_the_contents_of_files_are_not_returned(simulation: Simulation):
    canary = "Y2FuYXJ5"
    file = "Volume__1__ConfigFileVolume__ConfigFileToPath__1__"
    id = simulation.create(
        Container__1__EnvironmentVarHide="true",
        Container__1__EnvironmentVar__1__Key="PASSWORD",
        Container__1__EnvironmentVar__1__Value=canary,
        Container__1__VolumeMount__1__Name="v",
        Container__1__VolumeMount__1__MountPath="/v",
        ImageRegistryCredential__1__Server="registry.example",
        ImageRegistryCredential__1__UserName="me",
        ImageRegistryCredential__1__Password=canary,
        Volume__1__Name="v",
        Volume__1__Type="ConfigFileVolume",
        **{f"{file}Path": "a", f"{file}Content": canary},
    )
    assert canary not in str(simulation.row(id))
    assert canary not in str(simulation.ledger())


def test_tags_are_set_listed_and_taken_away(simulation: Simulation):
    id = simulation.create()
    kind = {"ResourceType": "containergroup", "ResourceId__1": id}
    simulation.call("TagResources", **kind, Tag__1__Key="app", Tag__1__Value="web")
    (row,) = simulation.call("ListTagResources", **kind, Tag__1__Key="app")["TagResources"]
    assert (row["ResourceId"], row["TagValue"]) == (id, "web")
    simulation.call("UntagResources", **kind, TagKey__1="app")
    rows = simulation.call("ListTagResources", **kind)["TagResources"]
    assert [each["TagKey"] for each in rows] == ["pod-uid"]
