"""Which taints a node gets by its conditions."""

from __future__ import annotations

from typing import Any

import pytest

from vk.devcluster.controllers.node_taints import taints_for

Json = dict[str, Any]


def taint(name: str, effect: str = "NoSchedule") -> Json:
    return {"key": f"node.kubernetes.io/{name}", "effect": effect}


def node(*taints: Json, cordoned: bool = False, **conditions: str) -> Json:
    return {
        "metadata": {"name": "n1", "resourceVersion": "7"},
        "spec": {"taints": list(taints), "unschedulable": cordoned},
        "status": {"conditions": [{"type": t, "status": s} for t, s in conditions.items()]},
    }


MINE = {"key": "example.com/mine", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (node(taint("not-ready"), Ready="True"), []),
        (node(taint("not-ready"), MINE, Ready="True"), [MINE]),
        (node(MINE, Ready="False"), [MINE, taint("not-ready")]),
        (node(taint("not-ready"), Ready="Unknown"), [taint("unreachable")]),
        (node(MINE, Ready="True", MemoryPressure="True"), [MINE, taint("memory-pressure")]),
        (node(Ready="True", DiskPressure="True"), [taint("disk-pressure")]),
        (node(Ready="True", MemoryPressure="False"), []),
        (node(Ready="True", cordoned=True), [taint("unschedulable")]),
        (node(taint("unschedulable"), Ready="True"), []),
        (node(taint("not-ready", "NoExecute"), Ready="True"), [taint("not-ready", "NoExecute")]),
    ],
)
def test_a_node_gets_the_taints_of_its_conditions_and_keeps_others(
    before: Json, after: list[Json]
) -> None:
    assert taints_for(before) == after
