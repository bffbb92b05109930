"""A group goes through its states at the documented moments, by what its containers ask for."""

import pytest
from eci_client import Refused
from simulated import Simulation

from vk_providers.alibabacloud.emulator.settings import EmulatorSettings


def test_a_service_is_scheduled_then_pending_then_runs(simulation: Simulation):
    id = simulation.create()
    assert simulation.status(id) == "Scheduling"
    assert "IntranetIp" not in simulation.row(id)
    simulation.pass_time(2)
    assert simulation.status(id) == "Pending"
    assert simulation.row(id)["IntranetIp"] == "172.16.0.1"
    assert simulation.container(id)["CurrentState"]["Reason"] == "ContainerCreating"
    simulation.pass_time(4)
    assert simulation.status(id) == "Running"
    assert simulation.container(id)["CurrentState"]["StartTime"] == "2027-01-15T08:00:06Z"
    simulation.pass_time(86_400)
    assert simulation.status(id) == "Running"
    assert simulation.reasons(id) == ["Scheduled", "Pulling", "Pulled", "Created", "Started"]


def test_an_image_cache_shortens_the_pull(simulation: Simulation):
    id = simulation.create(AutoMatchImageCache="true")
    simulation.pass_time(2.5)
    assert simulation.status(id) == "Running"


def test_speed_divides_durations_and_leaves_moments_alone():
    simulation = Simulation(EmulatorSettings(speed=10, rates=0))
    id = simulation.create("sleep", "20", RestartPolicy="Never")
    simulation.pass_time(0.7)
    assert simulation.status(id) == "Running"
    simulation.pass_time(2)
    assert simulation.status(id) == "Succeeded"
    state = simulation.container(id)["CurrentState"]
    times = (state["StartTime"], state["FinishTime"])
    assert times == ("2027-01-15T08:00:00Z", "2027-01-15T08:00:02Z")


@pytest.mark.parametrize(
    ("policy", "command", "status"),
    [
        ("Never", ("sleep", "10"), "Succeeded"),
        ("Never", ("sh", "-c", "sleep 10; exit 3"), "Failed"),
        ("Never", ("exit", "3"), "Failed"),
        ("OnFailure", ("true",), "Succeeded"),
        ("OnFailure", ("false",), "Running"),
        ("Always", ("true",), "Running"),
        ("Never", ("nginx", "-g", "daemon off;"), "Running"),
        ("Never", ("sh", "-c", "while true; do sleep 1; done"), "Running"),
    ],
)
def test_the_restart_policy_decides_what_an_exit_comes_to(
    simulation: Simulation, policy: str, command: tuple[str, ...], status: str
):
    id = simulation.create(*command, RestartPolicy=policy)
    simulation.pass_time(60)
    assert simulation.status(id) == status


def test_a_terminated_state_has_exit_code_and_times(simulation: Simulation):
    id = simulation.create("sh", "-c", "sleep 10; exit 3", RestartPolicy="Never")
    simulation.pass_time(60)
    assert simulation.row(id)["FailedTime"] == "2027-01-15T08:00:16Z"
    assert simulation.container(id)["CurrentState"] == {
        "State": "Terminated",
        "Reason": "Error",
        "ExitCode": 3,
        "Signal": 0,
        "StartTime": "2027-01-15T08:00:06Z",
        "FinishTime": "2027-01-15T08:00:16Z",
    }


def test_a_crash_loop_backs_off_as_kubernetes_does(simulation: Simulation):
    id = simulation.create("false", RestartPolicy="OnFailure")
    counts = []
    for seconds in (6, 10, 20, 40, 80, 160, 300, 300):
        simulation.pass_time(seconds)
        row = simulation.container(id)
        counts.append(row["RestartCount"])
        assert row["CurrentState"]["Reason"] == "CrashLoopBackOff"
        assert row["PreviousState"]["ExitCode"] == 1
    assert counts == [1, 2, 3, 4, 5, 6, 7, 8]
    assert "BackOff" in simulation.reasons(id)


def test_an_image_that_is_missing_keeps_the_group_pending_and_billed_until_the_limit(
    simulation: Simulation,
):
    id = simulation.create(Container__1__Image="registry.example/missing:1", MaxPendingMinute=10)
    simulation.pass_time(300)
    assert simulation.status(id) == "Pending"
    assert simulation.container(id)["CurrentState"]["Reason"] == "ImagePullBackOff"
    simulation.pass_time(302)
    assert simulation.status(id) == "Failed"
    (entry,) = simulation.ledger()["groups"]
    assert entry["ended"] - entry["billed_from"] == 600


def test_pending_ends_after_four_hours_by_itself(simulation: Simulation):
    id = simulation.create(Container__1__Image="missing")
    simulation.pass_time(4 * 3600)
    assert simulation.status(id) == "Pending"
    simulation.pass_time(2)
    assert simulation.status(id) == "Failed"


