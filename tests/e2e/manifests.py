"""Kubernetes objects for the end-to-end tests, as JSON for ``kubectl apply -f -``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


def pod_spec(node: str, **more: Any) -> Json:
    """Return a spec that only ``node`` runs; ``more`` goes into it as it is."""
    return {
        "nodeSelector": {"kubernetes.io/hostname": node},
        "tolerations": [{"key": "virtual-kubelet.io/provider", "operator": "Exists"}],
        "terminationGracePeriodSeconds": 5,
        "containers": [{"name": "main", "image": "nginx"}],
        **more,
    }


def template(node: str, annotations: Mapping[str, str] | None = None, **more: Any) -> Json:
    """Return the pod template of a workload; its pods have the label ``app=web``."""
    metadata = {"labels": {"app": "web"}, "annotations": dict(annotations or {})}
    return {"metadata": metadata, "spec": pod_spec(node, **more)}


def pod(name: str, node: str, **more: Any) -> str:
    """Return a plain pod."""
    return thing("v1", "Pod", name, spec=pod_spec(node, **more))


def workload(kind: str, name: str, node: str, replicas: int) -> str:
    """Return a Deployment or StatefulSet."""
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": template(node),
    }
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return thing("apps/v1", kind, name, spec=spec)


def job_spec(node: str) -> Json:
    """Return the spec of a Job whose pod ends well after a second."""
    return {"template": template(node, {"mock.vk/run-for": "1s"}, restartPolicy="Never")}


def thing(api_version: str, kind: str, name: str, **fields: Any) -> str:
    """Return any object."""
    return json.dumps(
        {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, **fields}
    )
