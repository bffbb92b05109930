"""Alerts name metrics that there are; the page about them names the same alerts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from charts import DEPLOY, one, render
from prometheus_client.parser import text_string_to_metric_families

from vk.metrics import Metrics
from vk.pods.sync import gauges
from vk.pods.sync.records import ProviderState, Records
from vk.workqueue import WorkQueue

ROOT = Path(__file__).parents[2]
MONITORING = DEPLOY / "components" / "monitoring"


def alerts() -> list[dict[str, Any]]:
    """Return the rules."""
    rule = yaml.safe_load((MONITORING / "alerts.yaml").read_text())
    return [alert for group in rule["spec"]["groups"] for alert in group["rules"]]


def served() -> set[str]:
    """Return the names of what the core counts and of its parts' gauges; a loop must run."""
    metrics = Metrics("n")
    queue: WorkQueue[str] = WorkQueue(observer=metrics.queue("pods"))
    gauges.add(metrics, Records, lambda: queue, "pods")
    metrics.operation("create_pod", 0.1, failed=True)
    families = text_string_to_metric_families(metrics.render().decode())
    names = {sample.name for family in families for sample in family.samples}
    for path in ("vk/server/server.py", "vk/kubelet.py"):
        names |= set(re.findall(r'"((?:vk|kubelet)_\w+)"', (ROOT / path).read_text()))
    return names


async def test_alerts_are_made_of_metrics_that_are_served() -> None:
    for alert in alerts():
        used = set(re.findall(r"\b(?:vk|kubelet)_\w+", alert["expr"]))
        assert used and used <= served(), alert["alert"]
        held = re.findall(r'held="(\w+)"', alert["expr"])
        assert set(held) <= {each.value for each in ProviderState}


def test_the_page_about_metrics_says_what_to_do_about_each_alert() -> None:
    page = (ROOT / "docs/operations/metrics.md").read_text()
    assert [alert["alert"] for alert in alerts()] == re.findall(r"^\| `(Vk\w+)`", page, re.M)
    assert len(alerts()) == 5


async def test_every_metric_that_the_page_names_is_served() -> None:
    page = (ROOT / "docs/operations/metrics.md").read_text()
    named = set(re.findall(r"`((?:vk|kubelet|workqueue|rest_client)_\w+)`", page))
    metrics = Metrics("n")
    metrics.pod_started(1.0)
    metrics.client_request("GET", 200, 0.1)
    text = metrics.render().decode()
    assert named - served() - set(re.findall(r"^# TYPE (\w+)", text, re.M)) == set()


@pytest.mark.slow
def test_the_component_is_the_monitor_of_the_chart() -> None:
    own = yaml.safe_load((MONITORING / "service-monitor.yaml").read_text())
    assert (
        own["spec"] == one(render({"serviceMonitor": {"enabled": True}}), "ServiceMonitor")["spec"]
    )
