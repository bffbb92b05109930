"""Creating: from the body of a POST, a PUT or an apply to a new stored object.

`Creator.create` answers POST; `Creator.store` is the rest of it, which updates use for objects that
a PUT or an apply makes. The order is the real server's: read, namespace, defaults, managedFields,
admission, validation, store.

Note: admission comes after managedFields, so what it adds has no manager; and a dry run
does everything but the last step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import orjson

from vk.devcluster import refusals
from vk.devcluster.apply.server_side import record_update
from vk.devcluster.bodies import read_object
from vk.devcluster.calls import Answer, Call
from vk.devcluster.forms import one, shown
from vk.devcluster.kinds import Kind, stored_kind
from vk.devcluster.names import generated, new_metadata
from vk.devcluster.patch.schemas import schema_of
from vk.devcluster.storage.storage import Storage
from vk.devcluster.validation import WrongTypeError, check_create, prepared, with_defaults
from vk.models.time import format_time, now

__all__ = ["Admission", "Creator", "answer_with", "check_namespace"]

Admission = Callable[[Kind, dict[str, Any]], dict[str, Any]]
"""Changes a new object before it is validated, or raises a Refusal."""

_TRIES = 8  # for a generated name that is taken
_MISMATCH = "the namespace of the provided object does not match the namespace sent on the request"


@attrs.define(eq=False)
class Creator:
    """Makes new objects."""

    storage: Storage
    admissions: Sequence[Admission] = ()

    def create(self, call: Call) -> Answer:
        """Answer a POST."""
        stored = self.store(call, read_object(call))
        return answer_with(self.storage, call, stored, status=201)

    def store(
        self, call: Call, given: dict[str, Any], *, name: str = "", recorded: bool = False
    ) -> dict[str, Any]:
        """Make a new object of what a client gave, and return it.

        ``name`` is the one of the URL; ``recorded``: managedFields are there already.
        Raises refusals.
        """
        kind = call.target.kind
        obj = self._prepared(call, given, recorded=recorded)
        if kind.name == "CertificateSigningRequest":
            obj["spec"] = {**obj["spec"], **call.user.to_json()}
        metadata = obj["metadata"]
        if metadata.get("resourceVersion"):
            message = "resourceVersion should not be set on objects to be created"
            raise refusals.Refusal(500, "", message)
        obj["metadata"] = metadata = new_metadata(metadata, now())
        check_namespace(call, metadata)
        if name:
            metadata["name"] = name
        if kind.namespaced:
            self._check_namespace_lives(call, metadata)
        for admit in self.admissions:
            obj = admit(kind, obj)
        return self._put(call, obj)

    def _prepared(self, call: Call, given: dict[str, Any], *, recorded: bool) -> dict[str, Any]:
        """Return the object by the rules of its kind, with managedFields of what was given."""
        kind = call.target.kind
        try:
            obj = with_defaults(kind, given)
        except WrongTypeError as error:
            raise refusals.bad_request(
                f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: '
                f"{error}"
            ) from None
        if not recorded:
            obj = record_update(
                None,
                obj,
                manager=call.manager,
                now=format_time(now()),
                subresource="",
                schema=schema_of(kind.name),
            )
        return prepared(kind, obj)

    def _put(self, call: Call, obj: dict[str, Any]) -> dict[str, Any]:
        """Validate and store; a generated name that is taken is generated again."""
        kind, metadata = call.target.kind, obj["metadata"]
        prefix = "" if metadata.get("name") else metadata.get("generateName", "")
        for left in reversed(range(_TRIES if prefix else 1)):
            if prefix:
                metadata["name"] = generated(prefix)
            causes = check_create(kind, obj)
            if causes:
                raise refusals.invalid(kind, metadata.get("name", ""), causes)
            if not left or not self._taken(kind, metadata):
                break
        self._refuse_taken(kind, metadata)
        return obj if call.dry_run else self.storage.create(kind, obj)

    def _taken(self, kind: Kind, metadata: dict[str, Any]) -> bool:
        namespace = metadata.get("namespace", "")
        return self.storage.entry(kind, namespace, metadata["name"]) is not None

    def _refuse_taken(self, kind: Kind, metadata: dict[str, Any]) -> None:
        there = self.storage.entry(kind, metadata.get("namespace", ""), metadata["name"])
        if there is None:
            return
        refusal = refusals.already_exists(kind, metadata["name"])
        if b'"deletionTimestamp"' in there.body:
            found = orjson.loads(there.body)["metadata"]
            if found.get("deletionTimestamp"):
                refusal.message = f"object is being deleted: {refusal.message}"
        raise refusal

    def _check_namespace_lives(self, call: Call, metadata: dict[str, Any]) -> None:
        name = metadata["namespace"]
        entry = self.storage.existing_entry(stored_kind("namespaces"), "", name)
        if entry.fields.get("status.phase") == "Terminating":
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {name} is being terminated",
                "field": "metadata.namespace",
            }
            why = f"unable to create new content in namespace {name} because it is being terminated"
            named = metadata.get("name") or metadata.get("generateName") or "Unknown"
            raise refusals.forbidden(call.target.kind, named, why, causes=[cause])


def check_namespace(call: Call, metadata: dict[str, Any]) -> None:
    """Set the namespace of the URL; refuse another one in the object."""
    wanted = call.target.namespace if call.target.kind.namespaced else ""
    if not call.target.kind.namespaced or not metadata.get("namespace"):
        metadata.pop("namespace", None)
        if wanted:
            metadata["namespace"] = wanted
    elif metadata["namespace"] != wanted:
        raise refusals.bad_request(_MISMATCH)


def answer_with(storage: Storage, call: Call, obj: dict[str, Any], *, status: int = 200) -> Answer:
    """Return an object that was just written, or would have been, in the requested form."""
    kind, metadata = call.target.kind, obj["metadata"]
    include = call.query.get("includeObject", "")
    entry = storage.entry(kind, metadata.get("namespace", ""), metadata["name"])
    revision = str(entry.revision) if entry is not None and not call.dry_run else None
    if entry is not None and revision and revision == metadata.get("resourceVersion"):
        return Answer(one(kind, entry, call.form, include), status)
    return Answer(orjson.dumps(shown(kind, obj, call.form, include)), status)
