"""The add-on that answers `kubectl top` on a real cluster, as a process of this machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vk.testing.control_plane import ControlPlane
from vk.testing.programs import Program

PROGRAM = "METRICS_SERVER"
"""The environment variable that names the program."""
_GROUP = "metrics.k8s.io"


@contextmanager
def metrics_server(plane: ControlPlane, *, address: str, port: int, folder: Path) -> Iterator[None]:
    """Run it and register its API; ``address`` is one of this machine that is not loopback."""
    admin = plane.admin_kubeconfig
    command = [
        os.environ[PROGRAM],
        *(f"--{who}kubeconfig={admin}" for who in ("", "authentication-", "authorization-")),
        f"--bind-address={address}",
        f"--secure-port={port}",
        f"--cert-dir={folder}",
        "--kubelet-insecure-tls",
        "--kubelet-preferred-address-types=InternalIP",
        "--kubelet-use-node-status-port",
        "--metric-resolution=10s",
        "--kubelet-request-timeout=5s",
    ]
    program = Program(command, folder / "metrics-server.log")
    registered = json.dumps(_registration(address, port))
    plane.kubectl("apply", "-f", "-", input=registered)
    program.start()
    try:
        program.check()
        what = (f"apiservice/v1beta1.{_GROUP}", "--for=condition=Available", "--timeout=60s")
        plane.kubectl("wait", *what)
        yield
    finally:
        program.stop()
        plane.kubectl("delete", "-f", "-", input=registered)


def _registration(address: str, port: int) -> dict[str, Any]:
    service = {"name": "metrics-server", "namespace": "kube-system"}
    ports = [{"name": "https", "port": port, "protocol": "TCP"}]
    slice_ = {**service, "labels": {"kubernetes.io/service-name": service["name"]}}
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": service,
                "spec": {"ports": [{**ports[0], "targetPort": port}]},
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": slice_,
                "addressType": "IPv4",
                "endpoints": [{"addresses": [address]}],
                "ports": ports,
            },
            {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": f"v1beta1.{_GROUP}"},
                "spec": {
                    "group": _GROUP,
                    "version": "v1beta1",
                    "service": {**service, "port": port},
                    "insecureSkipTLSVerify": True,
                    "groupPriorityMinimum": 100,
                    "versionPriority": 100,
                },
            },
        ],
    }
