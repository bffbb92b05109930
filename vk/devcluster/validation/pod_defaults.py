"""What the API server writes into a new pod that its author left out. Pure.

In: a decoded pod, which is changed in place (it is the own copy of the caller). Called on create;
on an update only `set_pod_defaults` runs again, since the admission half (account, priority,
tolerations) looks at new pods alone.

Note: a request that is missing is taken from the limit; the pull policy depends on the tag alone;
with the network of the host each container port is a port of the host; and a volume that names no
source is an emptyDir.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from vk.devcluster.validation.literals import round_up_to_milli
from vk.devcluster.validation.pod_resources import default_pod_level_resources

__all__ = ["admit_pod", "set_pod_defaults", "set_source_defaults", "tolerate_lost_nodes"]

_SPEC_DEFAULTS = {
    "dnsPolicy": "ClusterFirst",
    "restartPolicy": "Always",
    "schedulerName": "default-scheduler",
    "terminationGracePeriodSeconds": 30,
    "enableServiceLinks": True,
}
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_DEFAULTS = {
    "timeoutSeconds": 1,
    "periodSeconds": 10,
    "successThreshold": 1,
    "failureThreshold": 3,
}
_NOT_READY, _UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
_EVICTION_SECONDS = 300


def _all_containers(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield containers, init containers and ephemeral containers."""
    for part in ("containers", "initContainers", "ephemeralContainers"):
        yield from spec.get(part) or ()


def set_pod_defaults(pod: dict[str, Any]) -> None:
    """Fill in everything that does not depend on other objects; repeatable."""
    spec = pod["spec"]
    for name, value in _SPEC_DEFAULTS.items():
        spec.setdefault(name, value)
    spec.setdefault("securityContext", {})
    for container in _all_containers(spec):
        _set_container_defaults(container)
    for volume in spec.get("volumes") or ():
        _set_volume_defaults(volume)
    if "overhead" in spec:
        spec["overhead"] = _rounded(spec["overhead"])
    for part in ("containers", "initContainers"):
        for container in spec.get(part) or ():
            _set_requests(container["resources"])
            if spec.get("hostNetwork"):
                _use_host_ports(container)
    default_pod_level_resources(spec)
    _join_service_account_names(spec)


def admit_pod(pod: dict[str, Any]) -> None:
    """Fill in what admission gives a new pod: account, priority, tolerations."""
    spec = pod["spec"]
    spec.setdefault("serviceAccountName", "default")
    _join_service_account_names(spec)
    if "priorityClassName" not in spec or spec["priorityClassName"] in _PRIORITIES:
        spec.setdefault("priority", _PRIORITIES.get(spec.get("priorityClassName", ""), 0))
        spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    tolerate_lost_nodes(spec)


_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def _join_service_account_names(spec: dict[str, Any]) -> None:
    """Keep the field and its former name equal; the former name counts where it stands alone."""
    name = spec.get("serviceAccountName") or spec.get("serviceAccount")
    if name:
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def tolerate_lost_nodes(spec: dict[str, Any]) -> None:
    """Add the default tolerations of a node that is not ready or unreachable, to any pod."""
    tolerations: list[dict[str, Any]] = spec.get("tolerations") or []
    for key in (_NOT_READY, _UNREACHABLE):
        if not any(_tolerates_eviction(toleration, key) for toleration in tolerations):
            tolerations.append(
                {
                    "key": key,
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": _EVICTION_SECONDS,
                }
            )
    if tolerations:
        spec["tolerations"] = tolerations


def _tolerates_eviction(toleration: dict[str, Any], key: str) -> bool:
    return toleration.get("key", "") in ("", key) and (
        toleration.get("effect", "") in ("", "NoExecute")
    )


def _set_container_defaults(container: dict[str, Any]) -> None:
    container.setdefault("imagePullPolicy", _pull_policy(container.get("image", "")))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or ():
        _set_source_defaults(variable.get("valueFrom") or {})
    for name in _PROBES:
        probe = container.get(name)
        if probe is not None:
            _set_handler_defaults(probe)
            for field, value in _PROBE_DEFAULTS.items():
                probe.setdefault(field, value)
    for action in (container.get("lifecycle") or {}).values():
        if isinstance(action, dict):
            _set_handler_defaults(action)
    resources = container["resources"]
    for part in ("limits", "requests"):
        if part in resources:
            resources[part] = _rounded(resources[part])


def _set_handler_defaults(handler: dict[str, Any]) -> None:
    if "httpGet" in handler:
        handler["httpGet"].setdefault("path", "/")
        handler["httpGet"].setdefault("scheme", "HTTP")
    if "grpc" in handler:
        handler["grpc"]["service"] = handler["grpc"]["service"] or ""


def _set_source_defaults(source: dict[str, Any]) -> None:
    if "fieldRef" in source:
        source["fieldRef"].setdefault("apiVersion", "v1")
    if "fileKeyRef" in source:
        source["fileKeyRef"].setdefault("optional", False)


def _rounded(amounts: dict[str, str]) -> dict[str, str]:
    return {name: round_up_to_milli(amount) for name, amount in amounts.items()}


def _set_requests(resources: dict[str, Any]) -> None:
    if resources.get("limits"):
        resources["requests"] = resources["limits"] | resources.get("requests", {})


def _use_host_ports(container: dict[str, Any]) -> None:
    for port in container.get("ports") or ():
        if not port.get("hostPort"):
            port["hostPort"] = port["containerPort"]


_MODE = 0o644
_WITH_MODE = ("secret", "configMap", "downwardAPI", "projected")
_SOURCE_DEFAULTS: dict[str, dict[str, Any]] = {
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {
        "cachingMode": "ReadWrite",
        "kind": "Shared",
        "fsType": "ext4",
        "readOnly": False,
    },
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}


def _set_volume_defaults(volume: dict[str, Any]) -> None:
    """Fill in the source of one volume; repeatable."""
    if len(volume) == 1 and "name" in volume:
        volume["emptyDir"] = {}
    for name in _WITH_MODE:
        if name in volume:
            volume[name].setdefault("defaultMode", _MODE)
    set_source_defaults(volume)
    _set_field_versions(volume.get("downwardAPI") or {})
    for source in (volume.get("projected") or {}).get("sources") or ():
        _set_field_versions(source.get("downwardAPI") or {})
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
    if "image" in volume:
        volume["image"].setdefault("pullPolicy", _pull_policy(volume["image"].get("reference", "")))
    claim = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if claim is not None:
        claim["spec"].setdefault("volumeMode", "Filesystem")


def set_source_defaults(owner: dict[str, Any]) -> None:
    """Fill in the source of a disk, which volumes of pods and PersistentVolumes have alike."""
    for name, defaults in _SOURCE_DEFAULTS.items():
        if name in owner:
            for field, value in defaults.items():
                owner[name].setdefault(field, value)


def _set_field_versions(source: dict[str, Any]) -> None:
    for item in source.get("items") or ():
        if "fieldRef" in item:
            item["fieldRef"].setdefault("apiVersion", "v1")


_TAG = re.compile(r":([\w][\w.-]{0,127})$", re.ASCII)


def _pull_policy(image: str) -> str:
    """Return Always for the tag ``latest`` or neither tag nor digest, else IfNotPresent."""
    if "@" in image or not image:
        return "IfNotPresent"
    tag = _TAG.search(image.rpartition("/")[2])
    return "Always" if tag is None or tag[1] == "latest" else "IfNotPresent"
