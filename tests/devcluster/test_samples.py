"""What was used between two measurements of a kubelet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.devcluster.proxy.samples import (
    Reading,
    ResourceUsage,
    Sample,
    node_usage,
    read_sample,
    usage_of,
)
from vk.models.keys import PodKey
from vk.models.stats import NodeStats, PodStats
from vk.models.stats import Usage as Measured
from vk.server.stats import render_metrics, render_summary

NOON = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
START = NOON - timedelta(seconds=100)


def reading(seconds: float, cpu: float | None, **rest: Any) -> Reading:
    """Return what was measured some seconds after noon."""
    known = {"memory": 1024.0, "started": START.timestamp(), **rest}
    return Reading(time=NOON + timedelta(seconds=seconds), cpu_seconds=cpu, **known)


USAGES = [
    ("a rate of two readings", reading(10, 8.0), reading(0, 3.0), 0.5, 10.0),
    ("nothing was used", reading(10, 3.0), reading(0, 3.0), 0.0, 10.0),
    ("since the start", reading(0, 50.0), None, 0.5, 100.0),
    ("the backend's rate", reading(0, 50.0, cores=0.25), None, 0.25, 0.0),
    ("two readings before its rate", reading(10, 8.0, cores=9.0), reading(0, 3.0), 0.5, 10.0),
    ("the same reading again", reading(0, 50.0), reading(0, 50.0), 0.5, 100.0),
    ("too long ago", reading(300, 200.0), reading(0, 3.0), 0.5, 400.0),
    (
        "a container that was restarted",
        reading(10, 5.0, started=NOON.timestamp()),
        reading(0, 3.0),
        0.5,
        10.0,
    ),
    ("a counter that went back", reading(0, 50.0), reading(-10, 90.0), 0.5, 100.0),
    ("only a rate", reading(0, None, cores=0.25, started=None), None, 0.25, 0.0),
]


@pytest.mark.parametrize("case", USAGES, ids=lambda case: case[0])
def test_what_was_used(case: tuple[str, Reading, Reading | None, float, float]) -> None:
    _, newer, older, cores, window = case
    usage = usage_of(newer, older)
    assert usage is not None
    assert usage.cores == pytest.approx(cores)
    assert usage.window.total_seconds() == pytest.approx(window)
    assert (usage.time, usage.memory) == (newer.time, 1024.0)


@pytest.mark.parametrize(
    "newer",
    [
        Reading(),
        reading(0, 5.0, started=None),
        reading(0, None),
        reading(0, 5.0, memory=None),
        reading(0, 5.0, started=(NOON + timedelta(seconds=1)).timestamp()),
    ],
)
def test_what_was_not_measured_is_not_known(newer: Reading) -> None:
    assert usage_of(newer, None) is None


def test_a_node_that_counts_nothing_uses_what_its_containers_do() -> None:
    node = reading(0, None, started=None)
    containers = {
        ("default", "a", "x"): reading(0, 50.0),
        ("default", "b", "x"): reading(0, 25.0),
    }
    usage = node_usage(Sample(node, containers), None)
    assert usage == ResourceUsage(NOON, timedelta(seconds=100), 0.75, 1024.0)
    unknown = {**containers, ("default", "c", "x"): reading(0, None)}
    assert node_usage(Sample(node, unknown), None) is None
    assert node_usage(Sample(node, {}), None) is None
    assert node_usage(Sample(Reading(), containers), None) is None
    own = attrs.evolve(node, cores=4.0)
    assert node_usage(Sample(own, containers), None) == ResourceUsage(
        NOON, timedelta(), 4.0, 1024.0
    )


def test_a_node_has_a_rate_of_its_own() -> None:
    newer, older = (
        Sample(reading(seconds, cpu, started=None)) for seconds, cpu in ((10, 30.0), (0, 10.0))
    )
    usage = node_usage(newer, older)
    assert usage is not None
    assert usage.cores == pytest.approx(2.0)


NUMBERS = st.none() | st.floats(0, 1e9)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
MEASURED = st.builds(
    Measured,
    time=TIMES,
    cpu_seconds=NUMBERS,
    cpu_cores=st.none() | st.integers(0, 10**12).map(lambda nano: nano / 1e9),
    working_set_bytes=st.none() | st.integers(0, 1 << 50),
    started_at=st.none() | TIMES,
)
LABELS = st.text(min_size=1, max_size=8)
PODS = st.lists(
    st.builds(
        PodStats,
        st.builds(PodKey, LABELS, LABELS, st.just("u")),
        containers=st.dictionaries(LABELS, MEASURED, max_size=2),
    ),
    max_size=3,
    unique_by=lambda pod: (pod.key.namespace, pod.key.name),
)


@given(st.builds(NodeStats, pods=PODS, total=st.none() | MEASURED))
def test_what_our_own_server_writes_is_read_back(stats: NodeStats) -> None:
    sample = read_sample(render_metrics(stats), render_summary(stats, "n1"))
    for pod in stats.pods:
        for name, usage in pod.containers.items():
            got = sample.containers.get((pod.key.namespace, pod.key.name, name), Reading())
            assert got.cpu_seconds == usage.cpu_seconds
            assert got.memory == usage.working_set_bytes
            if got != Reading():
                assert got.cores == pytest.approx(usage.cpu_cores)
            if usage.started_at is not None:
                assert got.started == pytest.approx(usage.started_at.timestamp())
            if usage.cpu_seconds is not None:
                assert got.time == usage.time
    if stats.total is not None:
        assert sample.node.cpu_seconds == stats.total.cpu_seconds
        assert sample.node.memory == stats.total.working_set_bytes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["node", "pods", "podRef", "containers", "cpu", "usageNanoCores"]),
            inner,
            max_size=4,
        )
    ),
)


@given(st.text(), JSON)
def test_nonsense_is_left_out(text: str, document: Any) -> None:
    sample = read_sample(text, document)
    assert isinstance(sample, Sample)


def test_rows_of_other_kinds_are_left_out() -> None:
    text = (
        "# TYPE node_cpu_usage_seconds_total counter\n"
        "node_cpu_usage_seconds_total 5 1769860800250\n"
        "node_memory_working_set_bytes 7\n"
        "container_cpu_usage_seconds_total nonsense 5\n"
        'container_memory_working_set_bytes{container="a"} 1e3 99999999999999999999\n'
        'pod_cpu_usage_seconds_total{pod="p",namespace="n"} 1 1769860800250\n'
    )
    assert read_sample(text, None) == Sample(Reading(time=NOON, cpu_seconds=5.0))
