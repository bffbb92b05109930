"""Reading: one object, or a list with its pages and revisions.

Calls come in, answers go out; `vk.devcluster.app` sends them here. Nothing changes here.

Note: the pages of a list show one moment: a continue token carries the revision of the first
page, and later changes are undone from the history. Once that is gone, the token is refused with
410, and the refusal carries another token that goes on with the state of now.
"""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import attrs
import orjson

from vk.devcluster import refusals
from vk.devcluster.calls import Answer, Call
from vk.devcluster.forms import many, one
from vk.devcluster.kinds import Kind
from vk.devcluster.refusals import Cause
from vk.devcluster.storage.selection import selection_of
from vk.devcluster.storage.storage import Compacted, Entry, Storage

__all__ = ["Reader", "check_versions", "options_refused"]

_LIST_OPTIONS = Kind("meta.k8s.io", "v1", "ListOptions", "", verbs=())
_MATCHES = ("Exact", "NotOlderThan")
_TOKEN_VERSION = "meta.k8s.io/v1"
_NOW = -1  # the revision of a token that goes on with the state of now

_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


@attrs.frozen
class _Page:
    """The position where a list continues: after ``key``, at ``revision``."""

    revision: int
    key: str = ""


@attrs.define(eq=False)
class Reader:
    """Answers get and list."""

    storage: Storage

    def get(self, call: Call) -> Answer:
        """Return the object. Raises the refusal not_found."""
        target = call.target
        check_versions(call, self.storage.revision)
        entry = self.storage.existing_entry(target.kind, target.namespace, target.name)
        return Answer(one(target.kind, entry, call.form, call.query.get("includeObject", "")))

    def list(self, call: Call) -> Answer:
        """Return the objects that the request selects, or a page of them."""
        _check_list(call)
        check_versions(call, self.storage.revision)
        selection = selection_of(call)
        page = self._page(call)
        entries = self._entries(call, page)
        start = bisect_right(entries, page.key, key=_key) if page.key else 0
        limit = call.number("limit") or 0
        found, rest = _take(entries, start, limit, selection.matches)
        revision = self.storage.revision if page.revision == _NOW else page.revision
        metadata: dict[str, Any] = {"resourceVersion": str(revision)}
        if rest:
            metadata["continue"] = _token(_Page(revision, found[-1].key))
            if not selection.selects:
                metadata["remainingItemCount"] = rest
        include = call.query.get("includeObject", "")
        return Answer(many(call.target.kind, found, call.form, metadata=metadata, include=include))

    def _page(self, call: Call) -> _Page:
        token = call.query.get("continue", "")
        if token:
            if call.query.get("resourceVersion", "") not in ("", "0"):
                raise refusals.bad_request(
                    "specifying resource version is not allowed when using continue"
                )
            return _read_token(token)
        match, wanted = call.query.get("resourceVersionMatch"), call.number("resourceVersion") or 0
        exact = match == "Exact" or (not match and bool(call.number("limit")))
        return _Page(wanted if exact and wanted else self.storage.revision)

    def _entries(self, call: Call, page: _Page) -> Sequence[Entry]:
        target = call.target
        if page.revision in (_NOW, self.storage.revision):
            return self.storage.entries(target.kind, target.namespace)
        try:
            return self.storage.entries_at(target.kind, target.namespace, page.revision)
        except Compacted:
            if page.key:
                token = _token(_Page(_NOW, page.key))
                raise refusals.expired(_TOO_OLD, continue_=token) from None
            why = "The resourceVersion for the provided list is too old."
            raise refusals.expired(why) from None


def check_versions(call: Call, current: int) -> None:
    """Refuse a resourceVersion that is no number (500), or lies in the future (504)."""
    text = call.query.get("resourceVersion", "")
    if not text:
        return
    if not text.isdecimal():
        raise refusals.bad_version(text)
    if int(text) > current:
        raise refusals.too_large_version(int(text), current)


def options_refused(causes: Sequence[Cause]) -> refusals.Refusal:
    """Return the refusal of the options of a list or watch."""
    return refusals.invalid(_LIST_OPTIONS, "", causes)


def _check_list(call: Call) -> None:
    match, causes = call.query.get("resourceVersionMatch", ""), []
    field = "resourceVersionMatch"
    if match:
        if not call.query.get("resourceVersion"):
            causes.append(
                _forbidden(field, f"{field} is forbidden unless resourceVersion is provided")
            )
        if call.query.get("continue"):
            causes.append(_forbidden(field, f"{field} is forbidden when continue is provided"))
        if match not in _MATCHES:
            why = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
            causes.append(Cause("FieldValueNotSupported", why, field))
        if match == "Exact" and call.query.get("resourceVersion") == "0":
            why = f'{field} "exact" is forbidden for resourceVersion "0"'
            causes.append(_forbidden(field, why))
    if "sendInitialEvents" in call.query:
        why = "sendInitialEvents is forbidden for list"
        causes.append(_forbidden("sendInitialEvents", why))
    if causes:
        raise options_refused(causes)


def _forbidden(field: str, why: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {why}", field)


def _take(
    entries: Sequence[Entry], start: int, limit: int, matches: Any
) -> tuple[list[Entry], int]:
    """Return up to ``limit`` objects from ``start`` on, and how many come after the last one."""
    found: list[Entry] = []
    for index in range(start, len(entries)):
        if limit and len(found) == limit:
            rest = entries[index:]
            return found, len(rest) if any(map(matches, rest)) else 0
        if matches(entries[index]):
            found.append(entries[index])
    return found, 0


def _key(entry: Entry) -> str:
    return entry.key


def _token(page: _Page) -> str:
    content = {"v": _TOKEN_VERSION, "rv": page.revision, "start": f"{page.key}\0"}
    return base64.urlsafe_b64encode(orjson.dumps(content)).decode().rstrip("=")


def _read_token(text: str) -> _Page:
    try:
        content = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if content["v"] != _TOKEN_VERSION:
            raise ValueError("server does not recognize this encoded version")
        revision, start = content["rv"], content["start"]
        if not isinstance(revision, int) or not isinstance(start, str):
            raise ValueError("not a token of this server")
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise refusals.bad_request(
            f"invalid continue token: continue key is not valid: {error}"
        ) from None
    return _Page(revision, start.removesuffix("\0"))
