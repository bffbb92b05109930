"""What this process counts and times, under the kubelet's names where it has one.

In: small calls from the parts, each of which gets only the method that it feeds. Out: the text that
``/metrics`` serves. One object a node, with a registry of its own: two nodes in one process do not
mix. Labels are fixed words or templates of paths, never what a client sent.

Note: prometheus_client takes half a microsecond for one count under a lock, so the children
of its families are looked up once and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE", "Metrics", "QueueMetrics", "Sample"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SHORT = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0)
_LONG = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 120.0, 300.0, 600.0, 1800.0)

Sample = tuple[Mapping[str, str], float]
"""Labels and value of one gauge at the moment of reading."""


@attrs.define(eq=False)
class Metrics:
    """The metrics of one node."""

    node_name: str
    _registry: CollectorRegistry = attrs.field(factory=CollectorRegistry, init=False, repr=False)
    _children: dict[tuple[object, ...], Any] = attrs.field(factory=dict, init=False, repr=False)
    _families: dict[str, Any] = attrs.field(factory=dict, init=False, repr=False)
    _requests: dict[tuple[str, int], tuple[Callable[[], None], Callable[[float], None]]] = (
        attrs.field(factory=dict, init=False, repr=False)
    )

    def __attrs_post_init__(self) -> None:
        ProcessCollector(registry=self._registry)
        self.gauge("kubelet_node_name", "The node's name.", lambda: [({"node": self.node_name}, 1)])

    def gauge(self, name: str, text: str, read: Callable[[], Iterable[Sample]]) -> None:
        """Add a gauge that is read when it is asked for."""
        self._registry.register(_Live(name, text, read))

    def pod_started(self, seconds: float) -> None:
        """Note how long a pod took from being seen to all its containers having started."""
        name, text = "kubelet_pod_start_duration_seconds", "From seeing a pod to its start."
        self._histogram(name, text, _LONG).observe(seconds)

    def operation(self, operation: str, seconds: float, failed: bool) -> None:
        """Note one call of the provider."""
        labels = {"operation_type": operation}
        base, text = "kubelet_runtime_operations", "Calls of the provider"
        self._counter(f"{base}_total", f"{text}.", labels).inc()
        self._histogram(f"{base}_duration_seconds", f"{text}: time.", _SHORT, labels).observe(
            seconds
        )
        if failed:
            self._counter(f"{base}_errors_total", f"{text} that failed.", labels).inc()

    def client_request(self, method: str, status: int, seconds: float) -> None:
        """Note one request to the API server; status 0: no answer."""
        known = self._requests.get((method, status))
        if known is None:
            known = self._requests[method, status] = self._request_metrics(method, status)
        count, observe = known
        count()
        observe(seconds)

    def served_request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Note one request to this node's API; ``path`` is the template."""
        labels = {"method": method if method in ("GET", "POST") else "other", "path": path}
        text = "Requests to this node's API"
        counted = {**labels, "code": str(status)}
        self._counter("kubelet_http_requests_total", f"{text}.", counted).inc()
        name = "kubelet_http_requests_duration_seconds"
        self._histogram(name, f"{text}: time.", _SHORT, labels).observe(seconds)

    def queue(self, name: str) -> QueueMetrics:
        """Return what notes the work on one queue."""
        labels = {"name": name}
        added = self._counter("workqueue_adds_total", "Keys added to the queue.", labels)
        retried = self._counter("workqueue_retries_total", "Keys put back after failures.", labels)
        waited = self._histogram(
            "workqueue_queue_duration_seconds", "How long keys wait.", _SHORT, labels
        )
        worked = self._histogram(
            "workqueue_work_duration_seconds", "How long the work takes.", _SHORT, labels
        )
        return QueueMetrics(added.inc, retried.inc, waited.observe, worked.observe)

    def render(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        return generate_latest(_Plain(self._registry))

    def _request_metrics(
        self, method: str, status: int
    ) -> tuple[Callable[[], None], Callable[[float], None]]:
        code, text = str(status) if status else "<error>", "Requests to the API server"
        labels = {"code": code, "method": method}
        counter = self._counter("rest_client_requests_total", f"{text}.", labels)
        name, verb = "rest_client_request_duration_seconds", {"verb": method}
        return counter.inc, self._histogram(name, f"{text}: time.", _SHORT, verb).observe

    def _counter(self, name: str, text: str, labels: Mapping[str, str]) -> Counter:
        found: Counter = self._child(Counter, name, text, labels, {})
        return found

    def _histogram(
        self,
        name: str,
        text: str,
        buckets: tuple[float, ...],
        labels: Mapping[str, str] | None = None,
    ) -> Histogram:
        found: Histogram = self._child(Histogram, name, text, labels or {}, {"buckets": buckets})
        return found

    def _child(
        self, kind: Any, name: str, text: str, labels: Mapping[str, str], more: Mapping[str, Any]
    ) -> Any:
        key = (name, *labels.values())
        child = self._children.get(key)
        if child is None:
            family = self._families.get(name)
            if family is None:
                family = kind(name, text, tuple(labels), registry=self._registry, **more)
                self._families[name] = family
            child = self._children[key] = family.labels(*labels.values()) if labels else family
        return child


@attrs.frozen
class QueueMetrics:
    """What a work queue calls: plain functions, already bound to its name."""

    added: Callable[[], None]
    retried: Callable[[], None]
    waited: Callable[[float], None]
    worked: Callable[[float], None]


@attrs.frozen
class _Plain(Collector):
    """A registry without the times of creation, which double the size of an answer."""

    registry: CollectorRegistry

    def collect(self) -> Iterator[Metric]:
        for metric in self.registry.collect():
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric


@attrs.frozen
class _Live(Collector):
    """A gauge of prometheus_client whose values are asked for each time."""

    name: str
    text: str
    read: Callable[[], Iterable[Sample]]

    def collect(self) -> Iterator[Metric]:
        samples = list(self.read())
        family = GaugeMetricFamily(
            self.name, self.text, labels=tuple(samples[0][0]) if samples else ()
        )
        for labels, value in samples:
            family.add_metric(tuple(labels.values()), value)
        yield family

    def describe(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(self.name, self.text)
