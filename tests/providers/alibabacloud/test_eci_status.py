"""From a group's row to a pod's status: every state of the service, both casings, odd rows."""

from __future__ import annotations

from typing import Any

import pytest
from eci_world import IDENTITY, UID
from hypothesis import given
from hypothesis import strategies as st

import vk
from vk_providers.alibabacloud.client import lower_keys
from vk_providers.alibabacloud.groups import ContainerGroup, primary_group, read_group
from vk_providers.alibabacloud.status import failed_status, pod_status, why_unplaced
from vk_providers.alibabacloud.tags import key_of

KEY = vk.PodKey("default", "web", UID)
RUNNING = {"State": "Running", "StartTime": "2026-01-01T00:00:00Z"}


def row(status: str, *states: dict[str, Any], **more: Any) -> dict[str, Any]:
    tags = [{"Key": name, "Value": value} for name, value in IDENTITY.tags(KEY, 2).items()]
    containers = [
        {
            "Name": f"c{number}",
            "Image": "i",
            "Ready": True,
            "RestartCount": 1,
            "CurrentState": state,
        }
        for number, state in enumerate(states)
    ]
    return {
        "ContainerGroupId": "eci-a",
        "Status": status,
        "CreationTime": "2026-01-01T00:00:00Z",
        "Tags": tags,
        "Containers": containers,
        **more,
    }


def group(raw: dict[str, Any]) -> ContainerGroup:
    found = read_group(lower_keys(raw), IDENTITY)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("Scheduling", None),
        ("Pending", None),
        ("Running", None),
        ("Restarting", "Running"),
        ("Updating", "Running"),
        ("Terminating", None),
        ("Succeeded", "Succeeded"),
        ("Failed", "Failed"),
        ("Expired", "Failed"),
        ("ScheduleFailed", None),
        ("SomethingNew", None),
    ],
)
def test_each_status_of_the_service(status: str, phase: str | None) -> None:
    """None: the phase follows from the containers; a pod never goes back from Running."""
    assert pod_status(group(row(status))).phase == phase


def test_both_casings_and_unknown_fields_give_the_same() -> None:
    raw = row("Running", RUNNING, IntranetIp="10.0.0.1", Novelty={"X": [1]})

    def camel(value: Any) -> Any:
        if isinstance(value, dict):
            return {key[0].lower() + key[1:]: camel(item) for key, item in value.items()}
        return [camel(item) for item in value] if isinstance(value, list) else value

    assert pod_status(group(raw)) == pod_status(group(camel(raw)))
    assert pod_status(group(raw)).pod_ips == ("10.0.0.1",)


@pytest.mark.parametrize("name", ["Containers", "InitContainers", "Events", "Tags"])
def test_a_null_in_a_list_of_a_row_counts_as_nothing(name: str) -> None:
    """Else one odd group would end every list, and with it the status of every pod."""
    raw = row("Running", RUNNING)
    raw[name] = [*raw.get(name, ()), None]
    status = pod_status(group(raw))
    assert [one.name for one in status.containers] == ["c0"]
    assert why_unplaced(group(raw))[0] == "ScheduleFailed"


def test_a_container_that_ended_has_its_code_and_the_run_before() -> None:
    ended = {"State": "Terminated", "ExitCode": 3, "FinishTime": "2026-01-01T00:00:05Z"}
    raw = row("Running", RUNNING)
    raw["Containers"][0]["PreviousState"] = ended
    (container,) = pod_status(group(raw)).containers
    assert container.last_state is not None
    assert (container.last_state.exit_code, container.last_state.reason) == (3, "Error")
    assert container.restart_count == 1


@pytest.mark.parametrize("status", ["Failed", "Expired", "Succeeded"])
def test_no_container_of_an_ended_group_runs(status: str) -> None:
    (container,) = pod_status(group(row(status, RUNNING))).containers
    assert isinstance(container.state, vk.Terminated)
    assert container.state.exit_code == 137


def test_a_reclaimed_spot_group_has_a_reason() -> None:
    assert pod_status(group(row("Expired"))).reason == "SpotReclaimed"


def test_a_sidecar_is_an_init_container_of_the_pod() -> None:
    status = pod_status(group(row("Running", RUNNING, RUNNING)), sidecars=frozenset({"c1"}))
    assert [one.name for one in status.containers] == ["c0"]
    assert [one.name for one in status.init_containers] == ["c1"]


def test_the_reason_of_an_unscheduled_group_comes_from_its_events() -> None:
    events = [{"Reason": "NoStock", "Message": "none left"}, {"Reason": "Other"}]
    assert why_unplaced(group(row("ScheduleFailed", Events=events))) == ("NoStock", "none left")
    assert why_unplaced(group(row("ScheduleFailed")))[0] == "ScheduleFailed"


def test_a_pod_that_ends_for_our_reason_has_ended_containers() -> None:
    status = failed_status(group(row("Pending", {})), reason="R", message="m")
    assert (status.phase, status.reason) == ("Failed", "R")
    assert isinstance(status.containers[0].state, vk.Terminated)


@pytest.mark.parametrize("missing", ["vk-cluster-uid", "vk-node", "vk-namespace", "vk-pod-uid"])
def test_a_group_without_all_our_tags_is_not_ours(missing: str) -> None:
    raw = row("Running")
    raw["Tags"] = [tag for tag in raw["Tags"] if tag["Key"] != missing]
    assert read_group(lower_keys(raw), IDENTITY) is None


def test_the_tags_of_the_go_provider_are_not_ours() -> None:
    tags = {"ClusterName": "c", "NodeName": "eci", "NameSpace": "d", "PodName": "web", "UID": UID}
    raw = {**row("Running"), "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
    assert read_group(lower_keys(raw), IDENTITY) is None


name = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?", fullmatch=True)


@given(name, name)
def test_any_pod_is_found_again_by_its_tags(namespace: str, pod: str) -> None:
    key = vk.PodKey(namespace[:63], pod, UID)
    tags = IDENTITY.tags(key, 0)
    found = key_of(tags)
    assert found is not None
    assert (found.namespace, found.name, found.uid) == (key.namespace, key.name, key.uid)
    for tag, value in tags.items():
        assert 0 < len(tag) <= 64
        assert len(value) <= 128
        assert not value.startswith(("aliyun", "acs:"))


def test_the_token_is_the_pods_and_the_attempts_for_ever() -> None:
    tokens = {IDENTITY.token(uid, attempt) for uid in ("a", "b") for attempt in range(3)}
    assert len(tokens) == 6
    assert all(token.isascii() and len(token) <= 64 for token in tokens)
    assert IDENTITY.token("a", 0) == IDENTITY.token("a", 0)


def test_of_two_groups_the_running_then_the_older_one_stands() -> None:
    def one(id: str, status: str, created: str) -> ContainerGroup:
        return group({**row(status), "ContainerGroupId": id, "CreationTime": created})

    early, late = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
    pairs = [
        (one("a", "Pending", early), one("b", "Running", late), "b"),
        (one("a", "Running", early), one("b", "Running", late), "a"),
        (one("a", "ScheduleFailed", early), one("b", "Scheduling", late), "b"),
        (one("a", "Failed", early), one("b", "Pending", late), "b"),
        (one("a", "ScheduleFailed", early), one("b", "ScheduleFailed", late), "b"),
    ]
    for first, second, expected in pairs:
        found = primary_group([first, second])
        assert found is not None
        assert found.id == expected
        assert primary_group([second, first]) == found
