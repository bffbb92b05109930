"""What may still change in the spec of a stored pod. Pure.

In: the old pod and the new one, defaulted. Out: causes. Called through the strategy of pods. These
may change: images, a shorter deadline, more tolerations, and, while the pod is gated, fewer gates
and a narrower choice of nodes; by the subresource resize, amounts of cpu and memory. Anything else
is refused with the difference. `vk.devcluster.resizing` checks a resize against the node.

Note: by resize a change of other fields is dropped, not refused, so that a whole pod may be sent;
but a resizePolicy is kept, to be refused.
"""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterable
from typing import Any

from vk.devcluster.validation.causes import Cause, forbidden, invalid, required
from vk.devcluster.validation.pod_resources import qos_class

__all__ = [
    "change_faults",
    "ephemeral_faults",
    "keep_but_resources",
    "resize_faults",
    "unresizable",
]

_OTHER_FIELDS = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)"
)


def change_faults(old: dict[str, Any], new: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with the change of a pod."""
    before, after = old["spec"], new["spec"]
    counts = [
        forbidden(f"spec.{part}", "pod updates may not add or remove containers")
        for part in ("containers", "initContainers")
        if len(before.get(part) or ()) != len(after.get(part) or ())
    ]
    if counts:
        return counts
    causes: list[Cause] = []
    for part in ("containers", "initContainers"):
        for index, container in enumerate(after.get(part) or ()):
            if not container.get("image"):
                causes.append(required(f"spec.{part}[{index}].image"))
    causes += _deadline_faults(before, after)
    causes += _toleration_faults(before.get("tolerations") or [], after.get("tolerations") or [])
    causes += _gate_faults(before, after)
    return causes + _other_faults(before, after)


def _deadline_faults(before: dict[str, Any], after: dict[str, Any]) -> list[Cause]:
    field = "spec.activeDeadlineSeconds"
    old, new = before.get("activeDeadlineSeconds"), after.get("activeDeadlineSeconds")
    if old is None or old == new:
        return []
    if new is None:
        return [invalid(field, None, "must not update from a positive integer to nil value")]
    return (
        [invalid(field, new, "must be less than or equal to previous value")] if new > old else []
    )


def _toleration_faults(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[Cause]:
    """Refuse all but added tolerations and changed seconds of NoExecute ones."""
    kept = [_without_seconds(one) for one in after]
    if all(_without_seconds(one) in kept for one in before):
        return []
    detail = "existing toleration can not be modified except its tolerationSeconds"
    return [forbidden("spec.tolerations", detail)]


def _without_seconds(toleration: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in toleration.items() if name != "tolerationSeconds"}


def _gate_faults(before: dict[str, Any], after: dict[str, Any]) -> list[Cause]:
    known = [gate["name"] for gate in before.get("schedulingGates") or ()]
    return [
        forbidden(
            f"spec.schedulingGates[{index}].name",
            f"only deletion is allowed, but found new scheduling gate '{gate['name']}'",
        )
        for index, gate in enumerate(after.get("schedulingGates") or ())
        if gate["name"] not in known
    ]


def _other_faults(before: dict[str, Any], after: dict[str, Any]) -> list[Cause]:
    allowed = copy.deepcopy(after)
    for part in ("containers", "initContainers"):
        for old, new in zip(before.get(part) or (), allowed.get(part) or (), strict=True):
            _restore(old, new, ("image",))
    _restore(before, allowed, ("activeDeadlineSeconds", "tolerations", "schedulingGates"))
    if before.get("terminationGracePeriodSeconds", 0) < 0 and (
        after.get("terminationGracePeriodSeconds") == 1
    ):
        _restore(before, allowed, ("terminationGracePeriodSeconds",))
    if before.get("schedulingGates") and _narrows(before, after):
        _restore(before, allowed, ("nodeSelector",))
    if allowed == before:
        return []
    return [forbidden("spec", f"{_OTHER_FIELDS}\n{_difference(before, allowed)}")]


def _restore(old: dict[str, Any], new: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        new.pop(name, None)
        if name in old:
            new[name] = old[name]


def _narrows(before: dict[str, Any], after: dict[str, Any]) -> bool:
    selector = after.get("nodeSelector") or {}
    return all(
        selector.get(key) == value for key, value in (before.get("nodeSelector") or {}).items()
    )


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    before, after = (json.dumps(one, indent=1, sort_keys=True).splitlines() for one in (old, new))
    lines = difflib.unified_diff(before, after, n=3, lineterm="")
    return "\n".join(line for line in lines if not line.startswith(("---", "+++"))) + "\n"


def ephemeral_faults(old: dict[str, Any], new: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with the change of a pod's ephemeral containers: they only grow."""
    field = "spec.ephemeralContainers"
    after = {one["name"]: one for one in new["spec"].get("ephemeralContainers") or ()}
    for container in old["spec"].get("ephemeralContainers") or ():
        name = container["name"]
        if name not in after:
            detail = f'existing ephemeral containers "{name}" may not be removed\n'
            return [forbidden(field, detail)]
        if after[name] != container:
            detail = f'existing ephemeral containers "{name}" may not be changed\n'
            return [forbidden(field, detail + _difference(container, after[name]))]
    return []


_COMPUTE = ("cpu", "memory")
_AMOUNTS = ("limits", "requests")
_PARTS = ("containers", "initContainers")
_TAKEN = ("resources", "resizePolicy")
_MIRROR = "kubernetes.io/config.mirror"
_ONLY = "only cpu and memory resources"


def keep_but_resources(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Copy all of ``old`` but the resources to ``new``; added and renamed containers stay there."""
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
            resources = (container.get("resources") or {} for container in both)
            causes += _removal_faults(f"spec.{part}[{index}].resources", "resource", *resources)
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
