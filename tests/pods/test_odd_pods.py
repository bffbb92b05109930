"""Objects that no client of ours writes: each hurts itself only, says so, and can be deleted."""

from __future__ import annotations

import asyncio
import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pod_world import STARTED, Api, Backend, raw, running

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]

Path = tuple[str | int, ...]

IDENTITY = (("metadata",), ("metadata", "name"), ("metadata", "namespace"), ("metadata", "uid"))
NAMES = (("spec", "containers", 0, "name"), ("spec", "initContainers", 0, "name"))
"""What the API server never leaves out; the status' own lists it makes itself."""


def full() -> dict[str, Any]:
    """A pod that uses most of what the rules look at."""
    pod = raw(
        activeDeadlineSeconds=10**9,
        affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": affinity()}},
        dnsConfig={
            "nameservers": ["192.0.2.53"],
            "options": [{"name": "ndots", "value": "2"}],
            "searches": ["example.org"],
        },
        dnsPolicy="ClusterFirst",
        enableServiceLinks=True,
        hostAliases=[{"ip": "192.0.2.1", "hostnames": ["db"]}],
        hostNetwork=False,
        initContainers=[{"name": "init", "image": "busybox", "env": [{"name": "A", "value": "1"}]}],
        nodeSelector={},
        os={"name": "linux"},
        overhead={"cpu": "1m"},
        readinessGates=[],
        schedulingGates=[],
        serviceAccountName="robot",
        terminationGracePeriodSeconds=30,
        tolerations=[{"key": "a", "operator": "Exists"}],
        topologySpreadConstraints=[],
        volumes=[{"name": "scratch", "emptyDir": {}}],
    )
    pod["spec"]["containers"] = [container()]
    pod["metadata"] |= {
        "annotations": {"a": "b"},
        "creationTimestamp": STARTED,
        "finalizers": [],
        "generation": 1,
        "labels": {"a": "b"},
        "ownerReferences": [{"uid": "rs", "controller": True}],
    }
    return pod


def container() -> dict[str, Any]:
    """One with all kinds of variables."""
    field = {"fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}}
    resource = {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}
    return {
        "name": "main",
        "image": "busybox",
        "command": ["sh"],
        "args": ["-c", "true"],
        "env": [
            {"name": "A", "value": "x"},
            {"name": "B", "valueFrom": field},
            {"name": "C", "valueFrom": resource},
        ],
        "envFrom": [],
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}},
    }


def affinity() -> dict[str, Any]:
    expression = {"key": "a", "operator": "NotIn", "values": ["b"]}
    return {"nodeSelectorTerms": [{"matchExpressions": [expression], "matchFields": []}]}


