"""Changing what is there: PUT, and the four types of PATCH.

Calls come in, answers go out. `Updater.replace` is the last part of every change, which the
subresources use as well: split by subresource, validate, record managedFields, store.

Note: a change that changes nothing is not written, so there is no event; and an object
that is being deleted goes away with the update that takes its last finalizer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from vk.devcluster import refusals
from vk.devcluster.apply.server_side import record_update
from vk.devcluster.bodies import read_object
from vk.devcluster.calls import Answer, Call
from vk.devcluster.creation import Creator, answer_with, check_namespace
from vk.devcluster.kinds import Kind
from vk.devcluster.patch.patch import (
    APPLY,
    applied_object,
    check_patch,
    check_patched,
    merged,
    metadata_of,
    patched,
)
from vk.devcluster.patch.schemas import schema_of
from vk.devcluster.refusals import Cause
from vk.devcluster.resizing import check_node
from vk.devcluster.storage.storage import Storage
from vk.devcluster.validation import WrongTypeError, check_update, for_update
from vk.models.api_object import spec_of
from vk.models.time import format_time, now

__all__ = ["Updater", "check_uid", "finished"]

_CREATED_BY_PUT = {
    "ClusterRole",
    "ClusterRoleBinding",
    "Endpoints",
    "Event",
    "Lease",
    "Role",
    "RoleBinding",
    "Service",
}
_NEEDS_VERSION = {"Lease"}


@attrs.define(eq=False)
class Updater:
    """Changes objects; makes those that a PUT or an apply may make."""

    storage: Storage
    creator: Creator
    may: Callable[[Call, str], None]
    """Raises a refusal when the caller may not do that verb too."""

    def update(self, call: Call) -> Answer:
        """Answer a PUT."""
        target, new = call.target, read_object(call)
        old = self.storage.get(target.kind, target.namespace, target.name)
        metadata = metadata_of(new)
        check_namespace(call, metadata)
        if metadata.get("name", "") != target.name:
            raise refusals.bad_request(_wrong_name(metadata.get("name", ""), target.name))
        if old is None:
            if target.kind.name not in _CREATED_BY_PUT or target.subresource:
                raise refusals.not_found(target.kind, target.name)
            self.may(call, "create")
            stored = self.creator.store(call, new, name=target.name)
            return answer_with(self.storage, call, stored, status=201)
        check_uid(target.kind, old, metadata)
        _check_version(target.kind, old, metadata)
        metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
        return self._answer(call, self.replace(call, old, new))

    def patch(self, call: Call) -> Answer:
        """Answer a PATCH."""
        target = call.target
        check_patch(call)
        old = self.storage.get(target.kind, target.namespace, target.name)
        if call.content_type == APPLY:
            return self._apply(call, old)
        if old is None:
            raise refusals.not_found(target.kind, target.name)
        new = patched(call, old)
        check_patched(call, new)
        self._check_patched(call, old, new)
        return self._answer(call, self.replace(call, old, new))

    def replace(
        self, call: Call, old: dict[str, Any], new: dict[str, Any], *, recorded: bool = False
    ) -> dict[str, Any]:
        """Store what ``new`` makes of ``old`` and return it; ``old`` itself if nothing changes.

        ``recorded``: managedFields are there already. Raises refusals.
        """
        kind, subresource = call.target.kind, call.target.subresource
        try:
            changed = for_update(kind, old, new, subresource)
        except WrongTypeError as error:
            raise refusals.bad_request(
                f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: '
                f"{error}"
            ) from None
        causes = check_update(kind, old, changed, subresource)
        if causes:
            raise refusals.invalid(kind, call.target.name, causes)
        if subresource == "resize":
            check_node(self.storage, kind, old, changed)
        if not recorded:
            changed = record_update(
                old,
                changed,
                manager=call.manager,
                now=format_time(now()),
                subresource=subresource,
                schema=schema_of(kind.name),
            )
        if changed == old:
            return old
        if call.dry_run:
            return changed
        if finished(kind, old, changed):
            metadata = old["metadata"]
            self.storage.remove(kind, metadata.get("namespace", ""), metadata["name"])
            return changed
        return self.storage.update(kind, changed)

    def _apply(self, call: Call, old: dict[str, Any] | None) -> Answer:
        target = call.target
        applied = applied_object(call)
        if old is None and target.subresource:
            raise refusals.not_found(target.kind, target.name)
        if old is None:
            self.may(call, "create")
            if metadata_of(applied).get("uid"):
                uid = applied["metadata"]["uid"]
                why = f"uid mismatch: the provided object specified uid {uid}, "
                why += "and no existing object was found"
                raise refusals.conflict(target.kind, target.name, why)
        new = merged(call, old, applied)
        self._check_patched(call, old or {"metadata": {}}, new)
        if old is not None:
            return self._answer(call, self.replace(call, old, new, recorded=True))
        stored = self.creator.store(call, new, name=target.name, recorded=True)
        return answer_with(self.storage, call, stored, status=201)

    def _check_patched(self, call: Call, old: dict[str, Any], new: Any) -> None:
        target, metadata = call.target, metadata_of(new)
        check_namespace(call, metadata)
        if metadata.setdefault("name", target.name) != target.name:
            raise refusals.bad_request(_wrong_name(metadata["name"], target.name))
        version = metadata.get("resourceVersion")
        if version and old["metadata"] and version != old["metadata"]["resourceVersion"]:
            raise refusals.conflict(target.kind, target.name)

    def _answer(self, call: Call, obj: dict[str, Any]) -> Answer:
        return answer_with(self.storage, call, obj)


def finished(kind: Kind, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Return whether the change takes the last thing that kept a deleted object here."""
    metadata = old["metadata"]
    if new["metadata"].get("finalizers") or not metadata.get("deletionTimestamp"):
        return False
    if kind.name == "Namespace" and spec_of(new).get("finalizers"):
        return False
    return not metadata.get("deletionGracePeriodSeconds")


def _wrong_name(name: str, url: str) -> str:
    return f"the name of the object ({name}) does not match the name on the URL ({url})"


def check_uid(
    kind: Kind, old: dict[str, Any], metadata: dict[str, Any], *, resource: str = ""
) -> None:
    """Refuse a write that names another UID. Raises the refusal conflict."""
    wanted, found = metadata.get("uid"), old["metadata"]["uid"]
    if wanted and wanted != found:
        why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
        raise refusals.conflict(kind, old["metadata"]["name"], why, resource=resource)


def _check_version(kind: Kind, old: dict[str, Any], metadata: dict[str, Any]) -> None:
    version, name = metadata.get("resourceVersion"), old["metadata"]["name"]
    if not version:
        if kind.name in _NEEDS_VERSION:
            why = "Invalid value: 0: must be specified for an update"
            cause = Cause("FieldValueInvalid", why, "metadata.resourceVersion")
            raise refusals.invalid(attrs.evolve(kind, name=kind.plural), name, [cause])
    elif version != old["metadata"]["resourceVersion"]:
        raise refusals.conflict(kind, name)
