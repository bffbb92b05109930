"""What is counted, under which names; two nodes in one process do not mix."""

from __future__ import annotations

from vk.metrics import Metrics


def lines(metrics: Metrics) -> list[str]:
    return metrics.render().decode().splitlines()


def test_names_are_the_kubelet_s() -> None:
    metrics = Metrics("n1")
    metrics.pod_started(2.5)
    metrics.operation("create_pod", 0.2, False)
    metrics.operation("create_pod", 0.2, True)
    metrics.client_request("GET", 200, 0.01)
    metrics.client_request("PATCH", 0, 0.01)
    metrics.served_request("GET", "/pods", 200, 0.01)
    queue = metrics.queue("pods")
    queue.added()
    queue.retried()
    queue.waited(0.1)
    queue.worked(0.2)
    found = lines(metrics)
    for line in (
        'kubelet_node_name{node="n1"} 1.0',
        "kubelet_pod_start_duration_seconds_count 1.0",
        'kubelet_runtime_operations_total{operation_type="create_pod"} 2.0',
        'kubelet_runtime_operations_errors_total{operation_type="create_pod"} 1.0',
        'kubelet_runtime_operations_duration_seconds_count{operation_type="create_pod"} 2.0',
        'rest_client_requests_total{code="200",method="GET"} 1.0',
        'rest_client_requests_total{code="<error>",method="PATCH"} 1.0',
        'rest_client_request_duration_seconds_count{verb="GET"} 1.0',
        'kubelet_http_requests_total{code="200",method="GET",path="/pods"} 1.0',
        'workqueue_adds_total{name="pods"} 1.0',
        'workqueue_retries_total{name="pods"} 1.0',
        'workqueue_queue_duration_seconds_count{name="pods"} 1.0',
        'workqueue_work_duration_seconds_count{name="pods"} 1.0',
    ):
        assert line in found
    assert not [line for line in found if "_created" in line]
    assert [line for line in found if line.startswith("process_resident_memory_bytes ")]


def test_a_method_that_a_client_made_up_is_no_label() -> None:
    metrics = Metrics("n1")
    metrics.served_request("BREW", "unknown", 405, 0.01)
    assert not [line for line in lines(metrics) if "BREW" in line]


def test_gauges_are_read_when_asked_for() -> None:
    metrics, value = Metrics("n1"), [1.0]
    metrics.gauge("some", "Something.", lambda: [({"kind": "a"}, value[0]), ({"kind": "b"}, 0.0)])
    metrics.gauge("none", "Nothing.", list)
    value[0] = 7.0
    assert 'some{kind="a"} 7.0' in lines(metrics)
    assert 'some{kind="b"} 0.0' in lines(metrics)


def test_two_nodes_do_not_mix() -> None:
    one, other = Metrics("n1"), Metrics("n2")
    one.pod_started(1.0)
    assert not [line for line in lines(other) if "pod_start" in line]
