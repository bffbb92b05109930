"""The four types of patch: from the body of a PATCH to the object that it makes.

Calls and the stored object come in, a new object goes out, which may share parts with the old one;
`vk.devcluster.updates` validates and stores it. Raises the refusals of a real server. JSON patch
and strategic merge are in files beside this one; server-side apply, which has to know the owners
of fields, is in `vk.devcluster.apply.server_side`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

from vk.devcluster import refusals
from vk.devcluster.apply.server_side import ApplyConflict, server_side_apply
from vk.devcluster.bodies import read_yaml
from vk.devcluster.calls import Call
from vk.devcluster.kinds import Kind
from vk.devcluster.patch.error import PatchError
from vk.devcluster.patch.json_patch import json_patch
from vk.devcluster.patch.schemas import schema_of
from vk.devcluster.patch.strategic_merge import strategic_merge_patch
from vk.devcluster.refusals import Cause
from vk.devcluster.validation import unknown_fields
from vk.models.time import format_time, now

__all__ = [
    "APPLY",
    "applied_object",
    "check_patch",
    "merge_patch",
    "merged",
    "metadata_of",
    "patched",
]

JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
_PATCHES = f"{JSON_PATCH}, {MERGE}, {STRATEGIC}, {APPLY}"
_PATCH_OPTIONS = Kind("meta.k8s.io", "v1", "PatchOptions", "", verbs=())


def metadata_of(obj: Any) -> dict[str, Any]:
    """Return the metadata of what a client gave; empty if there is none. Raises bad_request."""
    metadata = obj.setdefault("metadata", {}) if isinstance(obj, dict) else None
    if not isinstance(metadata, dict):
        raise refusals.bad_request("metadata: expected an object")
    return metadata


def check_patch(call: Call) -> None:
    """Refuse an unknown type of patch, and options that do not go with the type."""
    if call.content_type not in (JSON_PATCH, MERGE, STRATEGIC, APPLY):
        raise refusals.unsupported_media_type(_PATCHES)
    cause = None
    if call.content_type == APPLY and not call.query.get("fieldManager"):
        why = "Required value: is required for apply patch"
        cause = Cause("FieldValueRequired", why, "fieldManager")
    if call.content_type != APPLY and "force" in call.query:
        why = "Forbidden: may not be specified for non-apply patch"
        cause = Cause("FieldValueForbidden", why, "force")
    if cause is not None:
        raise refusals.invalid(_PATCH_OPTIONS, "", [cause])


def patched(call: Call, old: dict[str, Any]) -> Any:
    """Return what the patch makes of ``old``, which it may share parts with."""
    try:
        patch = orjson.loads(call.body)
    except orjson.JSONDecodeError as error:
        raise refusals.bad_request(f"error decoding patch: {error}") from None
    try:
        if call.content_type == JSON_PATCH:
            return _object(json_patch(old, patch))
        if call.content_type == MERGE:
            return _object(merge_patch(old, patch))
        schema = schema_of(call.target.kind.name)
        return _object(strategic_merge_patch(old, patch, schema))
    except PatchError as error:
        raise _patch_refused(error) from None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PatchError("the patch makes something else of the object", code=400)
    # metadata is changed below, and may be shared with what was patched
    return {**value, "metadata": dict(metadata_of(dict(value)))}


def _patch_refused(error: PatchError) -> refusals.Refusal:
    reasons = {400: "BadRequest", 413: "RequestEntityTooLarge", 422: "Invalid"}
    details: dict[str, Any] | None = {} if error.code == 422 else None
    return refusals.Refusal(error.code, reasons.get(error.code, ""), error.answer, details=details)


def check_patched(call: Call, new: dict[str, Any]) -> None:
    """Refuse a patch that brings unknown fields, or warn of them, by ``fieldValidation``."""
    validation = call.field_validation
    unknown = unknown_fields(call.target.kind, new) if validation != "Ignore" else []
    if unknown and validation == "Strict":
        shown = call.body.decode(errors="backslashreplace")
        why = f"Invalid value: {json.dumps(shown)}: strict decoding error: {', '.join(unknown)}"
        cause = {"reason": "FieldValueInvalid", "message": why, "field": "patch"}
        raise refusals.Refusal(
            422, "Invalid", f' "" is invalid: patch: {why}', details={"causes": [cause]}
        )
    call.warnings.extend(unknown)


def applied_object(call: Call) -> dict[str, Any]:
    """Return the object that is to be applied. Raises bad_request."""
    kind = call.target.kind
    try:
        content = read_yaml(call.body)
    except ValueError as error:
        raise refusals.bad_request(f"error decoding YAML: {error}") from None
    if not isinstance(content, dict):
        raise refusals.bad_request("error decoding YAML: expected an object")
    if (content.get("apiVersion"), content.get("kind")) != (kind.api_version, kind.name):
        raise refusals.bad_request(
            f"invalid object type: {content.get('apiVersion', '')}, Kind={content.get('kind', '')}"
        )
    if metadata_of(content).get("managedFields"):
        raise refusals.bad_request("metadata.managedFields must be nil")
    unknown = unknown_fields(kind, content)
    if unknown:  # whatever fieldValidation is: no manager could own such a field
        path, namespace = unknown[0].split('"')[1], content["metadata"].get("namespace", "")
        named = f"{namespace}/{call.target.name}; {kind.group}/{kind.version}, Kind={kind.name}"
        why = f"failed to create typed patch object ({named}): .{path}: "
        raise refusals.Refusal(500, "", f"{why}field not declared in schema")
    return content


def merged(call: Call, old: dict[str, Any] | None, applied: dict[str, Any]) -> dict[str, Any]:
    """Return the object after an apply, its managedFields included. Raises a conflict refusal."""
    kind = call.target.kind
    try:
        return server_side_apply(
            old,
            applied,
            manager=call.query["fieldManager"],
            force=call.flag("force"),
            schema=schema_of(kind.name),
            now=format_time(now()),
            subresource=call.target.subresource,
        )
    except ApplyConflict as conflict:
        raise _apply_refused(kind, call.target.name, conflict) from None


def _apply_refused(kind: Kind, name: str, conflict: ApplyConflict) -> refusals.Refusal:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path}
        for manager, path in conflict.causes
    ]
    return refusals.Refusal(409, "Conflict", str(conflict), details={"causes": causes})


def merge_patch(target: Any, patch: Any) -> Any:
    """Merge by RFC 7386: maps by key, null removes one, anything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
