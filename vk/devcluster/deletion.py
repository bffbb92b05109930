"""Deleting: at once, gracefully, or as soon as the last finalizer is gone.

`Remover.delete` answers DELETE; `Remover.remove` is the same for the collector, for eviction and
for collections. The rules are those of the real server's generic store.

Note: a pod on a node is only marked; its kubelet deletes it again with grace period 0. Even
then watchers see it marked before they see it gone. A Namespace stays until the collector has
emptied it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs

from vk.devcluster import refusals
from vk.devcluster.bodies import read_delete_options
from vk.devcluster.calls import Answer, Call, is_dry_run, json_answer
from vk.devcluster.creation import answer_with
from vk.devcluster.forms import JSON, many
from vk.devcluster.kinds import Kind
from vk.devcluster.refusals import Cause
from vk.devcluster.storage.selection import selection_of
from vk.devcluster.storage.storage import Storage
from vk.devcluster.validation import for_update
from vk.models.api_object import spec_of, status_of
from vk.models.time import format_time, now, parse_time

__all__ = ["FOREGROUND", "ORPHAN", "Remover"]

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
_POLICIES = {"Orphan": ORPHAN, "Foreground": FOREGROUND, "Background": None}
_IMMORTAL = ("default", "kube-public", "kube-system")
_RETURNED = ("Namespace", "Pod", "Service", "ServiceAccount")
_OPTIONS = Kind("meta.k8s.io", "v1", "DeleteOptions", "", verbs=())

_OTHER_UID = (
    "the UID in the precondition ({}) does not match the UID in record ({}). The object might have "
    "been deleted and then recreated"
)
_OTHER_VERSION = (
    "the ResourceVersion in the precondition ({}) does not match the ResourceVersion in record "
    "({}). The object might have been modified"
)


@attrs.define(eq=False)
class Remover:
    """Deletes objects."""

    storage: Storage

    def delete(self, call: Call) -> Answer:
        """Answer a DELETE of one object."""
        target, options = call.target, read_delete_options(call)
        old = self.storage.existing(target.kind, target.namespace, target.name)
        if target.kind.name == "Namespace" and target.name in _IMMORTAL:
            raise refusals.forbidden(target.kind, target.name, "this namespace may not be deleted")
        last, gone = self.remove(target.kind, old, options)
        status = 202 if not gone and options.get("orphanDependents") is False else 200
        if gone and target.kind.name not in _RETURNED:
            return json_answer(_success(target.kind, old), status)
        call = attrs.evolve(call, query={**call.query, "dryRun": "All"})  # it may be gone
        return answer_with(self.storage, call, last, status=status)

    def delete_all(self, call: Call) -> Answer:
        """Answer a DELETE of a collection: the list of what was there."""
        options, kind = read_delete_options(call), call.target.kind
        selection = selection_of(call)
        entries = self.storage.entries(kind, call.target.namespace)
        found = [entry for entry in entries if selection.matches(entry)]
        _check_options(kind, options)
        for entry in found:
            old = self.storage.get(kind, entry.namespace, entry.name)
            if old is not None:
                self.remove(kind, old, dict(options))
        metadata = {"resourceVersion": str(self.storage.revision)}
        return Answer(many(kind, found, call.form, metadata=metadata), 200, JSON)

    def remove(
        self, kind: Kind, old: dict[str, Any], options: dict[str, Any]
    ) -> tuple[dict[str, Any], bool]:
        """Delete an object by the DeleteOptions; return its last state, and whether it is gone.

        Raises refusals.
        """
        dry_run = _check_options(kind, options)
        _check_preconditions(kind, old, options)
        grace = _grace(kind, old, options)
        marked, pending = _marked(kind, old, grace)
        if pending and not marked:
            return old, False
        obj = marked or old
        finalizers = _finalizers(obj, options)
        kept = bool(finalizers) or _namespace_kept(kind, old)
        if kept and not marked:
            obj = _with_zero_grace(kind, old)
        if obj is not old or finalizers != (old["metadata"].get("finalizers") or []):
            obj = _with_finalizers(obj, finalizers)
            if obj != old and not dry_run:
                obj = self.storage.update(kind, obj)
        if kept or (marked and grace):
            return obj, False
        if dry_run:
            return obj, True
        metadata = obj["metadata"]
        return self.storage.remove(kind, metadata.get("namespace", ""), metadata["name"]), True


def _check_options(kind: Kind, options: dict[str, Any]) -> bool:
    """Refuse what does not go together; return whether it is a dry run."""
    policy = options.get("propagationPolicy")
    causes = []
    if policy is not None and options.get("orphanDependents") is not None:
        why = "Invalid value: orphanDependents and deletionPropagation cannot be both set"
        causes.append(Cause("FieldValueInvalid", why, "propagationPolicy"))
    if policy not in (None, *_POLICIES):
        supported = '"Background", "Foreground", "Orphan", "nil"'
        why = f'Unsupported value: "{policy}": supported values: {supported}'
        causes.append(Cause("FieldValueNotSupported", why, "propagationPolicy"))
    grace = options.get("gracePeriodSeconds")
    if grace is not None and not isinstance(grace, int):
        raise refusals.bad_request("gracePeriodSeconds: expected a whole number")
    if causes:
        raise refusals.invalid(_OPTIONS, "", causes)
    return is_dry_run("delete", "".join(options.get("dryRun") or ()))


def _check_preconditions(kind: Kind, old: dict[str, Any], options: dict[str, Any]) -> None:
    wanted, metadata = options.get("preconditions") or {}, old["metadata"]
    for field, text in (("uid", _OTHER_UID), ("resourceVersion", _OTHER_VERSION)):
        if wanted.get(field) and wanted[field] != metadata.get(field):
            why = text.format(wanted[field], metadata.get(field))
            raise refusals.conflict(kind, metadata["name"], why, resource=kind.qualified_name)


def _grace(kind: Kind, old: dict[str, Any], options: dict[str, Any]) -> int | None:
    """Return the seconds that the object gets; None where it knows no grace period."""
    if kind.name != "Pod":
        return None
    spec, metadata = spec_of(old), old["metadata"]
    given = options.get("gracePeriodSeconds")
    if metadata.get("deletionTimestamp"):
        return metadata.get("deletionGracePeriodSeconds") if given is None else _positive(given)
    if not spec.get("nodeName") or old.get("status", {}).get("phase") in ("Failed", "Succeeded"):
        return 0
    return _positive(spec.get("terminationGracePeriodSeconds") or 0 if given is None else given)


def _positive(seconds: int) -> int:
    return 1 if seconds < 0 else seconds


def _marked(
    kind: Kind, old: dict[str, Any], grace: int | None
) -> tuple[dict[str, Any] | None, bool]:
    """Return the object marked for deletion, None if that changes nothing; and if it was before."""
    metadata = old["metadata"]
    if grace is None:
        return None, False
    if not metadata.get("deletionTimestamp"):
        return _mark(kind, old, now() + timedelta(seconds=grace), grace), False
    before = metadata.get("deletionGracePeriodSeconds")
    if before is None:
        return None, False
    if grace >= before:
        return None, True
    deadline = parse_time(metadata["deletionTimestamp"]) or now()
    return _mark(kind, old, deadline - timedelta(seconds=before - grace), grace), True


def _mark(kind: Kind, old: dict[str, Any], deadline: Any, grace: int) -> dict[str, Any]:
    metadata = {
        **old["metadata"],
        "deletionTimestamp": format_time(deadline),
        "deletionGracePeriodSeconds": grace,
    }
    return for_update(kind, old, {**old, "metadata": metadata}, "deletion")


def _with_zero_grace(kind: Kind, old: dict[str, Any]) -> dict[str, Any]:
    """Return the object marked so that it goes away with its last finalizer."""
    metadata = old["metadata"]
    if metadata.get("deletionTimestamp"):
        return old
    marked = _mark(kind, old, now(), 0)
    if kind.name == "Namespace":
        del marked["metadata"]["deletionGracePeriodSeconds"]
        marked["status"] = {**status_of(marked), "phase": "Terminating"}
    return marked


def _finalizers(obj: dict[str, Any], options: dict[str, Any]) -> list[str]:
    """Return the finalizers, with the one that the policy for dependents adds."""
    found = obj["metadata"].get("finalizers") or []
    policy, orphan = options.get("propagationPolicy"), options.get("orphanDependents")
    if policy is None and orphan is None:
        return list(found)
    wanted = ORPHAN if orphan else _POLICIES.get(policy or "Background")
    kept = [name for name in found if name not in (ORPHAN, FOREGROUND)]
    return [*kept, wanted] if wanted else kept


def _with_finalizers(obj: dict[str, Any], finalizers: list[str]) -> dict[str, Any]:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "finalizers"}
    if finalizers:
        metadata["finalizers"] = finalizers
    return {**obj, "metadata": metadata}


def _namespace_kept(kind: Kind, old: dict[str, Any]) -> bool:
    return kind.name == "Namespace" and bool(spec_of(old).get("finalizers"))


def _success(kind: Kind, old: dict[str, Any]) -> dict[str, Any]:
    details = {"name": old["metadata"]["name"], "group": kind.group, "kind": kind.plural}
    details["uid"] = old["metadata"]["uid"]
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }
