"""What the Node must say: tables, and patches applied to what an API server would hold."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from node_api import merge

from vk.models.node import Address, NodeInfo, Taint
from vk.models.status import Condition
from vk.node.document import (
    KUBELET_VERSION,
    OWNED,
    Wanted,
    metadata_patch,
    new_node,
    status_patch,
    wanted,
)
from vk.settings import Settings

MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
LATER = datetime(2026, 1, 31, 13, tzinfo=UTC)


def want(info: dict[str, Any] | None = None, *, taints: Any = (), **more: Any) -> Wanted:
    name, ip = more.pop("name", "n"), more.pop("ip", "")
    settings = Settings(provider="p", node_name=name, taints=taints, internal_ip=ip)
    described = NodeInfo(**{"capacity": {"cpu": "4", "memory": "8Gi"}, **(info or {})})
    return wanted(settings, described, provider_name="p", internal_ip="192.0.2.7", **more)


def applied(node: dict[str, Any], wish: Wanted, moment: datetime = MOMENT) -> dict[str, Any]:
    """The Node after both patches, as an API server merges them."""
    change = metadata_patch(node, wish)
    if change is not None:
        node = merge(node, change, strategic=False)
    status = status_patch(node, wish, moment)
    return node if status is None else merge(node, status, strategic=True)


def made(wish: Wanted) -> dict[str, Any]:
    node = new_node(wish)
    node["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    return applied(node, wish)


def conditions(node: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["type"]: entry for entry in node["status"]["conditions"]}


def test_a_new_node_has_the_labels_that_others_look_for() -> None:
    assert made(want())["metadata"]["labels"] == {
        "type": "virtual-kubelet",
        "kubernetes.io/role": "agent",
        "kubernetes.io/hostname": "n",
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": "amd64",
        "node.kubernetes.io/exclude-from-external-load-balancers": "true",
    }


@pytest.mark.field
@pytest.mark.parametrize(("length", "labelled"), [(63, True), (64, False), (253, False)])
def test_a_name_that_no_label_can_hold_is_left_out_of_the_labels(
    length: int, labelled: bool
) -> None:
    node = made(want(name="n" * length))
    assert ("kubernetes.io/hostname" in node["metadata"]["labels"]) is labelled
    assert node["metadata"]["labels"]["kubernetes.io/os"] == "linux"


def test_a_new_node_is_ready_with_its_capacity_and_version() -> None:
    node = made(want({"os": "windows", "architecture": "arm64", "allocatable": {"cpu": "3"}}))
    status = node["status"]
    assert status["capacity"] == {"cpu": "4", "memory": "8Gi"}
    assert status["allocatable"] == {"cpu": "3"}
    assert status["nodeInfo"]["operatingSystem"] == "windows"
    assert status["nodeInfo"]["architecture"] == "arm64"
    assert status["nodeInfo"]["kubeletVersion"] == KUBELET_VERSION
    assert {key: entry["status"] for key, entry in conditions(node).items()} == {
        "Ready": "True",
        "MemoryPressure": "False",
        "DiskPressure": "False",
        "PIDPressure": "False",
        "NetworkUnavailable": "False",
    }


def test_a_node_as_wanted_needs_no_patch_whatever_the_notation_of_quantities() -> None:
    wish = want({"capacity": {"cpu": "4000m", "memory": "8192Mi"}})
    node = made(wish)
    node["status"]["capacity"] = {"cpu": "4", "memory": "8Gi"}
    assert metadata_patch(node, wish) is None
    assert status_patch(node, wish, LATER) is None


def test_force_writes_the_heartbeat_and_leaves_the_transition() -> None:
    node = made(want())
    node = merge(node, status_patch(node, want(), LATER, force=True), strategic=True)
    ready = conditions(node)["Ready"]
    assert ready["lastHeartbeatTime"] == "2026-01-31T13:00:00Z"
    assert ready["lastTransitionTime"] == "2026-01-31T12:00:00Z"


def test_what_the_configuration_drops_goes_and_what_others_set_stays() -> None:
    before = want(
        {
            "labels": {"ours": "1", "kept": "1"},
            "annotations": {"note": "1"},
            "taints": (Taint("ours"),),
            "capacity": {"cpu": "4", "example.com/gpu": "1"},
            "conditions": (Condition(type="Ours", status="True"),),
        },
        taints=(Taint("default", "p"),),
    )
    node = made(before)
    node["metadata"]["labels"]["theirs"] = "x"
    node["metadata"]["annotations"]["theirs"] = "x"
    node["spec"]["taints"].append({"key": "theirs", "effect": "NoExecute", "timeAdded": "t"})
    node["status"]["capacity"]["example.com/theirs"] = "2"
    node["status"]["conditions"].append({"type": "Theirs", "status": "True"})

    after = want({"labels": {"kept": "2"}, "capacity": {"cpu": "8"}})
    node = applied(node, after, LATER)

    labels = node["metadata"]["labels"]
    assert (labels.get("ours"), labels["kept"], labels["theirs"]) == (None, "2", "x")
    assert set(node["metadata"]["annotations"]) == {"theirs", OWNED}
    assert node["spec"]["taints"] == [{"key": "theirs", "effect": "NoExecute", "timeAdded": "t"}]
    assert node["status"]["capacity"] == {"cpu": "8", "example.com/theirs": "2"}
    assert "Theirs" in conditions(node)


def test_a_condition_dropped_from_the_description_goes_away() -> None:
    node = made(want({"conditions": (Condition(type="Ours", status="True"),)}))
    node = applied(node, want(), LATER)
    # The first metadata patch still remembers Ours, until the status is seen to be without it.
    assert "Ours" not in conditions(node)
    node = applied(node, want(), LATER)
    assert "Ours" not in orjson.loads(node["metadata"]["annotations"][OWNED])["conditions"]
    assert metadata_patch(node, want()) is None


def test_a_resource_that_is_dropped_goes_from_capacity_and_allocatable() -> None:
    node = applied(made(want({"capacity": {"cpu": "4", "gpu": "1"}})), want({"capacity": {}}))
    assert node["status"]["capacity"] == {}
    assert node["status"]["allocatable"] == {}


def test_an_adopted_node_keeps_everything_that_nobody_ever_claimed() -> None:
    node = {
        "metadata": {"name": "n", "uid": "u", "resourceVersion": "1", "labels": {"theirs": "x"}},
        "spec": {"taints": [{"key": "theirs", "effect": "NoSchedule"}], "providerID": "old://1"},
    }
    node = applied(node, want({"provider_id": "new://1"}, taints=(Taint("ours", "v"),)))
    assert node["metadata"]["labels"]["theirs"] == "x"
    assert [taint["key"] for taint in node["spec"]["taints"]] == ["theirs", "ours"]
    assert node["spec"]["providerID"] == "old://1"  # the API server lets no client change it


@pytest.mark.parametrize("memory", ["", "no json", "[]", '{"labels": 3}', '{"labels": [1]}'])
def test_a_broken_memory_counts_as_none(memory: str) -> None:
    node = made(want())
    node["metadata"]["annotations"][OWNED] = memory
    assert metadata_patch(applied(node, want()), want()) is None


def test_a_changed_taint_is_replaced_and_its_patch_carries_the_version() -> None:
    node = made(want(taints=(Taint("ours", "1"),)))
    change = metadata_patch(node, want(taints=(Taint("ours", "2", "NoExecute"),)))
    assert change == {
        "metadata": {"resourceVersion": "1"},
        "spec": {"taints": [{"key": "ours", "value": "2", "effect": "NoExecute"}]},
    }


def test_unknown_from_the_node_controller_is_put_back() -> None:
    node = made(want())
    conditions(node)["Ready"].update(status="Unknown", reason="NodeStatusUnknown")
    node = applied(node, want(), LATER)
    assert conditions(node)["Ready"]["status"] == "True"
    assert conditions(node)["Ready"]["lastTransitionTime"] == "2026-01-31T13:00:00Z"


def test_a_condition_of_the_moment_replaces_the_providers_and_is_taken_back() -> None:
    suspect = Condition(type="ProviderSuspect", status="True", reason="PodsVanished")
    unready = Condition(type="Ready", status="False", reason="ProviderUnreachable")
    node = applied(made(want()), want(conditions=(suspect, unready)), LATER)
    assert conditions(node)["Ready"]["status"] == "False"
    node = applied(node, want(), LATER)
    assert conditions(node)["Ready"]["status"] == "True"
    assert "ProviderSuspect" not in conditions(node)


@pytest.mark.parametrize(
    ("configured", "described", "expected"),
    [
        ("", (), [("InternalIP", "192.0.2.7"), ("Hostname", "n")]),
        ("10.0.0.1", (), [("InternalIP", "10.0.0.1"), ("Hostname", "n")]),
        (
            "",
            (Address("InternalIP", "10.0.0.2"), Address("ExternalIP", "198.51.100.1")),
            [("InternalIP", "10.0.0.2"), ("ExternalIP", "198.51.100.1"), ("Hostname", "n")],
        ),
        (
            "10.0.0.1",
            (Address("InternalIP", "10.0.0.2"), Address("Hostname", "h")),
            [("InternalIP", "10.0.0.1"), ("Hostname", "h")],
        ),
    ],
)
def test_addresses(configured: str, described: Any, expected: list[tuple[str, str]]) -> None:
    wish = want({"addresses": described}, ip=configured)
    assert [(item.type, item.address) for item in wish.addresses] == expected


def test_a_new_address_replaces_the_old_list_whole() -> None:
    node = made(want())
    change = status_patch(node, want(ip="10.0.0.9"), LATER)
    assert change is not None
    assert change["status"]["addresses"][0] == {"$patch": "replace"}
    after = merge(node, change, strategic=True)
    assert [item["address"] for item in after["status"]["addresses"]] == ["10.0.0.9", "n"]
