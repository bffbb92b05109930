"""Usage as metrics-server and kubectl read it, and how often the provider is asked for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import ItemsView
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from prometheus_client.parser import text_string_to_metric_families
from server_world import KEY, NODE, Quiet, serving

import vk
from vk.server.stats import render_metrics, render_summary

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
START = AT - timedelta(hours=1)
MOMENT = "2026-01-31T12:00:00Z"


def usage(cpu: float | None = 1.5, memory: int | None = 100) -> vk.Usage:
    return vk.Usage(time=AT, cpu_seconds=cpu, working_set_bytes=memory, started_at=START)


POD = vk.PodStats(
    KEY,
    containers={
        "app": attrs.evolve(usage(), cpu_cores=0.25, memory_bytes=150),
        'o"dd\\': usage(0.5, 50),
    },
    received_bytes=7,
    sent_bytes=9,
)


def test_the_summary_is_the_kubelet_s() -> None:
    found = render_summary(vk.NodeStats(pods=[POD]), NODE)
    pod = found["pods"][0]
    assert pod["podRef"] == {"name": "web", "namespace": "default", "uid": "u1"}
    assert pod["cpu"] == {"time": MOMENT, "usageCoreNanoSeconds": 2_000_000_000}
    assert pod["memory"] == {"time": MOMENT, "workingSetBytes": 150}
    assert pod["startTime"] == "2026-01-31T11:00:00Z"
    assert (pod["network"]["rxBytes"], pod["network"]["txBytes"]) == (7, 9)
    assert pod["containers"][0] == {
        "name": "app",
        "startTime": "2026-01-31T11:00:00Z",
        "cpu": {
            "time": MOMENT,
            "usageNanoCores": 250_000_000,
            "usageCoreNanoSeconds": 1_500_000_000,
        },
        "memory": {"time": MOMENT, "usageBytes": 150, "workingSetBytes": 100},
    }
    assert found["node"]["nodeName"] == NODE
    assert found["node"]["memory"]["workingSetBytes"] == 150


def test_what_is_not_known_is_left_out_and_not_zero() -> None:
    """The sum over a part that was not measured would be too small."""
    pod = vk.PodStats(KEY, containers={"a": usage(), "b": usage(None, None)})
    found = render_summary(vk.NodeStats(pods=[pod]), NODE)["pods"][0]
    assert "cpu" not in found
    assert "memory" not in found
    assert set(found["containers"][1]) == {"name", "startTime"}
    assert render_summary(vk.NodeStats(), NODE) == {"node": {"nodeName": NODE}, "pods": []}


def test_totals_of_the_provider_come_before_sums() -> None:
    pod = attrs.evolve(POD, total=usage(9.0, 999))
    found = render_summary(vk.NodeStats(pods=[pod], total=usage(20.0, 5000)), NODE)
    assert found["pods"][0]["memory"]["workingSetBytes"] == 999
    assert found["node"]["cpu"]["usageCoreNanoSeconds"] == 20_000_000_000


def test_resource_metrics_have_the_kubelet_s_names_and_label_order() -> None:
    text = render_metrics(vk.NodeStats(pods=[POD]))
    first = 'container_cpu_usage_seconds_total{container="app",pod="web",namespace="default"} 1.5 '
    assert first + "1769860800000\n" in text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {name: family.type for name, family in families.items()} == {
        "container_cpu_usage_seconds": "counter",
        "container_memory_working_set_bytes": "gauge",
        "container_start_time_seconds": "gauge",
        "node_cpu_usage_seconds": "counter",
        "node_memory_working_set_bytes": "gauge",
        "pod_cpu_usage_seconds": "counter",
        "pod_memory_working_set_bytes": "gauge",
        "resource_scrape_error": "gauge",
    }
    names = [one.labels["container"] for one in families["container_start_time_seconds"].samples]
    assert names == ["app", 'o"dd\\']
    assert families["node_memory_working_set_bytes"].samples[0].value == 150


def test_no_pods_make_no_metrics_but_a_valid_answer() -> None:
    families = list(text_string_to_metric_families(render_metrics(vk.NodeStats())))
    assert [family.name for family in families] == ["resource_scrape_error"]


async def test_the_provider_is_asked_once_for_many_readers(tmp_path: Path) -> None:
    """Both routes share one answer for 10 s, and each writes it out once."""
    written: list[object] = []

    class Noted(dict[str, vk.Usage]):
        def items(self) -> ItemsView[str, vk.Usage]:
            written.append(self)
            return super().items()

    pod = attrs.evolve(POD, containers=Noted(POD.containers))

    @attrs.define(eq=False)
    class Counting(Quiet):
        times: int = 0

        async def stats(self) -> vk.NodeStats:
            self.times += 1
            return vk.NodeStats(pods=[pod])

    provider = Counting()
    async with serving(tmp_path, provider) as world:
        tls = world.certificate()
        paths = ["/stats/summary", "/metrics/resource"] * 3
        found = await asyncio.gather(*(world.call(path, tls=tls) for path in paths))
        assert [status for status, _ in found] == [200] * 6
        assert json.loads(found[0][1])["pods"][0]["podRef"]["name"] == "web"
        assert found[1][1].startswith("# HELP container_cpu_usage_seconds_total ")
    assert (provider.times, len(written)) == (1, 2)


@pytest.mark.parametrize(
    ("error", "status"),
    [(vk.UnsupportedError("no statistics"), 501), (vk.TemporaryError("busy"), 500)],
)
async def test_what_the_provider_raises_is_the_answer(
    tmp_path: Path, error: Exception, status: int
) -> None:
    async with serving(tmp_path, Quiet(usage=error)) as world:
        found, text = await world.call("/metrics/resource", tls=world.certificate())
    assert (found, json.loads(text)["message"]) == (status, str(error))