def test_init_containers_run_one_after_the_other_before_the_others(simulation: Simulation):
    inits = {
        f"InitContainer__{n}__{name}": value
        for n in (1, 2)
        for name, value in {
            "Name": f"init{n}",
            "Image": "busybox",
            "Command__1": "sleep",
            "Command__2": 10,
        }.items()
    }
    id = simulation.create(**inits)
    simulation.pass_time(6)
    row = simulation.row(id)
    first, second = (each["CurrentState"] for each in row["InitContainers"])
    assert (first["State"], second["Reason"]) == ("Running", "PodInitializing")
    assert row["Containers"][0]["CurrentState"]["Reason"] == "PodInitializing"
    simulation.pass_time(25)
    assert simulation.status(id) == "Pending"
    simulation.pass_time(4)
    row = simulation.row(id)
    assert row["Status"] == "Running"
    assert [each["CurrentState"]["ExitCode"] for each in row["InitContainers"]] == [0, 0]


@pytest.mark.parametrize(("policy", "status"), [("Never", "Failed"), ("OnFailure", "Pending")])
def test_a_failing_init_container_fails_or_is_tried_again(
    simulation: Simulation, policy: str, status: str
):
    id = simulation.create(
        RestartPolicy=policy,
        InitContainer__1__Name="init",
        InitContainer__1__Image="busybox",
        InitContainer__1__Command__1="false",
    )
    simulation.pass_time(120)
    assert simulation.status(id) == status
    assert simulation.row(id)["InitContainers"][0]["RestartCount"] == (
        4 if status == "Pending" else 0
    )


def test_a_sidecar_ends_with_the_containers_it_serves(simulation: Simulation):
    id = simulation.create(
        "sleep",
        "10",
        RestartPolicy="Never",
        Container__2__Name="proxy",
        Container__2__Image="envoy",
        Container__2__EnvironmentVar__1__Key="ECI_CONTAINER_TYPE",
        Container__2__EnvironmentVar__1__Value="sidecar",
    )
    simulation.pass_time(30)
    assert simulation.status(id) == "Succeeded"
    assert simulation.row(id)["Containers"][1]["CurrentState"]["ExitCode"] == 137


def test_a_higher_priority_starts_and_is_ready_first(simulation: Simulation):
    id = simulation.create(
        Container__2__Name="proxy",
        Container__2__Image="envoy",
        Container__2__EnvironmentVar__1__Key="ECI_CONTAINER_LAUNCH_PRIORITY",
        Container__2__EnvironmentVar__1__Value="1000",
        Container__2__ReadinessProbe__TcpSocket__Port="15021",
        Container__2__ReadinessProbe__InitialDelaySeconds="20",
    )
    simulation.pass_time(25)
    states = [each["CurrentState"]["State"] for each in simulation.row(id)["Containers"]]
    assert states == ["Waiting", "Running"]
    simulation.pass_time(6)
    assert simulation.status(id) == "Running"


@pytest.mark.parametrize(
    ("probe", "ready"),
    [
        ({"TcpSocket__Port": 80}, True),
        ({"HttpGet__Port": 80, "HttpGet__Path": "/"}, True),
        ({"Exec__Command__1": "true"}, True),
        ({"Exec__Command__1": "false"}, False),
        ({"Exec__Command__1": "no-such-program"}, False),
    ],
)
def test_readiness_comes_by_the_probe(simulation: Simulation, probe: dict[str, str], ready: bool):
    named = {f"Container__1__ReadinessProbe__{name}": value for name, value in probe.items()}
    id = simulation.create(Container__1__ReadinessProbe__InitialDelaySeconds=5, **named)
    simulation.pass_time(6)
    assert not simulation.container(id)["Ready"]
    simulation.pass_time(60)
    assert simulation.container(id)["Ready"] is ready


def test_a_failing_liveness_probe_restarts_the_container(simulation: Simulation):
    id = simulation.create(
        Container__1__LivenessProbe__Exec__Command__1="false",
        Container__1__LivenessProbe__PeriodSeconds=5,
    )
    simulation.pass_time(6 + 10)
    row = simulation.container(id)
    assert row["RestartCount"] == 1
    assert (row["PreviousState"]["ExitCode"], row["PreviousState"]["Signal"]) == (137, 9)


def test_a_deadline_fails_the_group(simulation: Simulation):
    id = simulation.create(ActiveDeadlineSeconds=30)
    simulation.pass_time(33)
    assert simulation.status(id) == "Failed"
    assert "DeadlineExceeded" in simulation.reasons(id)


def test_a_delete_takes_the_group_away_at_once(simulation: Simulation):
    id = simulation.create()
    simulation.pass_time(10)
    simulation.call("DeleteContainerGroup", ContainerGroupId=id)
    assert simulation.ids() == []
    with pytest.raises(Refused, match=r"404 InvalidParameter\.NotFound"):
        simulation.call("DeleteContainerGroup", ContainerGroupId=id)


