"""The ledger has each call and each billed group, to detect doubles and leaks."""

import pytest
from eci_client import Refused
from hypothesis import given
from hypothesis import strategies as st
from simulated import START, Dropped, Simulation

from vk_providers.alibabacloud.emulator.ledger import billed_twice, pod_uid


def test_a_group_is_billed_from_pending_to_its_end(simulation: Simulation):
    id = simulation.create("sleep", "10", uid="u1", RestartPolicy="Never")
    (entry,) = simulation.ledger()["groups"]
    assert entry == {
        "id": id,
        "pod_uid": "u1",
        "created": START,
        "billed_from": None,
        "ended": None,
    }
    simulation.pass_time(3)
    assert simulation.ledger()["groups"][0]["billed_from"] == START + 2
    simulation.pass_time(60)
    assert simulation.ledger()["groups"][0]["ended"] == START + 16
    simulation.call("DeleteContainerGroup", ContainerGroupId=id)
    assert simulation.ledger()["groups"][0]["ended"] == START + 16


def test_a_deleted_group_ends_when_it_is_gone(simulation: Simulation):
    id = simulation.create()
    simulation.pass_time(20)
    simulation.call("DeleteContainerGroup", ContainerGroupId=id)
    assert simulation.ledger()["groups"][0]["ended"] == START + 20
    assert simulation.living() == []


def test_a_group_that_found_no_stock_was_never_billed(simulation: Simulation):
    simulation.faults({"kind": "schedule_failed"})
    simulation.create()
    simulation.pass_time(10)
    (entry,) = simulation.ledger()["groups"]
    assert (entry["billed_from"], entry["ended"]) == (None, START + 2)


def test_every_call_is_recorded_with_its_token_and_code(simulation: Simulation):
    id = simulation.create(ClientToken="t-0")
    with pytest.raises(Refused):
        simulation.create(ClientToken="t-0", Cpu=4)
    simulation.call("DeleteContainerGroup", ContainerGroupId=id)
    told = [(c["action"], c["token"], c["code"], c["group"]) for c in simulation.ledger()["calls"]]
    assert told == [
        ("CreateContainerGroup", "t-0", None, id),
        ("CreateContainerGroup", "t-0", "IdempotentParameterMismatch", None),
        ("DeleteContainerGroup", None, None, id),
    ]


def test_a_lost_reply_is_recorded_as_done_with_its_fault(simulation: Simulation):
    simulation.faults({"kind": "lost_reply"})
    with pytest.raises(Dropped):
        simulation.create()
    (call,) = simulation.ledger()["calls"]
    assert (call["code"], call["fault"]) == (None, "lost_reply")
    assert call["group"] == simulation.ledger()["groups"][0]["id"]


def test_two_groups_of_one_pod_at_one_time_are_a_double(simulation: Simulation):
    first = simulation.create(uid="u1")
    simulation.create(uid="u2")
    simulation.pass_time(10)
    assert simulation.doubles() == []
    simulation.create(uid="u1")
    simulation.pass_time(1)
    assert simulation.doubles() == []
    simulation.pass_time(1)
    assert simulation.doubles() == ["u1"]
    simulation.pass_time(1)
    simulation.call("DeleteContainerGroup", ContainerGroupId=first)
    assert simulation.doubles() == ["u1"]


def test_one_group_after_the_other_is_no_double(simulation: Simulation):
    first = simulation.create(uid="u1")
    simulation.pass_time(10)
    simulation.call("DeleteContainerGroup", ContainerGroupId=first)
    simulation.create(uid="u1")
    simulation.pass_time(10)
    assert simulation.doubles() == []


MOMENTS = st.integers(0, 12)


@pytest.mark.slow
@given(st.lists(st.tuples(MOMENTS, st.none() | MOMENTS), max_size=4))
def test_a_double_is_what_a_look_at_every_moment_finds(spans: list[tuple[int, int | None]]):
    spans = [(a, b) for a, b in spans if b is None or a < b]
    groups = [{"pod_uid": "u", "billed_from": a, "ended": b} for a, b in spans]
    at_once = [sum(a <= at and (b is None or at < b) for a, b in spans) for at in range(14)]
    assert bool(billed_twice({"groups": groups})) == (max(at_once) > 1)


@pytest.mark.parametrize(
    ("tags", "uid"),
    [
        ({"pod-uid": "u"}, "u"),
        ({"vk.io/pod-uid": "u"}, "u"),
        ({"PodUID": "u"}, "u"),
        ({"UID": "u", "ClusterUID": "c"}, "u"),
        ({"cluster-uid": "c", "pod": "p"}, None),
        ({}, None),
    ],
)
def test_the_pods_uid_is_found_in_the_tags(tags: dict[str, str], uid: str | None):
    assert pod_uid(tags) == uid
