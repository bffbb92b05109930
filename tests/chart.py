"""A pod as charts have it: every kind of reference, init container, sidecar, probes, hooks.

For the tests on the embedded API server and on a real one.
"""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_AFTER = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
_INFO = [
    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
    {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}},
    {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu"}},
]
_ITEMS = [{"key": "app.conf", "path": "conf/app.conf", "mode": 0o640}]


def objects(data: Path) -> str:
    """Return what the pod refers to; ``data`` is the folder behind its claim."""
    login = json.dumps({"auths": {"registry.example": {"auth": _encoded("ann:pw")}}})
    registry = {".dockerconfigjson": _encoded(login)}
    capacity = {"storage": "1Mi"}
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "",
        "resources": {"requests": capacity},
    }
    return _stream(
        thing("v1", "ConfigMap", "settings", data={"app.conf": "v1\n", "other": "x\n"}),
        thing("v1", "Secret", "hush", stringData={"password": "geheim"}),
        thing("v1", "Secret", "registry", type="kubernetes.io/dockerconfigjson", data=registry),
        thing("v1", "PersistentVolumeClaim", "data", spec=claim),
        thing(
            "v1",
            "PersistentVolume",
            data.name,
            spec={
                "accessModes": ["ReadWriteOnce"],
                "capacity": capacity,
                "hostPath": {"path": str(data)},
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
            },
        ),
    )


def pod(name: str, node: str) -> str:
    """Return the pod."""
    sidecar = _shell("sidecar", f"echo up > /data/sidecar; {_AFTER}", _mounts("data"))
    first = "cat /conf/conf/app.conf > /data/seen-first"
    spec = {
        "nodeSelector": {"kubernetes.io/hostname": node},
        "tolerations": [{"key": "virtual-kubelet.io/provider", "operator": "Exists"}],
        "terminationGracePeriodSeconds": 5,
        "imagePullSecrets": [{"name": "registry"}],
        "initContainers": [
            _shell("first", first, _mounts("conf", "data")),
            {**sidecar, "restartPolicy": "Always"},
        ],
        "containers": [_main()],
        "volumes": [
            {"name": "conf", "configMap": {"name": "settings", "items": _ITEMS}},
            {"name": "hush", "secret": {"secretName": "hush", "defaultMode": 0o400}},
            {"name": "info", "downwardAPI": {"items": _INFO}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "scratch", "emptyDir": {}},
        ],
    }
    return thing("v1", "Pod", name, spec=spec)


def thing(api_version: str, kind: str, name: str, **fields: Any) -> str:
    """Return any object, as kubectl takes it."""
    metadata = {"metadata": {"name": name}}
    return json.dumps({"apiVersion": api_version, "kind": kind, **metadata, **fields})


def _main() -> Json:
    mounts = [
        *_mounts("conf", "hush", "info", "data", "scratch"),
        {"name": "conf", "mountPath": "/etc/app.conf", "subPath": "conf/app.conf"},
    ]
    return {
        **_shell("main", f"echo started > /scratch/up; {_AFTER}", mounts),
        "env": [
            {
                "name": "PASSWORD",
                "valueFrom": {"secretKeyRef": {"name": "hush", "key": "password"}},
            }
        ],
        "resources": {"limits": {"cpu": "1500m"}},
        "startupProbe": _probe("test -s /scratch/up"),
        "readinessProbe": _probe("test -s /data/sidecar"),
        "livenessProbe": _probe("test -s /scratch/up"),
        "lifecycle": {
            "postStart": _exec("echo after > /data/post-start"),
            "preStop": _exec("echo before > /data/pre-stop"),
        },
    }


def _shell(name: str, script: str, mounts: list[Json]) -> Json:
    return {"name": name, "image": "any", "command": ["sh", "-c", script], "volumeMounts": mounts}


def _mounts(*volumes: str) -> list[Json]:
    return [{"name": name, "mountPath": f"/{name}"} for name in volumes]


def _exec(script: str) -> Json:
    return {"exec": {"command": ["sh", "-c", script]}}


def _probe(script: str) -> Json:
    return {**_exec(script), "periodSeconds": 1}


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def _stream(*items: str) -> str:
    return "\n---\n".join(items)
