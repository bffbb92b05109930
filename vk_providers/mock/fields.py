"""What the mock does with each field of a PodSpec: used by admission and `vk lint`.

It rejects nothing: a simulated pod can have any field.
"""

from __future__ import annotations

import vk

__all__ = ["FIELDS"]

_NO_DISK = "simulated: no process uses a disk"
_NO_PROBE = "simulated: no process is probed; see the annotation mock.vk/ready-after"

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
        "spec.containers[].args": "simulated: no process runs",
        "spec.containers[].command": "simulated: no process runs",
        "spec.containers[].env": "simulated: no process reads variables",
        "spec.containers[].envFrom": "simulated: no process reads variables",
        "spec.containers[].image": "simulated: no image is pulled",
        "spec.containers[].imagePullPolicy": "nothing is pulled",
        "spec.containers[].lifecycle": "simulated: no process runs",
        "spec.containers[].livenessProbe": _NO_PROBE,
        "spec.containers[].readinessProbe": _NO_PROBE,
        "spec.containers[].startupProbe": _NO_PROBE,
        "spec.ephemeralContainers": "simulated: no process runs",
        "spec.imagePullSecrets": "nothing is pulled",
        "spec.volumes": _NO_DISK,
        "spec.volumes[].projected.sources[].clusterTrustBundle": "vk does not resolve this source",
        "spec.volumes[].projected.sources[].podCertificate": "vk does not resolve this source",
    },
)
