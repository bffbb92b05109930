"""Each fault affects the named calls, as often as configured."""

import asyncio
import re
import time
from typing import Any

import aiohttp
import pytest
from eci_client import Client, Refused
from simulated import Dropped, Simulation

from vk_providers.alibabacloud import emulator
from vk_providers.alibabacloud.emulator.faults import KINDS, read_faults

CREATE = "CreateContainerGroup"


@pytest.mark.parametrize(("kind", "groups"), [("lost_reply", 1), ("reset", 0)])
def test_no_answer_comes_and_the_group_exists_or_not(
    simulation: Simulation, kind: str, groups: int
):
    simulation.faults({"kind": kind, "actions": [CREATE]})
    with pytest.raises(Dropped):
        simulation.create()
    assert len(simulation.ids()) == groups


@pytest.mark.parametrize("kind", ["lost_reply", "reset"])
async def test_a_client_sees_a_closed_connection(
    running: emulator.RunningEmulator, client: Client, kind: str
):
    await running.set_faults({"kind": kind})
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.create()


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize(
    ("kind", "status", "start"),
    [("server_error", 500, b'{"RequestId"'), ("server_error", 503, b"{"), ("html", 502, b"<html>")],
)
async def test_a_server_error_does_not_determine_the_outcome(
    running: emulator.RunningEmulator,
    client: Client,
    kind: str,
    status: int,
    start: bytes,
    done: bool,
):
    await running.set_faults({"kind": kind, "status": status, "done": done, "count": 1})
    call = client.signed(
        CREATE,
        {"ContainerGroupName": "web", "Container.1.Name": "c", "Container.1.Image": "nginx"},
    )
    async with client.session.post(client.url, data=call) as response:
        assert response.status == status
        assert (await response.read()).startswith(start)
    assert (await client.call("DescribeContainerGroups"))["TotalCount"] == int(done)


async def test_a_truncated_answer_is_no_json(running: emulator.RunningEmulator, client: Client):
    await running.set_faults({"kind": "truncated", "count": 1})
    with pytest.raises(ValueError, match=r"(?i)unterminated|expecting|delimiter"):
        await client.create()
    assert (await client.call("DescribeContainerGroups"))["TotalCount"] == 1


@pytest.mark.parametrize(("done", "seen"), [(True, 1), (False, 0)])
async def test_a_delayed_call_is_done_before_or_after_the_wait(
    running: emulator.RunningEmulator, client: Client, done: bool, seen: int
):
    await running.set_faults(
        {"kind": "delay", "seconds": 0.2, "done": done, "actions": [CREATE], "count": 1}
    )
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        creating = tasks.create_task(client.create())
        while not (await running.ledger())["calls"]:
            continue
        assert (await client.call("DescribeContainerGroups"))["TotalCount"] == seen
    assert time.monotonic() - began >= 0.2
    ledger = await running.ledger()
    age = ledger["groups"][0]["created"] - ledger["calls"][0]["at"]
    assert (age >= 0.2) is not done
    assert (await client.group(creating.result()))["Status"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "throttle"}, "400 Throttling"),
        ({"kind": "throttle", "code": "Throttling.User"}, r"400 Throttling\.User"),
        ({"kind": "no_stock"}, r"403 OperationDenied\.NoStock"),
        ({"kind": "error", "code": "Account.Arrearage", "status": 403}, "403 Account.Arrearage"),
        ({"kind": "denied"}, r"403 Forbidden\.RAM"),
    ],
)
def test_a_refusal_creates_nothing(simulation: Simulation, fault: dict[str, Any], code: str):
    simulation.faults({**fault, "actions": [CREATE]})
    with pytest.raises(Refused, match=code):
        simulation.create()
    assert simulation.ids() == []


def test_lists_without_permission_are_empty_and_no_error(simulation: Simulation):
    id = simulation.create()
    simulation.faults({"kind": "denied"})
    for action in ("DescribeContainerGroups", "DescribeContainerGroupStatus"):
        answer = simulation.call(action)
        assert (answer["TotalCount"], answer["NextToken"]) == (0, "")
    assert simulation.ids(ContainerGroupIds=f'["{id}"]') == []
    vswitches = simulation.call("DescribeVSwitches", "2016-04-28")["VSwitches"]
    assert vswitches == {"VSwitch": []}


def test_a_short_page_goes_on_and_a_cut_list_does_not(simulation: Simulation):
    ids = [simulation.create(uid=f"u{n}") for n in range(5)]
    simulation.faults({"kind": "short_page", "rows": 2, "count": 1})
    page = simulation.call("DescribeContainerGroups")
    assert [row["ContainerGroupId"] for row in page["ContainerGroups"]] == ids[:2]
    assert simulation.ids(NextToken=page["NextToken"]) == ids[2:]
    simulation.faults({"kind": "cut_list", "rows": 2})
    page = simulation.call("DescribeContainerGroups")
    assert (len(page["ContainerGroups"]), page["NextToken"]) == (2, "")
    simulation.faults({"kind": "cut_list", "rows": 0})
    assert simulation.ids() == []


def test_a_group_may_be_accepted_and_then_not_scheduled(simulation: Simulation):
    simulation.faults({"kind": "schedule_failed", "actions": [CREATE]})
    id = simulation.create()
    simulation.pass_time(2)
    assert simulation.status(id) == "ScheduleFailed"
    (row,) = simulation.call("DescribeContainerGroupStatus")["Data"]
    reasons = [each.get("reason") for each in row["podStatus"]["conditions"]]
    assert "ContainerGroup.NoStock" in reasons


