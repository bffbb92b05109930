"""The bodies of requests: JSON, YAML or protobuf in, parsed JSON of the expected kind out.

`vk.devcluster.writes` and its neighbours call it; it raises the refusals of a real server for what
cannot be read (400), for an unknown content type (415), and for unknown fields where the client
requested that (``fieldValidation=Strict``); else the client is warned of them.
"""

from __future__ import annotations

from typing import Any

import orjson
import yaml

from vk.devcluster import refusals
from vk.devcluster.calls import Call
from vk.devcluster.documents import check_aliases
from vk.devcluster.forms import JSON
from vk.devcluster.kinds import Kind
from vk.devcluster.protobuf import PREFIX, decode_message
from vk.devcluster.validation import unknown_fields

__all__ = ["PROTOBUF", "read_delete_options", "read_object", "read_yaml"]

YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
_ACCEPTED = f"{JSON}, {YAML}, {PROTOBUF}"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_object(call: Call, kind: Kind | None = None) -> dict[str, Any]:
    """Return the body as an object of the call's kind, or of ``kind``.

    Raises the refusals bad_request and unsupported_media_type.
    """
    kind = kind or call.target.kind
    content = _parsed(call, kind)
    if not isinstance(content, dict):
        found = type(content).__name__
        raise _unrecognized(kind, f"couldn't get version/kind; json parse error: {found}", call)
    name, version = content.get("kind") or kind.name, content.get("apiVersion") or kind.api_version
    if name != kind.name:
        raise refusals.bad_request(
            f'{name} in version "{str(version).rpartition("/")[2]}" cannot be handled as a '
            f"{kind.name}: no kind {name} is registered for this resource"
        )
    if version != kind.api_version:
        raise refusals.bad_request(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({kind.api_version})"
        )
    content["kind"], content["apiVersion"] = name, version
    check_fields(call, kind, content)
    return content


def check_fields(call: Call, kind: Kind, content: dict[str, Any]) -> None:
    """Refuse unknown fields, or warn of them, by ``fieldValidation`` of the request."""
    validation = call.field_validation
    if validation == "Ignore" or call.content_type == PROTOBUF:
        return
    unknown = unknown_fields(kind, content)
    if unknown and validation == "Strict":
        raise refusals.bad_request(
            f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: '
            f"strict decoding error: {', '.join(unknown)}"
        )
    call.warnings.extend(unknown)


def read_delete_options(call: Call) -> dict[str, Any]:
    """Return the DeleteOptions of a request: its body, else its query. Raises bad_request."""
    if call.body:
        content = _parsed(call, _DELETE_OPTIONS)
        if not isinstance(content, dict) or content.get("kind", "") not in ("", "DeleteOptions"):
            raise refusals.bad_request("decoded object cannot be converted to DeleteOptions")
        return content
    options: dict[str, Any] = {}
    if "gracePeriodSeconds" in call.query:
        options["gracePeriodSeconds"] = call.number("gracePeriodSeconds")
    if "propagationPolicy" in call.query:
        options["propagationPolicy"] = call.query["propagationPolicy"]
    if "orphanDependents" in call.query:
        options["orphanDependents"] = call.flag("orphanDependents")
    if "dryRun" in call.query:
        options["dryRun"] = [call.query["dryRun"]]
    return options


def read_yaml(body: bytes) -> Any:
    """Parse YAML, of which JSON is a part, into plain JSON values. Raises ValueError."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        # a round trip, since YAML has values that JSON has not: dates, keys that are no text
        return orjson.loads(orjson.dumps(_yaml_value(body), option=orjson.OPT_NON_STR_KEYS))
    except (yaml.YAMLError, orjson.JSONEncodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error).partition("\n")[0]) from None


def _yaml_value(body: bytes) -> Any:
    loader = _LOADER(body)
    try:
        node = loader.get_single_node()
        if node is not None:
            check_aliases(node)
            return loader.construct_document(node)
        return None
    finally:
        loader.dispose()


_DELETE_OPTIONS = Kind("meta.k8s.io", "v1", "DeleteOptions", "", verbs=())


def _parsed(call: Call, kind: Kind) -> Any:
    media = call.content_type or JSON
    try:
        if media == JSON:
            return orjson.loads(call.body)
        if media == YAML:
            return read_yaml(call.body)
        if media == PROTOBUF:
            return decode_message(call.body)
    except ValueError as error:
        why = f"couldn't get version/kind; json parse error: {error}"
        raise _unrecognized(kind, why, call) from None
    raise refusals.unsupported_media_type(_ACCEPTED)


def _unrecognized(kind: Kind, why: str, call: Call) -> refusals.Refusal:
    start = call.body[:30]
    shown = start.hex() if start.startswith(PREFIX) else start.decode(errors="backslashreplace")
    return refusals.bad_request(
        f"the object provided is unrecognized (must be of type {kind.name}): {why} ({shown})"
    )
