"""The subresource resize: what it may change of a stored pod, amounts of cpu and memory. Pure.

In: the old pod and the new one, defaulted. Out: causes. Called through the strategy of pods. What
the pod's node has to say to it is the matter of `vk.devcluster.resizing`.

Note: a change of other fields is dropped, not refused, so that a whole pod may be sent; but
a resizePolicy is kept, to be refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vk.devcluster.validation.causes import Cause, forbidden, invalid
from vk.devcluster.validation.pods_resources import qos_class

__all__ = ["keep_but_resources", "resize_faults", "unresizable"]

_COMPUTE = ("cpu", "memory")
_AMOUNTS = ("limits", "requests")
_PARTS = ("containers", "initContainers")
_TAKEN = ("resources", "resizePolicy")
_MIRROR = "kubernetes.io/config.mirror"
_ONLY = "only cpu and memory resources"


def keep_but_resources(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Give ``new`` all of ``old`` but the resources; added and renamed containers stay there."""
    for name in ("labels", "annotations", "finalizers", "ownerReferences"):
        new["metadata"].pop(name, None)
        if old["metadata"].get(name):
            new["metadata"][name] = old["metadata"][name]
    before, after = old["spec"], new["spec"]
    if any(len(before.get(part) or ()) != len(after.get(part) or ()) for part in _PARTS):
        return
    spec = {name: value for name, value in before.items() if name != "resources"}
    for part in _PARTS:
        if before.get(part):
            spec[part] = _resized(before[part], after[part])
    if "resources" in after:
        spec["resources"] = after["resources"]
    new["spec"] = spec


def _resized(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if _names(before) != _names(after):
        return after
    return [
        {name: value for name, value in old.items() if name not in _TAKEN}
        | {name: new[name] for name in _TAKEN if name in new}
        for old, new in zip(before, after, strict=True)
    ]


def _names(containers: Iterable[dict[str, Any]]) -> list[str]:
    return [container["name"] for container in containers]


def unresizable(old: dict[str, Any]) -> list[Cause]:
    """Return why no resize of the pod is looked at."""
    if _MIRROR in (old["metadata"].get("annotations") or {}):
        return [forbidden("", "static pods cannot be resized")]
    if (old["spec"].get("os") or {}).get("name") == "windows":
        return [forbidden("", "windows pods cannot be resized")]
    return []


def resize_faults(old: dict[str, Any], new: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with the change of a pod's resources."""
    before, after, causes = old["spec"], new["spec"], []
    if (old["status"].get("qosClass") or qos_class(before)) != qos_class(after):
        detail = "Pod QOS Class may not change as a result of resizing"
        causes.append(invalid("spec", new["status"].get("qosClass", ""), detail))
    if not _supported(old["status"]):
        causes.append(forbidden("spec", "Pod running on node without support for resize"))
    causes += _pod_level_faults(before.get("resources"), after.get("resources"))
    moved = [cause for part in _PARTS for cause in _order_faults(part, before, after)]
    if moved:
        return causes + moved
    for part in reversed(_PARTS):
        for index, both in enumerate(_pairs(part, before, after)):
            was, wanted = (container.get("resources") or {} for container in both)
            causes += _removal_faults(f"spec.{part}[{index}].resources", "resource", was, wanted)
    for container, changed in _pairs("containers", before, after):
        if _masked(container, changed) != container:
            causes.append(forbidden("spec", f"{_ONLY} are mutable"))
    return causes + _init_faults(before, after)


def _supported(status: dict[str, Any]) -> bool:
    """Return whether the node shows the resources of what runs; kubelets that resize do."""
    for container in status.get("containerStatuses") or ():
        if (container.get("state") or {}).get("running") is not None:
            return container.get("resources") is not None
    return True


def _pod_level_faults(old: dict[str, Any] | None, new: dict[str, Any] | None) -> list[Cause]:
    field = "spec.resources"
    if not any((one or {}).get(part) for one in (old, new) for part in _AMOUNTS):
        return []
    if new is None:
        return [forbidden(field, "pod-level resources cannot be removed")]
    causes = _removal_faults(field, "pod-level resource", old or {}, new)
    if _masked({"resources": old or {}}, {"resources": new})["resources"] != (old or {}):
        causes.append(forbidden("spec", f"{_ONLY} are mutable at pod-level"))
    return causes


def _order_faults(part: str, before: dict[str, Any], after: dict[str, Any]) -> list[Cause]:
    old, new = before.get(part) or (), after.get(part) or ()
    if len(old) != len(new):
        return [forbidden(f"spec.{part}", f"{part} may not be added or removed on resize")]
    return [
        forbidden(f"spec.{part}[{index}].name", f"{part} may not be renamed or reordered on resize")
        for index, names in enumerate(zip(_names(old), _names(new), strict=True))
        if names[0] != names[1]
    ]


def _removal_faults(field: str, what: str, old: dict[str, Any], new: dict[str, Any]) -> list[Cause]:
    return [
        forbidden(f"{field}.{part}", f"{what} {part} cannot be removed")
        for part in reversed(_AMOUNTS)
        if set(old.get(part) or ()) - set(new.get(part) or ())
    ]


def _masked(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return ``new`` with cpu and memory as in ``old``; claims are lost, as in kube-apiserver."""
    resources = {}
    for part in _AMOUNTS:
        before, after = ((one.get("resources") or {}).get(part) or {} for one in (old, new))
        amounts = {name: value for name, value in after.items() if name not in _COMPUTE}
        amounts |= {name: before[name] for name in _COMPUTE if name in before}
        if amounts:
            resources[part] = amounts
    return {**new, "resources": resources}


def _pairs(
    part: str, before: dict[str, Any], after: dict[str, Any]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return list(zip(before.get(part) or (), after.get(part) or (), strict=True))


def _init_faults(before: dict[str, Any], after: dict[str, Any]) -> list[Cause]:
    causes = []
    for index, (old, new) in enumerate(_pairs("initContainers", before, after)):
        field = f"spec.initContainers[{index}]"
        if _masked(old, new) != old:
            causes.append(forbidden(field, f"{_ONLY} for init or sidecar containers are mutable"))
        restarts = any(
            one["restartPolicy"] == "RestartContainer" for one in new.get("resizePolicy") or ()
        )
        if restarts and new != old and new.get("restartPolicy") != "Always":
            detail = (
                "non-sidecar init containers with a resize policy of RestartContainer cannot be "
                "resized"
            )
            causes.append(forbidden(field, detail))
    return causes
