"""Whatever is asked in whatever order: places, quota, ledger and lists agree with each other."""

from contextlib import suppress

import pytest
from eci_client import Refused
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import Dropped, Simulation

from vk_providers.alibabacloud.emulator.settings import EmulatorSettings

COMMANDS = [(), ("true",), ("false",), ("sleep", "7"), ("sh", "-c", "sleep 3; exit 2")]
CREATES = st.fixed_dictionaries(
    {
        "RestartPolicy": st.sampled_from(["Always", "OnFailure", "Never"]),
        "Container__1__Image": st.sampled_from(["nginx", "missing"]),
        "Cpu": st.sampled_from([1, 2, 4]),
        "ClientToken": st.sampled_from(["a", "b", "c", "d", "e", "f"]),
    },
    optional={
        "MaxPendingMinute": st.just(10),
        "ActiveDeadlineSeconds": st.just(20),
        "SpotStrategy": st.just("SpotAsPriceGo"),
        "InitContainer__1__Name": st.just("init"),
        "InitContainer__1__Image": st.just("busybox"),
    },
).filter(lambda asked: ("InitContainer__1__Name" in asked) == ("InitContainer__1__Image" in asked))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), CREATES, st.sampled_from(COMMANDS)),
        st.tuples(st.just("pass"), st.sampled_from([1, 5, 60, 700, 4000, 90_000])),
        st.tuples(st.sampled_from(["delete", "restart", "update", "reclaim"]), st.integers(0, 9)),
        st.tuples(st.just("stock"), st.sampled_from([0, 3, None])),
        st.tuples(st.just("lose"), st.booleans()),
    ),
    max_size=25,
)


def play(simulation: Simulation, step: tuple[object, ...]) -> None:
    """Do one step; a refusal is as good as success."""
    groups = list(simulation.cloud.group_store.all())
    match step:
        case "create", dict(asked), tuple(command):
            simulation.create(*command, **asked)
        case "pass", int(seconds):
            simulation.pass_time(seconds)
        case "stock", stock:
            simulation.cloud.region.stock = {"cn-hangzhou-h": stock}  # type: ignore[dict-item] # drawn
        case "lose", lost:
            simulation.faults(*([{"kind": "lost_reply", "probability": 0.5}] if lost else []))
        case str(verb), int(number) if groups:
            group = groups[number % len(groups)]
            if verb == "reclaim":
                if group.alive:
                    group.reclaim(simulation.cloud.timeline.now())
            elif verb == "update":
                image = {"Container__1__Name": "main", "Container__1__Image": f"nginx:{number}"}
                simulation.call("UpdateContainerGroup", ContainerGroupId=group.id, **image)
            else:
                action = {"delete": "DeleteContainerGroup", "restart": "RestartContainerGroup"}
                simulation.call(action[verb], ContainerGroupId=group.id)


def check(simulation: Simulation) -> None:
    """Compare every account of the same thing."""
    now = simulation.cloud.timeline.now()
    groups = list(simulation.cloud.group_store.all())
    alive = [group for group in groups if group.alive]
    region = simulation.cloud.region
    assert region.used_cpu == sum(group.size.cpu for group in alive)
    assert len(region.subnets["vsw-emulator-h"].taken) == len(alive)
    assert simulation.living() == [group.id for group in alive]
    for entry in simulation.ledger()["groups"]:
        moments = [entry["created"], entry["billed_from"], entry["ended"], now]
        known = [moment for moment in moments if moment is not None]
        assert known == sorted(known)
    for group in groups:
        running = [each for each in group.containers if each.ready]
        assert not (running and not group.alive)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_all_accounts_agree_after_every_step(steps: list[tuple[object, ...]]):
    simulation = Simulation(EmulatorSettings(rates=0, seed=1))
    for step in steps:
        with suppress(Refused, Dropped):
            play(simulation, step)
        check(simulation)
