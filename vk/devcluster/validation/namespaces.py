"""The rules of namespaces. Pure.

In: decoded namespaces. Out: `NAMESPACES`, the strategy. Called through the table of strategies.
The finalizer ``kubernetes`` keeps a namespace until its contents are gone; only the subresource
``finalize`` changes that list.
"""

from __future__ import annotations

from typing import Any

from vk.devcluster.validation.causes import Cause, invalid
from vk.devcluster.validation.metadata import finalizer_faults
from vk.devcluster.validation.names import label_faults
from vk.devcluster.validation.strategy import Strategy

__all__ = ["NAMESPACES"]

_NAME_LABEL = "kubernetes.io/metadata.name"


def _default(namespace: dict[str, Any]) -> None:
    metadata = namespace["metadata"]
    if metadata.get("name"):
        metadata["labels"] = (metadata.get("labels") or {}) | {_NAME_LABEL: metadata["name"]}
    namespace["status"].setdefault("phase", "Active")


def _prepare_create(namespace: dict[str, Any]) -> None:
    namespace["status"] = {"phase": "Active"}
    finalizers = namespace["spec"].setdefault("finalizers", [])
    if "kubernetes" not in finalizers:
        finalizers.append("kubernetes")


def _prepare_update(old: dict[str, Any], new: dict[str, Any], subresource: str) -> None:
    if subresource == "finalize":
        new["status"] = old["status"]
    elif subresource == "status":
        new["spec"] = old["spec"]
    elif subresource != "deletion":
        new["spec"], new["status"] = old["spec"], old["status"]


def _check(namespace: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    for finalizer in namespace["spec"].get("finalizers") or ():
        causes += finalizer_faults("spec.finalizers", finalizer)
    return causes


def _check_update(old: dict[str, Any], new: dict[str, Any], subresource: str) -> list[Cause]:
    if subresource != "status":
        return []
    phase = new["status"].get("phase")
    deleted = "deletionTimestamp" in new["metadata"]
    if deleted and phase != "Terminating":
        detail = "may only be 'Terminating' if `deletionTimestamp` is not empty"
    elif not deleted and phase != "Active":
        detail = "may only be 'Active' if `deletionTimestamp` is empty"
    else:
        return []
    return [invalid("status.Phase", phase, detail)]


def _name_faults(name: str) -> list[str]:
    return ["must not contain dots"] if "." in name else label_faults(name)


NAMESPACES = Strategy(
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    check=_check,
    check_update=_check_update,
    name_faults=_name_faults,
)