def fields(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every field, in objects of lists too."""
    inner = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        inner = enumerate(value)
    for name, child in inner:
        if isinstance(value, dict):
            yield (*path, name)
        yield from fields(child, (*path, name))


def changed(number: int, path: Path, value: Any) -> dict[str, Any]:
    """The full pod with another value at one path, under a name of its own."""
    pod = copy.deepcopy(full())
    place = pod
    for name in path[:-1]:
        place = place[name]  # type: ignore[index] # a list or an object, as the path says
    place[path[-1]] = value  # type: ignore[index] # as above
    pod["metadata"] |= {"name": f"p{number}", "uid": f"u{number}"}
    return pod


NULLED = [
    path
    for path in fields(full())
    if path[0] != "status" and path not in IDENTITY and path not in NAMES
]

ODD: list[tuple[Path, Any]] = [
    (("spec", "restartPolicy"), "Sometimes"),
    (("spec", "dnsPolicy"), "Elsewhere"),
    (("spec", "os", "name"), "plan9"),
    (("spec", "tolerations", 0, "operator"), "Perhaps"),
    (("spec", "terminationGracePeriodSeconds"), -1),
    (("spec", "containers", 0, "resources", "requests", "cpu"), "lots"),
    (("spec", "containers", 0, "resources", "limits"), "none"),
    (("spec", "containers", 0, "env"), "A=1"),
    (("spec", "containers", 0, "env", 1, "valueFrom"), {"newRef": {}}),
    (("spec", "containers", 0, "env", 1, "valueFrom", "fieldRef", "fieldPath"), "spec.new"),
    (("spec", "containers", 0, "ports"), [None]),
    (("spec", "volumes"), [None]),
    (("spec", "newField"), {"a": [1, None]}),
    (("status", "phase"), "Lost"),
    (("status", "conditions"), None),
    (("status", "containerStatuses"), None),
    (("status", "newField"), [None]),
    (("metadata", "annotations"), {"a": "x" * 2**20}),
]


def told(pod: dict[str, Any]) -> bool:
    """Whether a user sees what became of the pod: it runs, or a reason stands in its status."""
    status = pod["status"]
    ready = [one for one in status.get("conditions") or () if one["type"] == "Ready"]
    if status["phase"] == "Failed":
        return bool(status["reason"] and status["message"])
    return status["phase"] == "Running" or bool(ready and ready[0]["reason"])


@pytest.mark.slow
async def test_odd_pods_show_what_became_of_them_and_the_rest_go_on() -> None:
    """Each null, unknown word or wrong type alone; all of them beside an ordinary pod."""
    api, provider = Api(), Backend()
    odd = [*((path, None) for path in NULLED), *ODD]
    async with running(api, provider):
        for number, (path, value) in enumerate(odd):
            api.add(changed(number, path, value))
        api.add(raw("good", "good"))
        await asyncio.sleep(300)
        assert api.phase("good") == "Running"
        silent = [odd[n] for n in range(len(odd)) if not told(api.pods[f"p{n}"])]
        assert silent == []
        for number in range(len(odd)):
            api.ask_delete(f"p{number}")
        await asyncio.sleep(600)
        assert set(api.pods) == {"good"}


@pytest.mark.slow
async def test_a_pod_that_cannot_be_read_waits_says_so_and_is_never_sent_to_the_provider() -> None:
    api, provider = Api(), Backend()
    async with running(api, provider) as world:
        api.add(changed(0, ("spec", "containers", 0, "env"), "PASSWORD=hunter2"))
        await asyncio.sleep(3600)
        (condition,) = [one for one in api.status("p0")["conditions"] if one["type"] == "Ready"]
        assert (condition["status"], condition["reason"]) == ("False", "InvalidPod")
        waiting = api.status("p0")["containerStatuses"][0]["state"]["waiting"]
        assert waiting["reason"] == "InvalidPod"
        assert waiting["message"].startswith("spec.containers[0].env: expected a list")
        assert world.reasons()[0] == "InvalidPod"
        assert provider.creates == 0
        assert "hunter2" not in repr(world.events) + repr(api.status("p0"))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.text(max_size=3),
    st.lists(st.one_of(st.none(), st.integers(), st.just("hunter2")), min_size=1, max_size=2),
    st.dictionaries(st.just("key"), st.one_of(st.none(), st.just("hunter2")), min_size=1),
    st.just("hunter2"),
)
OF_THE_STATUS = ("activeDeadlineSeconds", "readinessGates", "terminationGracePeriodSeconds")
"""Fields that a status cannot be computed without: the API server's own types hold there."""
SPEC_FIELDS = [
    path
    for path in fields(full())
    if path[0] == "spec"
    and len(path) > 1
    and path[1] not in (*OF_THE_STATUS, "initContainers")
    and path not in (*NAMES, ("spec", "containers"))
]


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from(SPEC_FIELDS), VALUES), min_size=40, max_size=40))
@settings(max_examples=3, deadline=None, phases=[Phase.generate])
async def test_any_malformed_pod_hurts_itself_only_and_names_the_field(
    malformations: list[tuple[Path, Any]],
) -> None:
    api, provider = Api(), Backend()
    async with running(api, provider) as world:
        for number, (path, value) in enumerate(malformations):
            api.add(changed(number, path, value))
        api.add(raw("good", "good"))
        await asyncio.sleep(300)
        assert api.phase("good") == "Running"
        silent = [odd for n, odd in enumerate(malformations) if not told(api.pods[f"p{n}"])]
        assert silent == []
        messages = [message for _, reason, message in world.events if reason == "InvalidPod"]
        unnamed = [one for one in messages if not re.match(r"spec\.[\w.\[\]]+: expected ", one)]
        assert unnamed == []
        assert "hunter2" not in repr(messages)
        for number in range(len(malformations)):
            api.ask_delete(f"p{number}")
        await asyncio.sleep(600)
        assert set(api.pods) == {"good"}


async def test_deletion_ends_for_a_provider_that_says_nothing_of_init_containers() -> None:
    """The end of the containers is enough: what came before them is over too."""
    api, provider = Api(), Backend()
    async with running(api, provider):
        api.add(raw(initContainers=[{"name": "init", "image": "busybox"}]))
        await asyncio.sleep(1)
        api.ask_delete("p")
        await asyncio.sleep(1)
        assert "p" not in api.pods
        assert api.phases["u"][-1] == "Succeeded"