def test_unknown_fields_come_at_every_level(simulation: Simulation):
    simulation.create()
    simulation.faults({"kind": "unknown_fields"})
    answer = simulation.call("DescribeContainerGroups")
    assert answer["EmulatorUnknown"]
    assert answer["ContainerGroups"][0]["Containers"][0]["EmulatorUnknown"]


@pytest.mark.parametrize("action", ["DescribeContainerGroups", "DescribeContainerGroupStatus"])
def test_rows_may_be_strange_or_broken(simulation: Simulation, action: str):
    ids = [simulation.create(uid=f"u{n}") for n in range(2)]

    def rows() -> list[dict[str, Any]]:
        answer = simulation.call(action)
        return [{k.lower(): v for k, v in row.items()} for row in answer[list(answer)[-1]]]

    simulation.faults({"kind": "unknown_status"})
    assert [row["status"] for row in rows()] == ["Hibernating"] * 2
    simulation.faults({"kind": "broken_row"})
    broken, whole = rows()
    assert [broken["containergroupid"], whole["containergroupid"]] == ids
    assert (broken["status"], whole["status"]) == (None, "Scheduling")


def test_a_delete_may_be_answered_and_not_done(simulation: Simulation):
    id = simulation.create()
    simulation.faults({"kind": "ignored", "count": 1})
    simulation.call("DeleteContainerGroup", ContainerGroupId=id)
    assert simulation.ids() == [id]
    simulation.call("DeleteContainerGroup", ContainerGroupId=id)
    assert simulation.ids() == []


def test_the_reply_of_a_refused_call_is_lost_too(simulation: Simulation):
    simulation.faults({"kind": "lost_reply"})
    with pytest.raises(Dropped):
        simulation.call("DeleteContainerGroup", ContainerGroupId="eci-gone")
    assert simulation.ledger()["calls"][0]["code"] == "InvalidParameter.NotFound"


def test_a_count_runs_out(simulation: Simulation):
    simulation.faults({"kind": "throttle", "count": 2})
    for _ in range(2):
        with pytest.raises(Refused, match="Throttling"):
            simulation.ids()
    assert simulation.ids() == []


@pytest.mark.slow
def test_a_probability_is_kept(simulation: Simulation):
    simulation.faults({"kind": "lost_reply", "probability": 0.3})
    lost = 0
    for number in range(1000):
        try:
            simulation.create(uid=f"u{number}")
        except Dropped:
            lost += 1
    assert 250 < lost < 350
    assert len(simulation.ledger()["groups"]) == 1000


def test_only_named_actions_are_hit(simulation: Simulation):
    simulation.faults({"kind": "throttle", "actions": ["DeleteContainerGroup"]})
    id = simulation.create()
    with pytest.raises(Refused, match="Throttling"):
        simulation.call("DeleteContainerGroup", ContainerGroupId=id)


def test_the_first_fault_that_is_met_is_the_one(simulation: Simulation):
    simulation.faults({"kind": "throttle", "count": 1}, {"kind": "denied"})
    with pytest.raises(Refused, match="Throttling"):
        simulation.create()
    with pytest.raises(Refused, match="Forbidden"):
        simulation.create()


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ([], 'expected {"faults": [...]}'),
        ({"fault": []}, 'expected {"faults": [...]}'),
        ({"faults": {}}, "faults: expected a list"),
        ({"faults": [1]}, "faults[0]: expected an object"),
        ({"faults": [{"kind": "fire"}]}, "faults[0].kind: expected one of lost_reply"),
        (
            {"faults": [{"kind": "reset"}, {"kind": "reset", "probability": 2}]},
            "faults[1].probability: expected a number from 0 to 1, found 2",
        ),
        ({"faults": [{"kind": "reset", "probability": True}]}, "faults[0].probability: expected"),
        ({"faults": [{"kind": "reset", "count": -1}]}, "faults[0].count: expected an integer"),
        ({"faults": [{"kind": "reset", "actions": "x"}]}, "faults[0].actions: expected a list"),
        ({"faults": [{"kind": "reset", "prob": 1}]}, "faults[0].prob: expected one of kind"),
        ({"faults": [{"kind": "error"}]}, "faults[0]: the kind error needs code and status"),
        ({"faults": [{"kind": "html", "status": 200}]}, "faults[0].status: expected a status"),
    ],
)
def test_wrong_faults_are_refused_in_one_line_that_names_them(document: Any, error: str):
    with pytest.raises(ValueError, match=re.escape(error)) as refusal:
        read_faults(document)
    assert "\n" not in str(refusal.value)


async def test_a_wrong_put_changes_nothing(running: emulator.RunningEmulator, client: Client):
    await running.set_faults({"kind": "throttle"})
    with pytest.raises(ValueError, match=r"faults\[0\].kind"):
        await running.set_faults({"kind": "fire"})
    async with client.session.put(f"{running.url}/emulator/faults", data=b"{") as response:
        assert (response.status, list(await response.json())) == (400, ["error"])
    with pytest.raises(Refused, match="Throttling"):
        await client.create()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_set(kind: str):
    document = {"kind": kind, "code": "X", "status": 500}
    (fault,) = read_faults({"faults": [document]})
    assert read_faults({"faults": [fault.document()]})[0].document() == fault.document()
