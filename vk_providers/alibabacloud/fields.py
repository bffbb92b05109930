"""What ECI does with each field of a PodSpec: used by admission and `vk lint`.

Every field of the API has an entry; a test reports a missing one. A field without an entry is
refused, since a pod that runs without what it asked for costs as much as one that has it.

Hardening that ECI cannot do does not refuse a pod, since that would refuse every pod of a namespace
with the "restricted" security standard; an event lists these fields once (`notes_on`). A group is a
virtual machine of its own, so they matter less there than on a shared machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import vk
from vk_providers.alibabacloud.create_parameters.containers import has_secrets

__all__ = ["FIELDS", "notes_on"]

_VM = "a group is a virtual machine of its own; ECI cannot narrow it further (an event says so)"
_NO_KIND = "ECI has no volumes of this kind"
_NO_HOST = "a group has no machine that it shares with others"
_STARTUP = "ECI has no startup probes; use a readiness or liveness probe with a delay"
_COPY = "a copy, made when the pod starts: changes and renewed tokens do not reach it"
_SIDECARS_ONLY = "of native sidecars: ECI has it for containers only"
_TOLD = " (an event says so)"
_SIDECAR = "a container that starts before the others, and whose end does not count"
_FILES = ("configMap", "downwardAPI", "projected", "secret")
_PROBES = ("livenessProbe", "readinessProbe")

_REFUSED_VOLUMES = (
    "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "fc", "flocker",
    "gcePersistentDisk", "gitRepo", "glusterfs", "image", "iscsi", "photonPersistentDisk",
    "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
)  # fmt: skip
_PROBE_FIELDS = (
    "exec", "failureThreshold", "httpGet.path", "httpGet.port", "httpGet.scheme",
    "initialDelaySeconds", "periodSeconds", "successThreshold", "tcpSocket.port", "timeoutSeconds",
)  # fmt: skip
_HOOK_FIELDS = ("exec", "httpGet", "tcpSocket")

FIELDS = vk.FieldTable(
    unlisted="refused",
    honoured=(
        "spec.containers[].args",
        "spec.containers[].command",
        "spec.containers[].env",
        "spec.containers[].envFrom",
        "spec.containers[].image",
        "spec.containers[].imagePullPolicy",
        *(f"spec.containers[].lifecycle.postStart.{field}" for field in _HOOK_FIELDS),
        *(f"spec.containers[].lifecycle.preStop.{field}" for field in _HOOK_FIELDS),
        *(f"spec.containers[].{probe}.{field}" for probe in _PROBES for field in _PROBE_FIELDS),
        "spec.containers[].ports[].containerPort",
        "spec.containers[].ports[].name",
        "spec.containers[].ports[].protocol",
        "spec.containers[].resources.limits",
        "spec.containers[].resources.requests",
        "spec.containers[].securityContext.capabilities.add",
        "spec.containers[].securityContext.privileged",
        "spec.containers[].securityContext.readOnlyRootFilesystem",
        "spec.containers[].securityContext.runAsGroup",
        "spec.containers[].securityContext.runAsNonRoot",
        "spec.containers[].securityContext.runAsUser",
        "spec.containers[].stdin",
        "spec.containers[].stdinOnce",
        "spec.containers[].terminationMessagePath",
        "spec.containers[].terminationMessagePolicy",
        "spec.containers[].tty",
        "spec.containers[].volumeMounts[].mountPath",
        "spec.containers[].volumeMounts[].mountPropagation",
        "spec.containers[].volumeMounts[].name",
        "spec.containers[].volumeMounts[].readOnly",
        "spec.containers[].volumeMounts[].subPath",
        "spec.containers[].volumeMounts[].subPathExpr",
        "spec.containers[].workingDir",
        "spec.dnsConfig",
        "spec.dnsPolicy",
        "spec.hostAliases",
        "spec.hostname",
        "spec.imagePullSecrets",
        "spec.resources.limits",
        "spec.resources.requests",
        "spec.restartPolicy",
        "spec.securityContext.runAsGroup",
        "spec.securityContext.runAsNonRoot",
        "spec.securityContext.runAsUser",
        "spec.securityContext.sysctls",
        "spec.shareProcessNamespace",
        "spec.terminationGracePeriodSeconds",
        "spec.volumes[].csi.driver",
        "spec.volumes[].csi.fsType",
        "spec.volumes[].csi.readOnly",
        "spec.volumes[].csi.volumeAttributes",
        "spec.volumes[].emptyDir",
        "spec.volumes[].ephemeral",
        "spec.volumes[].flexVolume.driver",
        "spec.volumes[].flexVolume.fsType",
        "spec.volumes[].flexVolume.options",
        "spec.volumes[].flexVolume.readOnly",
        "spec.volumes[].nfs",
        "spec.volumes[].persistentVolumeClaim",
    ),
    changed={
        "spec.initContainers[].restartPolicy=Always": _SIDECAR,
        "spec.initContainers[].securityContext.privileged": _SIDECARS_ONLY + "; else refused",
        "spec.initContainers[].securityContext.runAsGroup": _SIDECARS_ONLY + _TOLD,
        "spec.initContainers[].securityContext.runAsNonRoot": _SIDECARS_ONLY + _TOLD,
        **{f"spec.volumes[].{kind}": _COPY for kind in _FILES},
    },
    ignored={
        "spec.containers[].resizePolicy": "nothing is resized in place",
        "spec.containers[].securityContext.allowPrivilegeEscalation": _VM,
        "spec.containers[].securityContext.appArmorProfile": _VM,
        "spec.containers[].securityContext.capabilities.drop": _VM,
        "spec.containers[].securityContext.procMount": _VM,
        "spec.containers[].securityContext.seLinuxOptions": _VM,
        "spec.containers[].securityContext.seccompProfile": _VM,
        "spec.hostUsers": _VM,
        "spec.overhead": "the size of a group is what its containers ask for",
        "spec.runtimeClassName": "there is one way to run a group",
        "spec.securityContext.appArmorProfile": _VM,
        "spec.securityContext.fsGroup": "volumes keep their owners (an event says so)",
        "spec.securityContext.fsGroupChangePolicy": "volumes keep their owners",
        "spec.securityContext.seLinuxChangePolicy": _VM,
        "spec.securityContext.seLinuxOptions": _VM,
        "spec.securityContext.seccompProfile": _VM,
        "spec.securityContext.supplementalGroups": "ECI has no such groups (an event says so)",
        "spec.securityContext.supplementalGroupsPolicy": "ECI has no such groups",
        "spec.subdomain": "the name of the pod stays short",
        "spec.volumes[].persistentVolumeClaim.readOnly": "the mounts say it for each container",
    },
    refused={
        "spec.containers[].env[].valueFrom.fileKeyRef": "vk does not read it",
        "spec.volumes[].projected.sources[].clusterTrustBundle": "vk does not read it",
        "spec.volumes[].projected.sources[].podCertificate": "vk does not make it",
        **{
            f"spec.containers[].{probe}.{field}": "ECI's probes have no such field"
            for probe in _PROBES
            for field in (
                "grpc",
                "httpGet.host",
                "httpGet.httpHeaders",
                "tcpSocket.host",
                "terminationGracePeriodSeconds",
            )
        },
        "spec.containers[].lifecycle.postStart.sleep": "ECI has no such hook; use exec",
        "spec.containers[].lifecycle.preStop.sleep": "ECI has no such hook; use exec",
        "spec.containers[].lifecycle.stopSignal": "ECI stops containers by SIGTERM",
        "spec.containers[].ports[].hostIP": _NO_HOST,
        "spec.containers[].ports[].hostPort": _NO_HOST,
        "spec.containers[].resources.claims": "ECI has no devices to claim",
        "spec.containers[].restartPolicy": "containers restart by the policy of their pod",
        "spec.containers[].restartPolicyRules": "containers restart by the policy of their pod",
        "spec.initContainers[].restartPolicy": "an init container restarts always, or by its pod",
        "spec.containers[].securityContext.windowsOptions": "groups run Linux",
        "spec.containers[].startupProbe": _STARTUP,
        "spec.containers[].volumeDevices": "ECI mounts disks with a file system only",
        "spec.containers[].volumeMounts[].recursiveReadOnly": "ECI has no such mounts",
        "spec.ephemeralContainers": "ECI adds no container to a group that runs",
        "spec.hostIPC": _NO_HOST,
        "spec.hostNetwork": _NO_HOST,
        "spec.hostPID": _NO_HOST,
        "spec.hostnameOverride": "the name of the pod is its host's; spec.hostname changes it",
        "spec.resourceClaims": "ECI has no devices to claim",
        "spec.resources.claims": "ECI has no devices to claim",
        "spec.securityContext.windowsOptions": "groups run Linux",
        "spec.setHostnameAsFQDN": "the name of the pod stays short",
        "spec.volumes[].csi.nodePublishSecretRef": "ECI reads no Secrets; use a RAM role",
        "spec.volumes[].flexVolume.secretRef": "ECI reads no Secrets; use a RAM role",
        "spec.volumes[].hostPath": _NO_HOST,
        **{f"spec.volumes[].{kind}": _NO_KIND for kind in _REFUSED_VOLUMES},
    },
)


_UNMET_POD_FIELDS = (
    "fsGroup",
    "supplementalGroups",
    "seccompProfile",
    "seLinuxOptions",
    "appArmorProfile",
)
_UNMET_CONTAINER_FIELDS = ("seccompProfile", "seLinuxOptions", "appArmorProfile", "procMount")
_UNMET_INIT_FIELDS = ("runAsGroup", "runAsNonRoot")
"""Fields that ECI has for containers, and not for init containers."""


def notes_on(pod: vk.Pod) -> tuple[str, ...]:
    """Return the paths of security fields that are set and have no counterpart in ECI."""
    return tuple(dict.fromkeys(_unmet(pod.spec)))


def _unmet(spec: Mapping[str, Any]) -> Iterator[str]:
    context = spec.get("securityContext") or {}
    for field in _UNMET_POD_FIELDS:
        if context.get(field) is not None:
            yield f"spec.securityContext.{field}"
    for kind in ("containers", "initContainers"):
        for container in spec.get(kind) or ():
            context = container.get("securityContext") or {}
            path = f"spec.{kind}[].securityContext"
            for field in _UNMET_CONTAINER_FIELDS:
                if context.get(field) is not None:
                    yield f"{path}.{field}"
            if (context.get("capabilities") or {}).get("drop"):
                yield f"{path}.capabilities.drop"
            if context.get("allowPrivilegeEscalation") is False:
                yield f"{path}.allowPrivilegeEscalation"
            if kind == "initContainers" and container.get("restartPolicy") != "Always":
                yield from _unmet_in_init(spec.get("securityContext") or {}, container)


def _unmet_in_init(pod: Mapping[str, Any], container: Mapping[str, Any]) -> Iterator[str]:
    both = {**pod, **(container.get("securityContext") or {})}
    for field in _UNMET_INIT_FIELDS:
        if both.get(field) not in (None, False):
            yield f"spec.initContainers[].securityContext.{field}"
    if has_secrets(container):
        yield "spec.initContainers[].env (values from Secrets are not hidden)"
