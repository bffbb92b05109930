"""What the process provider does with each field of a PodSpec: used by admission and `vk lint`.

Fields that request more isolation (such as ``seccompProfile`` or dropped capabilities) are ignored
and not refused, since otherwise hardened pods could not run; README.md states that this is not a
sandbox. Fields that request more privileges are refused.
"""

from __future__ import annotations

import vk

__all__ = ["FIELDS"]

_BUBBLEWRAP = "honoured where bubblewrap isolates pods, else the machine's own"
_NO_SANDBOX = "a process has the rights of its user; this provider is not a sandbox"
_NO_CGROUPS = "counted by the scheduler and at admission; not enforced on processes"
_VOLUME = "this provider mounts emptyDir, volumes of files, and claims for folders of the machine"
_NOT_RESOLVED = "vk does not resolve this source"
_ONE_SPACE = "each container has its own PID namespace, or none where it is not isolated"

_VOLUMES = (
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "hostPath",
    "image",
    "iscsi",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
)

FIELDS = vk.FieldTable(
    honoured=(
        "spec.containers[].args",
        "spec.containers[].command",
        "spec.containers[].env",
        "spec.containers[].envFrom",
        "spec.containers[].image",
        "spec.containers[].lifecycle",
        "spec.containers[].livenessProbe",
        "spec.containers[].readinessProbe",
        "spec.containers[].securityContext.readOnlyRootFilesystem",
        "spec.containers[].securityContext.runAsGroup",
        "spec.containers[].securityContext.runAsNonRoot",
        "spec.containers[].securityContext.runAsUser",
        "spec.containers[].startupProbe",
        "spec.containers[].stdin",
        "spec.containers[].stdinOnce",
        "spec.containers[].terminationMessagePath",
        "spec.containers[].terminationMessagePolicy",
        "spec.containers[].tty",
        "spec.containers[].volumeMounts",
        "spec.containers[].workingDir",
        "spec.hostNetwork",
        "spec.initContainers[].restartPolicy",
        "spec.restartPolicy",
        "spec.securityContext.fsGroup",
        "spec.securityContext.runAsGroup",
        "spec.securityContext.runAsNonRoot",
        "spec.securityContext.runAsUser",
        "spec.securityContext.supplementalGroups",
        "spec.terminationGracePeriodSeconds",
        "spec.volumes[].configMap",
        "spec.volumes[].downwardAPI",
        "spec.volumes[].emptyDir",
        "spec.volumes[].ephemeral",
        "spec.volumes[].persistentVolumeClaim",
        "spec.volumes[].projected",
        "spec.volumes[].secret",
    ),
    changed={
        "spec.hostAliases": _BUBBLEWRAP,
        "spec.hostname": _BUBBLEWRAP,
    },
    ignored={
        "spec.containers[].imagePullPolicy": "nothing is pulled: images are folders of the machine",
        "spec.containers[].ports": "used as names by probes; the process opens the ports itself",
        "spec.containers[].resizePolicy": _NO_CGROUPS,
        "spec.containers[].resources": _NO_CGROUPS,
        "spec.containers[].securityContext": _NO_SANDBOX,
        "spec.containers[].volumeMounts[].mountPropagation": "nothing mounts in a volume",
        "spec.dnsConfig": "processes use the machine's resolver",
        "spec.dnsPolicy": "processes use the machine's resolver",
        "spec.imagePullSecrets": "nothing is pulled: images are folders of the machine",
        "spec.overhead": _NO_CGROUPS,
        "spec.resources": _NO_CGROUPS,
        "spec.runtimeClassName": "there is one way to run a process",
        "spec.securityContext": _NO_SANDBOX,
        "spec.setHostnameAsFQDN": "the name of the pod stays short",
        "spec.subdomain": "the name of the pod stays short",
        "spec.volumes[].emptyDir.medium": "volumes lie in the state folder",
        "spec.volumes[].emptyDir.sizeLimit": "nothing limits a volume",
    },
    refused={
        "spec.containers[].env[].valueFrom.fileKeyRef": _NOT_RESOLVED,
        "spec.containers[].livenessProbe.grpc": "gRPC probes are not supported",
        "spec.containers[].readinessProbe.grpc": "gRPC probes are not supported",
        "spec.containers[].restartPolicy": "containers restart by the policy of their pod",
        "spec.containers[].restartPolicyRules": "containers restart by the policy of their pod",
        "spec.containers[].startupProbe.grpc": "gRPC probes are not supported",
        "spec.containers[].securityContext.privileged": "no process has more rights than vk",
        "spec.containers[].volumeDevices": "there are no block devices",
        "spec.ephemeralContainers": "containers cannot be added to a pod that runs",
        "spec.hostIPC": _ONE_SPACE,
        "spec.hostPID": _ONE_SPACE,
        "spec.hostUsers=false": "there are no user namespaces for pods",
        "spec.resourceClaims": "there are no devices to claim",
        "spec.shareProcessNamespace": _ONE_SPACE,
        "spec.volumes[].projected.sources[].clusterTrustBundle": _NOT_RESOLVED,
        "spec.volumes[].projected.sources[].podCertificate": _NOT_RESOLVED,
        **{f"spec.volumes[].{kind}": _VOLUME for kind in _VOLUMES},
    },
)
"""Volumes of a kind that is not named here are refused by `volumes`."""
