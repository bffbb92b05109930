"""A container's log is what its command has written so far; its metrics only grow."""

import time
from typing import Any

import pytest
from eci_client import Refused
from simulated import START, Simulation

from vk_providers.alibabacloud.emulator.settings import EmulatorSettings

CLOCK = "while true; do date; sleep 1; done"


def tick(number: int) -> str:
    """Return the line of a clock so many seconds after its start."""
    at = time.gmtime(START + 6 + number)
    return time.strftime("%a %b %d %H:%M:%S UTC %Y", at)


def log(simulation: Simulation, id: str, **more: Any) -> list[str]:
    """Return the lines of a log."""
    asked = {"ContainerGroupId": id, "ContainerName": "main", **more}
    answer = simulation.call("DescribeContainerLog", **asked)
    assert answer["ContainerName"] == "main"
    return str(answer["Content"]).splitlines()


@pytest.fixture
def clock(simulation: Simulation) -> str:
    """A group that has written the time ten times."""
    id = simulation.create("sh", "-c", CLOCK)
    simulation.pass_time(6 + 9.5)
    return id


def test_a_log_grows_with_time(simulation: Simulation, clock: str):
    assert log(simulation, clock) == [tick(number) for number in range(10)]
    simulation.pass_time(1)
    assert log(simulation, clock)[-1] == tick(10)


@pytest.mark.slow
def test_a_long_log_goes_on_where_it_was(simulation: Simulation, clock: str):
    simulation.pass_time(5_000)
    assert log(simulation, clock, Tail=2) == [tick(5008), tick(5009)]


@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        ({"Tail": 2}, [tick(8), tick(9)]),
        ({"SinceSeconds": 3}, [tick(7), tick(8), tick(9)]),
        ({"StartTime": "2027-01-15T08:00:14Z"}, [tick(8), tick(9)]),
        ({"StartTime": "2027-01-15T08:00:14Z", "SinceSeconds": 1}, [tick(9)]),
        ({"LimitBytes": 35}, [tick(0), "Fri Ja"]),
        ({"Tail": 1, "Timestamps": "true"}, [f"2027-01-15T08:00:15.000000000Z {tick(9)}"]),
    ],
)
def test_a_part_can_be_asked_for(
    simulation: Simulation, clock: str, asked: dict[str, Any], lines: list[str]
):
    assert log(simulation, clock, **asked) == lines


@pytest.mark.parametrize(
    "asked",
    [{"Tail": 2001}, {"LimitBytes": 1_048_577}, {"StartTime": "now"}, {"ContainerName": "x"}],
)
def test_more_than_there_is_is_refused(simulation: Simulation, clock: str, asked: dict[str, Any]):
    with pytest.raises(Refused, match="400 InvalidParameter"):
        log(simulation, clock, **asked)


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
    id = simulation.create("sh", "-c", CLOCK)
    simulation.pass_time(0.6 + 0.95)
    assert log(simulation, id)[-1] == "Fri Jan 15 08:00:01 UTC 2027"


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
