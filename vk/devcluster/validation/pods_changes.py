"""What a stored pod's spec may still change. Pure.

In: the old pod and the new one, defaulted. Out: causes. Called through the strategy of pods. These
may change: images, a shorter deadline, more tolerations, and, while the pod is gated, fewer gates
and a narrower choice of nodes; anything else is refused with the difference.
"""

from __future__ import annotations

import copy
import difflib
import json
from typing import Any

from vk.devcluster.validation.causes import Cause, forbidden, invalid, required

__all__ = ["change_faults", "ephemeral_faults"]

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
    """Tolerations may be added, and NoExecute ones may change their seconds."""
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
