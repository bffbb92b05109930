"""Lost answers, kills at random points and lagging lists: one group a pod, and no leak."""

from __future__ import annotations

import os
import random
import time
from typing import Any

import manifests
import pytest
from eci_emulator import Emulator, emulator
from eci_node import apply, start
from node_process import NodeProcess, StartNode

from vk.testing.control_plane import ControlPlane, eventually
from vk_providers.alibabacloud.emulator import billed_twice

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1500)]

CREATE, DELETE = "CreateContainerGroup", "DeleteContainerGroup"
FULL = os.environ.get("CI") == "true"
"""CI has a quarter of an hour for it, beside the other tests; a person mostly has not."""
CREATES = int(os.environ.get("VK_ECI_CREATES", "2000" if FULL else "150"))
KILLS = int(os.environ.get("VK_ECI_KILLS", "20" if FULL else "6"))

LAG = 90
"""Seconds for which lists lack a new group: three times as long as the node believes."""
BRIEF = max(10, CREATES // 15)
"""Pods whose groups become orphans: what goes in one pass."""
LEFT = 60.0
"""Seconds from the first appearance in a list in which an orphan is ended."""


def kept(node: NodeProcess) -> bool:
    """Start the process again where it ended by itself, as a Deployment would."""
    try:
        node.check()
    except RuntimeError:  # with a lease of 3 s a busy machine is enough to lose it
        node.start()
    return True


def pods(control_plane: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = control_plane.get("pods", f"--namespace={namespace}")["items"]
    return found


def running(control_plane: ControlPlane, namespace: str) -> int:
    return sum(pod["status"].get("phase") == "Running" for pod in pods(control_plane, namespace))


def orphaned(eci: Emulator, before: set[str]) -> list[dict[str, Any]]:
    """Return the groups that were created since, from the ledger."""
    return [group for group in eci.ledger()["groups"] if group["id"] not in before]


def test_ambiguity(control_plane: ControlPlane, make_node: StartNode, namespace: str) -> None:
    lottery = random.Random(7)
    with emulator("--speed=10", "--rates=0", f"--list-lag={LAG * 10}") as eci:
        eci.set_faults({"kind": "lost_reply", "actions": [CREATE], "probability": 0.3})
        flags = ("--node-lease-duration", "3s", "--orphans", "delete")
        node = start(make_node, eci, *flags, pods="5000", list_lag="30")
        apply(
            control_plane,
            namespace,
            manifests.workload("Deployment", "web", node.name, CREATES),
        )
        for _ in range(KILLS):
            time.sleep(lottery.uniform(1.0, 6.0))
            node.kill()
            node.start()
        eventually(
            lambda: kept(node) and running(control_plane, namespace) == CREATES,
            "all pods run",
            timeout=600.0,
        )
        ledger = eci.ledger()
        assert billed_twice(ledger) == []
        assert len(eci.living()) == CREATES
        assert [call for call in ledger["calls"] if call["action"] == DELETE] == []
        leave_orphans(control_plane, eci, node, namespace)
        eci.set_faults()
        control_plane.kubectl("delete", "deployment", "web", f"-n={namespace}")
        eventually(lambda: kept(node) and not eci.living(), "nothing is billed", timeout=300.0)
        assert billed_twice(eci.ledger()) == []
        eventually(
            lambda: kept(node) and not pods(control_plane, namespace),
            "no pod is left",
            timeout=120.0,
        )
        node.stop()  # its last events must not meet a namespace that is going
        creates = [call for call in eci.ledger()["calls"] if call["action"] == CREATE]
        lost = sum(call["fault"] == "lost_reply" for call in creates)
        print(f"{CREATES} pods, {KILLS} kills: {len(creates)} creates, {lost} answers lost")


def leave_orphans(
    control_plane: ControlPlane, eci: Emulator, node: NodeProcess, namespace: str
) -> None:
    """Kill the node while it creates, delete those pods by force, and see their groups end.

    Nothing knows of them then; lists show them after the lag, and a minute later they have ended.
    """
    before = {group["id"] for group in eci.ledger()["groups"]}
    brief = manifests.workload("Deployment", "brief", node.name, BRIEF)
    apply(control_plane, namespace, brief.replace('"app": "web"', '"app": "brief"'))
    eventually(lambda: len(orphaned(eci, before)) >= BRIEF // 2, "groups are created")
    node.kill()
    control_plane.kubectl("delete", "deployment", "brief", f"-n={namespace}", "--cascade=orphan")
    control_plane.kubectl("delete", "replicaset", "-l=app=brief", f"-n={namespace}")
    gone = ("delete", "pod", "-l=app=brief", f"-n={namespace}", "--force", "--grace-period=0")
    control_plane.kubectl(*gone)
    node.start()
    node.wait_ready()
    began = time.time()
    eventually(
        lambda: kept(node) and all(group["ended"] for group in orphaned(eci, before)),
        "no orphan is billed",
        timeout=LAG + 2 * LEFT,
    )
    for group in orphaned(eci, before):
        listed = max(began, group["created"] + LAG)
        assert group["ended"] - listed < LEFT, group
