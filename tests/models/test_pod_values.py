"""Keys, pods and statuses as values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

import vk
from vk.models.pod import Resolution, pod_key
from vk.models.time import format_time, parse_time

RAW: dict[str, Any] = {
    "metadata": {"namespace": "ns", "name": "p", "uid": "u", "labels": {"a": "b"}},
    "spec": {
        "containers": [
            {
                "name": "main",
                "image": "busybox",
                "command": ["sh"],
                "env": [
                    {"name": "A", "value": "1"},
                    {"name": "B"},
                    {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                ],
            }
        ],
        "initContainers": [{"name": "init"}, {"name": "side", "restartPolicy": "Always"}],
        "hostAliases": [{"ip": "10.0.0.9", "hostnames": ["x", "y"]}],
        "terminationGracePeriodSeconds": 0,
    },
}


def test_keys_are_equal_by_uid_alone() -> None:
    """B10."""
    assert vk.PodKey("a", "b", "u") == vk.PodKey("c", "d", "u")
    assert vk.PodKey("a", "b", "u") != vk.PodKey("a", "b", "v")
    assert len({vk.PodKey("a", "b", "u"), vk.PodKey("c", "d", "u")}) == 1
    assert str(vk.ContainerKey(vk.PodKey("a", "b", "u"), "main")) == "a/b/main"


def test_a_pod_reads_its_object() -> None:
    pod = vk.Pod(RAW)
    assert (pod.key, pod.labels, pod.annotations) == (pod_key(RAW), {"a": "b"}, {})
    assert (pod.grace_period, pod.restart_policy) == (0.0, "Always")
    assert [one.name for one in pod.init_containers] == ["init", "side"]
    assert pod.hosts == (vk.HostAlias("10.0.0.9", ("x", "y")),)
    main = pod.containers[0]
    assert (main.image, main.command, main.env) == ("busybox", ("sh",), {"A": "1", "B": ""})


def test_an_empty_pod_can_be_read() -> None:
    pod = vk.Pod({"metadata": {"namespace": "ns", "name": "p", "uid": "u"}})
    assert (pod.containers, pod.hosts, pod.grace_period, pod.dns) == ((), (), 30.0, vk.DNS())


def test_what_the_core_resolved_replaces_the_plain_reading() -> None:
    def resolution(env: dict[str, str], reopen: Any = None) -> Resolution:
        one = vk.Container(name="main", env=env, raw={})
        return Resolution(containers=(one,), reopen=reopen)

    pod = vk.Pod(RAW, resolution=resolution({}, lambda pods, _: resolution({"IP": pods[0]})))
    assert pod.containers[0].env == {}
    assert pod.with_ips(["10.0.0.1"]).containers[0].env == {"IP": "10.0.0.1"}
    plain = vk.Pod(RAW)
    assert plain.with_ips(["10.0.0.1"]) is plain


def test_no_representation_shows_an_environment() -> None:
    pod = vk.Pod(RAW)
    secret = vk.Container(name="main", env={"A": "hunter2"}, raw={"env": "hunter2"})
    assert "hunter2" not in repr((secret, Resolution(containers=(secret,))))
    assert "busybox" not in repr(pod)


def test_values_cannot_be_changed() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        vk.PodKey("a", "b", "u").uid = "v"  # type: ignore[misc] # that it is refused is the test


def test_a_running_status_names_every_container() -> None:
    status = vk.PodStatus.running(vk.Pod(RAW), pod_ips=["10.0.0.1"])
    assert [type(one.state) for one in status.containers] == [vk.Running]
    assert [type(one.state) for one in status.init_containers] == [vk.Terminated, vk.Running]
    assert status.pod_ips == ("10.0.0.1",)
    assert status.phase is None


@pytest.mark.parametrize(("code", "reason"), [(0, "Completed"), (3, "Error")])
def test_the_reason_of_an_end_follows_from_its_exit_code(code: int, reason: str) -> None:
    assert vk.Terminated(code).reason == reason
    assert vk.Terminated(code, "OOMKilled").reason == "OOMKilled"


MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("raw", "state"),
    [
        (None, vk.Waiting("", "")),
        ({}, vk.Waiting("", "")),
        ({"waiting": {"reason": "r", "message": "m"}}, vk.Waiting("r", "m")),
        ({"running": {"startedAt": TEXT}}, vk.Running(MOMENT)),
        ({"running": None}, vk.Running(None)),
        (
            {"terminated": {"exitCode": 2, "reason": "r", "finishedAt": TEXT}},
            vk.Terminated(2, "r", finished_at=MOMENT),
        ),
    ],
)
def test_container_states_are_read_from_json(raw: Any, state: vk.Running) -> None:
    one = {"name": "main", "state": raw, "restartCount": 4, "ready": True}
    status = vk.PodStatus.from_json(vk.PodKey("a", "b", "u"), {"containerStatuses": [one]})
    assert status.containers == (
        vk.ContainerStatus(name="main", state=state, restart_count=4, ready=True),
    )


@pytest.mark.parametrize(
    ("raw", "ips"),
    [
        ({}, ()),
        ({"podIP": "10.0.0.1"}, ("10.0.0.1",)),
        ({"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "::1"}]}, ("10.0.0.1", "::1")),
    ],
)
def test_addresses_are_read_from_json(raw: Any, ips: tuple[str, ...]) -> None:
    assert vk.PodStatus.from_json(vk.PodKey("a", "b", "u"), raw).pod_ips == ips


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (TEXT, MOMENT),
        ("2026-01-01T01:00:00+01:00", MOMENT),
        ("2026-01-01T00:00:00", MOMENT),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_read(text: object, value: datetime | None) -> None:
    assert parse_time(text) == value


def test_times_are_written_in_utc() -> None:
    assert format_time(MOMENT.astimezone(timezone(timedelta(hours=5)))) == TEXT
