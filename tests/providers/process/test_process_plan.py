"""The plan of a container: the pod's fields, with the defaults of Kubernetes."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

import vk
from vk_providers.process.plan import ContainerPlan, PodPlan, ProbePlan

PORTS = [{"name": "web", "containerPort": 8080}, {"containerPort": 9090}]


def plan(raw: dict[str, Any] | None = None, **where: Any) -> ContainerPlan:
    container = vk.Container(name="c", env={"A": "1"}, raw={"name": "c", **(raw or {})})
    return ContainerPlan.of(container, argv=["run"], host="10.0.0.1", **where)


def test_a_plain_container_has_the_defaults() -> None:
    expected = ContainerPlan(name="c", argv=("run",), env={"A": "1"})
    assert plan() == expected
    assert expected.stop_signal == 15


@pytest.mark.parametrize(
    ("raw", "initial", "kind"),
    [
        ({}, False, "container"),
        ({}, True, "init"),
        ({"restartPolicy": "Always"}, True, "sidecar"),
        ({"restartPolicy": "Always"}, False, "container"),
    ],
)
def test_the_kind_of_a_container(raw: dict[str, Any], initial: bool, kind: str) -> None:
    assert plan(raw, initial=initial).kind == kind


def test_streams_and_message_policy_are_taken_over() -> None:
    fields = {"stdin": True, "stdinOnce": True, "tty": True}
    found = plan({**fields, "terminationMessagePolicy": "FallbackToLogsOnError"})
    assert (found.stdin, found.stdin_once, found.tty) == (True, True, True)
    assert found.message_policy == "FallbackToLogsOnError"


def test_where_it_runs_is_the_providers_to_say() -> None:
    found = plan({}, cwd="/work", namespaces=("bwrap",), uid=5, env={"B": "2"})
    assert (found.cwd, found.namespaces, found.uid, found.env) == (
        "/work",
        ("bwrap",),
        5,
        {"B": "2"},
    )


@pytest.mark.parametrize(
    ("raw", "action"),
    [
        ({"exec": {"command": ["a", "b"]}}, {"exec": ["a", "b"]}),
        ({"tcpSocket": {"port": "web"}}, {"tcp": {"host": "10.0.0.1", "port": 8080}}),
        ({"tcpSocket": {"port": 9, "host": "h"}}, {"tcp": {"host": "h", "port": 9}}),
        (
            {"httpGet": {"port": "web"}},
            {
                "http": {
                    "scheme": "http",
                    "host": "10.0.0.1",
                    "port": 8080,
                    "path": "/",
                    "headers": [],
                }
            },
        ),
        (
            {
                "httpGet": {
                    "scheme": "HTTPS",
                    "host": "h",
                    "port": 443,
                    "path": "x",
                    "httpHeaders": [{"name": "N", "value": "v"}],
                }
            },
            {
                "http": {
                    "scheme": "https",
                    "host": "h",
                    "port": 443,
                    "path": "/x",
                    "headers": [("N", "v")],
                }
            },
        ),
    ],
)
def test_what_a_probe_does(raw: dict[str, Any], action: dict[str, Any]) -> None:
    found = plan({"ports": PORTS, "readinessProbe": raw})
    assert found.readiness == ProbePlan(action=action)
    assert (found.startup, found.liveness) == (None, None)


def test_the_figures_of_a_probe() -> None:
    probe = {
        "exec": {"command": ["x"]},
        "initialDelaySeconds": 1,
        "periodSeconds": 2,
        "timeoutSeconds": 3,
        "successThreshold": 4,
        "failureThreshold": 5,
        "terminationGracePeriodSeconds": 0,
    }
    assert plan({"livenessProbe": probe}).liveness == ProbePlan(
        action={"exec": ["x"]},
        initial_delay=1.0,
        period=2.0,
        timeout=3.0,
        success_threshold=4,
        failure_threshold=5,
        grace_period=0.0,
    )


def test_hooks_and_the_stop_signal() -> None:
    hooks = {
        "postStart": {"exec": {"command": ["x"]}},
        "preStop": {"sleep": {"seconds": 5}},
        "stopSignal": "SIGUSR1",
    }
    found = plan({"lifecycle": hooks})
    assert (found.post_start, found.pre_stop) == ({"exec": ["x"]}, {"sleep": 5.0})
    assert found.stop_signal == signal.SIGUSR1


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"livenessProbe": {"grpc": {"port": 1}}}, r"\['grpc'\], expected exec, httpGet"),
        ({"livenessProbe": {"tcpSocket": {"port": "db"}}}, r"port 'db' .* one of \['web'\]"),
        ({"lifecycle": {"stopSignal": "SIGNONE"}}, "stop signal 'SIGNONE'"),
    ],
)
def test_what_a_supervisor_cannot_do_is_refused(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(vk.InvalidInputError, match=message):
        plan({"ports": PORTS, **raw})


def test_the_plan_is_json_and_shows_no_environment_in_texts() -> None:
    key = vk.PodKey("ns", "p", "u")
    probe = {"exec": {"command": ["x"]}}
    whole = PodPlan(key=key, containers=[plan({"startupProbe": probe}, env={"A": "secret"})])
    read = json.loads(json.dumps(whole.to_json()))
    assert (read["namespace"], read["name"], read["uid"]) == ("ns", "p", "u")
    assert read["containers"][0]["startup"]["action"] == {"exec": ["x"]}
    assert read["containers"][0]["env"] == {"A": "secret"}
    assert "secret" not in repr(whole)