def test_a_hook_delays_the_end_by_at_most_the_grace_period(simulation: Simulation):
    id = simulation.create(
        Container__1__LifecyclePreStopHandlerExec__1="sleep",
        Container__1__LifecyclePreStopHandlerExec__2=100,
        TerminationGracePeriodSeconds=20,
    )
    simulation.pass_time(10)
    simulation.call("DeleteContainerGroup", ContainerGroupId=id)
    assert simulation.status(id) == "Terminating"
    with pytest.raises(Refused, match="400 IncorrectStatus"):
        simulation.call("DeleteContainerGroup", ContainerGroupId=id)
    simulation.pass_time(19)
    assert simulation.status(id) == "Terminating"
    simulation.pass_time(1)
    assert simulation.ids() == []


def test_force_waits_for_no_hook(simulation: Simulation):
    id = simulation.create(
        Container__1__LifecyclePreStopHandlerExec__1="sleep",
        Container__1__LifecyclePreStopHandlerExec__2=100,
    )
    simulation.pass_time(10)
    simulation.call("DeleteContainerGroup", ContainerGroupId=id)
    simulation.call("DeleteContainerGroup", ContainerGroupId=id, Force="true")
    assert simulation.ids() == []


def test_an_update_restarts_the_containers_and_keeps_the_address(simulation: Simulation):
    id = simulation.create()
    simulation.pass_time(10)
    address = simulation.row(id)["IntranetIp"]
    simulation.call(
        "UpdateContainerGroup",
        ContainerGroupId=id,
        Container__1__Name="main",
        Container__1__Image="nginx:1.28",
    )
    assert simulation.status(id) == "Updating"
    with pytest.raises(Refused, match="400 OperationConflict"):
        simulation.call("DeleteContainerGroup", ContainerGroupId=id)
    simulation.pass_time(10)
    row = simulation.row(id)
    assert (row["Status"], row["IntranetIp"]) == ("Running", address)
    assert row["Containers"][0]["Image"] == "nginx:1.28"
    assert row["Containers"][0]["RestartCount"] == 1


def test_an_incremental_update_keeps_what_it_does_not_name(simulation: Simulation):
    id = simulation.create("sleep", "1000")
    simulation.pass_time(10)
    simulation.call(
        "UpdateContainerGroup",
        ContainerGroupId=id,
        UpdateType="IncrementalUpdate",
        Container__1__Name="main",
        Container__1__Image="nginx:1.28",
    )
    assert simulation.container(id)["Commands"] == ["sleep", "1000"]


def test_tags_alone_restart_nothing(simulation: Simulation):
    id = simulation.create()
    simulation.pass_time(10)
    update = {"ContainerGroupId": id, "Tag__1__Key": "app", "Tag__1__Value": "web"}
    simulation.call("UpdateContainerGroup", **update)
    row = simulation.row(id)
    assert row["Status"] == "Running"
    assert {"Key": "app", "Value": "web"} in row["Tags"]
    with pytest.raises(Refused, match="400 NoNeedUpdate"):
        simulation.call("UpdateContainerGroup", **update)


def test_only_a_started_group_can_be_changed(simulation: Simulation):
    id = simulation.create()
    with pytest.raises(Refused, match="400 IncorrectStatus"):
        simulation.call("RestartContainerGroup", ContainerGroupId=id)
    simulation.pass_time(10)
    simulation.call("RestartContainerGroup", ContainerGroupId=id)
    assert simulation.status(id) == "Restarting"
    simulation.pass_time(10)
    assert simulation.status(id) == "Running"
    assert simulation.container(id)["RestartCount"] == 1


def test_a_reclaimed_spot_group_expires_three_minutes_after_the_notice(simulation: Simulation):
    id = simulation.create(SpotStrategy="SpotAsPriceGo")
    simulation.pass_time(10)
    group = simulation.cloud.group_store.get(id)
    group.reclaim(simulation.cloud.timeline.now())
    assert "SpotToBeReleased" in simulation.reasons(id)
    simulation.pass_time(179)
    assert simulation.status(id) == "Running"
    simulation.pass_time(1)
    row = simulation.row(id)
    assert (row["Status"], row["ExpiredTime"]) == ("Expired", "2027-01-15T08:03:10Z")


def test_what_ended_is_remembered_for_an_hour_and_then_the_newest_hundred(simulation: Simulation):
    for number in range(103):
        simulation.create("true", uid=f"u{number}", RestartPolicy="Never")
        simulation.pass_time(1)
    simulation.pass_time(3500)
    assert simulation.call("DescribeContainerGroups")["TotalCount"] == 103
    simulation.pass_time(120)
    assert simulation.call("DescribeContainerGroups")["TotalCount"] == 100


def test_a_group_that_found_no_stock_is_remembered_for_a_day(simulation: Simulation):
    simulation.faults({"kind": "schedule_failed"})
    id = simulation.create()
    simulation.pass_time(2)
    assert simulation.status(id) == "ScheduleFailed"
    assert "NoStock" in simulation.reasons(id)
    simulation.pass_time(86_399)
    assert simulation.status(id) == "ScheduleFailed"
    simulation.pass_time(1)
    assert simulation.ids() == []
