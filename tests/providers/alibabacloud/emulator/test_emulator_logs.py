"""A container's log is what its command has written so far; its metrics only grow."""

from typing import Any

import pytest
from eci_client import Refused
from simulated import Simulation

from vk_providers.alibabacloud.emulator.settings import EmulatorSettings

COUNTER = 'i=0; while true; do echo "n$i"; i=$((i+1)); sleep 1; done'


def log(simulation: Simulation, id: str, **more: Any) -> list[str]:
    """Return the lines of a log."""
    asked = {"ContainerGroupId": id, "ContainerName": "main", **more}
    answer = simulation.call("DescribeContainerLog", **asked)
    assert answer["ContainerName"] == "main"
    return str(answer["Content"]).splitlines()


@pytest.fixture
def counter(simulation: Simulation) -> str:
    """A group that has counted from n0 to n9."""
    id = simulation.create("sh", "-c", COUNTER)
    simulation.pass_time(6 + 9.5)
    return id


def test_a_log_grows_with_time(simulation: Simulation, counter: str):
    assert log(simulation, counter) == [f"n{n}" for n in range(10)]
    simulation.pass_time(1)
    assert log(simulation, counter)[-1] == "n10"


@pytest.mark.slow
def test_a_long_log_goes_on_where_it_was(simulation: Simulation, counter: str):
    simulation.pass_time(5_000)
    assert log(simulation, counter, Tail=2) == ["n5008", "n5009"]


@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        ({"Tail": 2}, ["n8", "n9"]),
        ({"SinceSeconds": 3}, ["n7", "n8", "n9"]),
        ({"StartTime": "2027-01-15T08:00:14Z"}, ["n8", "n9"]),
        ({"StartTime": "2027-01-15T08:00:14Z", "SinceSeconds": 1}, ["n9"]),
        ({"LimitBytes": 4}, ["n0", "n"]),
        ({"Tail": 1, "Timestamps": "true"}, ["2027-01-15T08:00:15.000000000Z n9"]),
    ],
)
def test_a_part_can_be_asked_for(
    simulation: Simulation, counter: str, asked: dict[str, Any], lines: list[str]
):
    assert log(simulation, counter, **asked) == lines


@pytest.mark.parametrize(
    "asked",
    [{"Tail": 2001}, {"LimitBytes": 1_048_577}, {"StartTime": "now"}, {"ContainerName": "x"}],
)
def test_more_than_there_is_is_refused(simulation: Simulation, counter: str, asked: dict[str, Any]):
    with pytest.raises(Refused, match="400 InvalidParameter"):
        log(simulation, counter, **asked)


def test_the_previous_run_has_a_log_of_its_own(simulation: Simulation):
    id = simulation.create("sh", "-c", "date; sleep 1; exit 1")
    simulation.pass_time(6)
    assert log(simulation, id, LastTime="true") == []
    assert log(simulation, id) == ["Fri Jan 15 08:00:06 UTC 2027"]
    simulation.pass_time(1)
    assert log(simulation, id) == ["Fri Jan 15 08:00:07 UTC 2027"]
    assert log(simulation, id, LastTime="true") == ["Fri Jan 15 08:00:06 UTC 2027"]


def test_the_log_of_what_ended_stays_while_the_group_is_remembered(simulation: Simulation):
    id = simulation.create("sh", "-c", "echo a; echo b >&2; exit 1", RestartPolicy="Never")
    simulation.pass_time(600)
    assert log(simulation, id) == ["a", "b"]
    simulation.call("DeleteContainerGroup", ContainerGroupId=id)
    with pytest.raises(Refused, match=r"404 InvalidParameter\.NotFound"):
        log(simulation, id)


def test_what_has_not_started_has_no_log(simulation: Simulation):
    assert log(simulation, simulation.create("echo", "a")) == []


def test_speed_is_that_of_the_container():
    simulation = Simulation(EmulatorSettings(speed=10, rates=0))
    id = simulation.create("sh", "-c", COUNTER)
    simulation.pass_time(0.6 + 0.95)
    assert log(simulation, id)[-1] == "n9"


def test_metrics_grow_and_stay_within_the_size(simulation: Simulation):
    id = simulation.create(Cpu=2, Memory=4)
    asked = {"ContainerGroupIds": f'["{id}", "eci-gone"]', "MetricType": "summary"}
    assert simulation.call("DescribeMultiContainerGroupMetric", **asked)["MonitorDatas"] == [
        {"ContainerGroupId": id, "Records": []}
    ]
    last = 0
    for _ in range(50):
        simulation.pass_time(37)
        (data,) = simulation.call("DescribeMultiContainerGroupMetric", **asked)["MonitorDatas"]
        (record,) = data["Records"]
        assert last < record["CPU"]["UsageCoreNanoSeconds"]
        assert 0 < record["CPU"]["UsageNanoCores"] < 2e9
        assert 0 < record["Memory"]["WorkingSet"] < 4 * 2**30
        assert [each["Name"] for each in record["Containers"]] == ["main"]
        last = record["CPU"]["UsageCoreNanoSeconds"]


def test_metrics_of_one_group_come_in_periods_until_its_end(simulation: Simulation):
    id = simulation.create("sleep", "100", RestartPolicy="Never")
    simulation.pass_time(600)
    asked = {"ContainerGroupId": id, "StartTime": "2027-01-15T08:00:00Z", "Period": "60"}
    records = simulation.call("DescribeContainerGroupMetric", **asked)["Records"]
    assert [each["Timestamp"] for each in records] == [
        "2027-01-15T08:00:46Z",
        "2027-01-15T08:01:46Z",
    ]
