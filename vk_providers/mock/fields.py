"""What the mock does with each field of a PodSpec: admission and `vk lint` read it.

It refuses nothing: a pod that runs nowhere can have any field.
"""

from __future__ import annotations

import vk

__all__ = ["FIELDS"]

_NO_DISK = "no process runs that could use a disk"
_NO_PROBE = "no process runs that could be asked; the annotation mock.vk/ready-after scripts it"

FIELDS = vk.FieldTable(
    honoured=(
        "spec.containers[].resources",
        "spec.containers[].volumeMounts",
        "spec.initContainers[].restartPolicy",
        "spec.restartPolicy",
        "spec.terminationGracePeriodSeconds",
        "spec.volumes[].configMap",
        "spec.volumes[].downwardAPI",
        "spec.volumes[].projected",
        "spec.volumes[].secret",
    ),
    ignored={
        "spec.containers[].args": "no process runs that could be given arguments",
        "spec.containers[].command": "no process runs",
        "spec.containers[].env": "no process runs that could read a variable",
        "spec.containers[].envFrom": "no process runs that could read a variable",
        "spec.containers[].image": "no process runs, so nothing is pulled",
        "spec.containers[].imagePullPolicy": "nothing is pulled",
        "spec.containers[].lifecycle": "no process runs that could be told",
        "spec.containers[].livenessProbe": _NO_PROBE,
        "spec.containers[].readinessProbe": _NO_PROBE,
        "spec.containers[].startupProbe": _NO_PROBE,
        "spec.ephemeralContainers": "no process runs that could be looked into",
        "spec.imagePullSecrets": "nothing is pulled",
        "spec.volumes": _NO_DISK,
        "spec.volumes[].projected.sources[].clusterTrustBundle": "vk does not resolve this source",
        "spec.volumes[].projected.sources[].podCertificate": "vk does not resolve this source",
    },
)
