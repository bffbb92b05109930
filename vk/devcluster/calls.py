"""One request, read: which object or collection, which verb, with which options.

`vk.devcluster.app` makes a `Call` of each request for a resource; reads, writes, watches and
deletion work on it and give an `Answer`. No HTTP beyond names: a call can be made in a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import attrs
import orjson

from vk.devcluster import refusals
from vk.devcluster.forms import JSON, Form
from vk.devcluster.kinds import Kind, find

__all__ = [
    "CONNECTED",
    "Answer",
    "Call",
    "Target",
    "User",
    "is_dry_run",
    "json_answer",
    "parse_integer",
    "target_of",
    "verb_of",
]

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}
_STREAMED = {"GET": "get", "POST": "create"}
CONNECTED = {
    "log": {"GET": "get"},
    "exec": _STREAMED,
    "attach": _STREAMED,
    "portforward": _STREAMED,
    "proxy": {**_VERBS, "GET": "get", "HEAD": "get", "DELETE": "delete"},
}
"""Subresources that a kubelet answers, with the verb of each method that they know."""


@attrs.frozen
class User:
    """The authenticated user."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict, hash=False)

    def to_json(self) -> dict[str, Any]:
        """Return the user as reviews and requests show it, without what is empty."""
        extra = {key: list(values) for key, values in self.extra.items()}
        shown = {"username": self.name, "uid": self.uid, "groups": list(self.groups)}
        return {key: value for key, value in {**shown, "extra": extra}.items() if value}


@attrs.frozen
class Target:
    """The resource that a path names. ``name`` is empty for a collection."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""


@attrs.frozen(eq=False)
class Call:
    """A request for a resource."""

    target: Target
    verb: str
    """As access rules name it: get, list, watch, create, update, patch, delete, ..."""
    user: User = attrs.field(factory=lambda: User(""))
    query: Mapping[str, str] = attrs.field(factory=dict)
    form: Form = "plain"
    content_type: str = JSON
    body: bytes = b""
    user_agent: str = ""
    warnings: list[str] = attrs.field(factory=list)
    """Warnings for the client beside the answer; each step of the call may add some."""

    @property
    def dry_run(self) -> bool:
        """Return whether nothing may be stored. Raises the refusal invalid."""
        return is_dry_run(self.verb, self.query.get("dryRun", ""))

    @property
    def field_validation(self) -> str:
        """Return the handling of unknown fields: Ignore, Strict or Warn. Raises invalid."""
        value = self.query.get("fieldValidation", "")
        if value not in ("", "Ignore", "Strict", "Warn"):
            why = f'Unsupported value: "{value}": supported values: "", "Ignore", "Strict", "Warn"'
            raise _option_refused(self.verb, why, "fieldValidation")
        return value or "Warn"

    @property
    def manager(self) -> str:
        """The field manager that the write is recorded under."""
        return self.query.get("fieldManager") or self.user_agent.partition("/")[0][:128]

    def flag(self, name: str) -> bool:
        """Return a boolean option of the query."""
        return self.query.get(name, "").lower() in ("true", "1")

    def number(self, name: str) -> int | None:
        """Return an integer of the query, None where it is not given. Raises bad_request."""
        text = self.query.get(name, "")
        return parse_integer(text) if text else None


def parse_integer(text: str) -> int:
    """Return the integer of an option. Raises bad_request, in the words of Go."""
    try:
        return int(text)
    except ValueError:
        why = f'strconv.ParseInt: parsing "{text}": invalid syntax'
        raise refusals.bad_request(why) from None


def is_dry_run(verb: str, value: str) -> bool:
    """Read the option ``dryRun`` of a verb: nothing, or ``All``. Raises the refusal invalid."""
    if value not in ("", "All"):
        why = f'Unsupported value: ["{value}"]: supported values: "All"'
        raise _option_refused(verb, why, "dryRun")
    return bool(value)


_OPTIONS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}


def _option_refused(verb: str, why: str, field: str) -> refusals.Refusal:
    kind = Kind("meta.k8s.io", "v1", _OPTIONS.get(verb, "DeleteOptions"), "", verbs=())
    return refusals.invalid(kind, "", [refusals.Cause("FieldValueNotSupported", why, field)])


@attrs.frozen(eq=False)
class Answer:
    """Status, headers and body of an answer."""

    body: bytes
    status: int = 200
    content_type: str = JSON


def json_answer(content: Any, status: int = 200) -> Answer:
    """Return ``content`` as JSON."""
    return Answer(orjson.dumps(content), status)


@lru_cache(maxsize=4096)
def target_of(path: str) -> Target | None:
    """Read a path below ``/api`` or ``/apis``; None when the server has nothing there."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    kind = find(group, version, rest[0])
    if rest[2:3] == ["proxy"]:
        rest = rest[:3]  # what follows is the kubelet's
    if kind is None or len(rest) > 3 or "" in rest:
        return None
    name, subresource = (*rest[1:], "", "")[:2]
    if (namespace and not kind.namespaced) or (name and kind.namespaced and not namespace):
        return None
    if subresource and subresource not in kind.subresources:
        return None
    return Target(kind, namespace, name, subresource)


def verb_of(method: str, target: Target, *, watch: bool) -> str | None:
    """Return the verb of a method on a target, None where the resource has none such."""
    verb = _verb(method, target, watch=watch)
    return verb if target.subresource or verb in target.kind.verbs else None


def _verb(method: str, target: Target, *, watch: bool) -> str | None:
    if target.subresource in CONNECTED:
        return CONNECTED[target.subresource].get(method)
    if method in ("GET", "HEAD"):
        if target.subresource in _CREATED:
            return None
        if watch and not target.subresource:
            return "watch"
        return "get" if target.name else "list"
    if method == "POST":
        everywhere = target.kind.namespaced and not target.namespace
        if everywhere or bool(target.name) != (target.subresource in _CREATED):
            return None
        return "create"
    if method == "DELETE":
        if target.subresource or (target.kind.namespaced and not target.namespace):
            return None
        return "delete" if target.name else "deletecollection"
    if not target.name or target.subresource in _CREATED:
        return None
    if target.subresource == "finalize" and method == "PATCH":
        return None
    return _VERBS.get(method)


_CREATED = ("binding", "eviction", "token")  # subresources that are only ever posted to
