"""From a claim to the PersistentVolume that it is bound to, with the kubelet's checks.

In: the raw pod, the backend's FieldTable, claims and volumes as they are, the node's labels. Out:
the pod's `Volume` values, or what the pod waits for. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from vk.fields import FieldTable
from vk.models.api_object import EMPTY, containers_of, spec_of, status_of, volumes_of
from vk.models.pod import Json
from vk.models.volumes import Volume, volume
from vk.notation.selector import node_selector_matches
from vk.pods.errors import LOOK_WITHIN, NotReadyError

__all__ = ["ClaimNeed", "bound_volume", "check_volume", "claim_needs", "volumes"]


_PROTECTION = "kubernetes.io/pvc-protection"
_WRITES = ("ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod")


@attrs.frozen(kw_only=True)
class ClaimNeed:
    """A PersistentVolumeClaim that a volume of the pod uses."""

    volume: str
    claim: str
    read_only: bool
    owned: bool
    """Whether it was made for this pod alone, for an ephemeral volume."""


def claim_needs(raw: Json, fields: FieldTable) -> list[ClaimNeed]:
    """Return the claims of the pod's volumes, as far as the backend honours their kinds."""
    found = []
    for one in volumes_of(raw):
        name, claim = one["name"], one.get("persistentVolumeClaim")
        if claim is not None and fields.honours("spec.volumes[].persistentVolumeClaim"):
            need = ClaimNeed(
                volume=name,
                claim=claim.get("claimName") or "",
                read_only=bool(claim.get("readOnly")),
                owned=False,
            )
            found.append(need)
        elif one.get("ephemeral") is not None and fields.honours("spec.volumes[].ephemeral"):
            own = f"{raw['metadata']['name']}-{name}"
            found.append(ClaimNeed(volume=name, claim=own, read_only=False, owned=True))
    return found


def bound_volume(raw: Json, need: ClaimNeed, claim: Json | None) -> str:
    """Return the name of the PersistentVolume that the claim is bound to.

    Raises NotReadyError where there is no claim, or it is another pod's, not bound, or being
    deleted and no longer kept for the pods that use it.
    """
    if claim is None:
        raise _waits(need, "not found")
    protected = _PROTECTION in (claim["metadata"].get("finalizers") or ())
    if claim["metadata"].get("deletionTimestamp") and not protected:
        raise _waits(need, "is being deleted")
    owners = claim["metadata"].get("ownerReferences") or ()
    own = any(one.get("uid") == raw["metadata"]["uid"] for one in owners if one.get("controller"))
    if need.owned and not own:
        raise _waits(need, "was not made for this pod")
    name = spec_of(claim).get("volumeName")
    phase = status_of(claim).get("phase")
    if phase != "Bound" or not name:
        raise _waits(need, f"is not bound (its phase is {phase or 'Pending'})")
    return str(name)


def check_volume(
    raw: Json, need: ClaimNeed, claim: Json, found: Json | None, labels: Mapping[str, str]
) -> Json:
    """Return ``found``, the claim's PersistentVolume, if this pod can use it on this node.

    Raises NotReadyError.
    """
    name = claim["spec"]["volumeName"]
    if found is None:
        raise _waits(need, f"is bound to PersistentVolume {name!r}, which is not there")
    spec = spec_of(found)
    if (spec.get("claimRef") or EMPTY).get("uid") != claim["metadata"]["uid"]:
        raise _waits(need, f"is not the claim that PersistentVolume {name!r} is bound to")
    _check_access(raw, need, claim, spec)
    required = (spec.get("nodeAffinity") or EMPTY).get("required")
    if required is not None and not node_selector_matches(
        required.get("nodeSelectorTerms") or (), labels, {}
    ):
        raise _waits(need, f"is bound to PersistentVolume {name!r}, which this node cannot reach")
    return found


def volumes(raw: Json, bound: Mapping[str, Json]) -> dict[str, Volume]:
    """Return the pod's volumes; ``bound`` are PersistentVolumes by the name of the pod's volume."""
    return {one["name"]: volume(one, bound.get(one["name"])) for one in volumes_of(raw)}


def _check_access(raw: Json, need: ClaimNeed, claim: Json, spec: Json) -> None:
    modes = spec.get("accessModes") or ()
    lacking = [mode for mode in claim["spec"].get("accessModes") or () if mode not in modes]
    if lacking:
        raise _waits(need, f"asks for {', '.join(lacking)}, and its volume has {', '.join(modes)}")
    mounts = list(_uses(raw, need.volume, "volumeMounts"))
    block = (spec.get("volumeMode") or "Filesystem") == "Block"
    if block and mounts:
        raise _waits(need, "is a block device, and volumeMounts name it")
    if not block and any(_uses(raw, need.volume, "volumeDevices")):
        raise _waits(need, "is a file system, and volumeDevices name it")
    writes = not need.read_only and any(not mount.get("readOnly") for mount in mounts)
    if writes and modes and not any(mode in _WRITES for mode in modes):
        raise _waits(need, f"can only be read ({', '.join(modes)}), and a container writes to it")


def _uses(raw: Json, name: str, field: str) -> list[Json]:
    return [
        use
        for container in containers_of(raw)
        for use in container.get(field) or ()
        if use.get("name") == name
    ]


def _waits(need: ClaimNeed, problem: str) -> NotReadyError:
    text = f"volume {need.volume!r}: PersistentVolumeClaim {need.claim!r} {problem}"
    return NotReadyError(text, reason="FailedMount", within=LOOK_WITHIN)
