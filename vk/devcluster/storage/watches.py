"""Watching: the changes of a kind as a stream of lines.

From a `Call` to an async iterator of bytes, each chunk some whole events; the app writes
them. A watch ends after ``timeoutSeconds``, else after 30 to 60 minutes as on a real server.

Note: nothing is queued for a watcher. It reads on in the history of its kind from the
revision that it has seen; one that is so slow that the history has moved on gets the ERROR event
410, as a client gets that comes back too late.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any

import attrs
import orjson

from vk.devcluster import refusals
from vk.devcluster.calls import Call
from vk.devcluster.forms import shown
from vk.devcluster.reads import check_versions, options_refused
from vk.devcluster.refusals import Cause
from vk.devcluster.storage.selection import Selection, selection_of
from vk.devcluster.storage.storage import Change, Compacted, Entry, Storage, encode, parse

__all__ = ["Watcher"]

_BOOKMARK_EVERY = 60.0
_BOOKMARK_BEFORE_END = 2.0
_SHORTEST = 1800.0  # seconds of a watch without timeoutSeconds; at most twice that
_CHUNK = 500  # events that are written at once
_END_MARK = "k8s.io/initial-events-end"


@attrs.define(eq=False)
class Watcher:
    """Opens watches."""

    storage: Storage

    def open(self, call: Call) -> AsyncGenerator[bytes, None]:
        """Check the request, and return the stream of its events, to be closed by the caller.

        Raises refusals; too old a resource version is an event of the stream.
        """
        _check_watch(call)
        text = call.query.get("resourceVersion", "")
        initial = call.flag("sendInitialEvents")
        if initial or text == "":
            check_versions(call, self.storage.revision)
        elif not text.isdecimal():
            check_versions(call, 0)
        legacy = "sendInitialEvents" not in call.query and text in ("", "0")
        since = self.storage.revision if initial or text in ("", "0") else int(text)
        seconds = call.number("timeoutSeconds") or random.uniform(_SHORTEST, 2 * _SHORTEST)
        stream = _Stream(self.storage, call, selection_of(call), since, seconds)
        return stream.run(initial=initial or legacy, end_mark=initial)


@attrs.define(eq=False)
class _Stream:
    """One watch; ``since`` is the revision up to which everything was sent."""

    storage: Storage
    call: Call
    selection: Selection
    since: int
    seconds: float
    _columns: bool = True  # the first table of the stream describes its columns

    async def run(self, *, initial: bool, end_mark: bool) -> AsyncGenerator[bytes, None]:
        """Yield the events until the time-out of the watch."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.seconds
        bookmarks = _Bookmarks(self.call.flag("allowWatchBookmarks"), loop.time(), self.seconds)
        if initial:
            self.since = self.storage.revision
            for chunk in self._initial():
                yield chunk
            if end_mark and bookmarks.wanted:
                yield self._bookmark({_END_MARK: "true"})
        while loop.time() < end:
            try:
                changes = self.storage.changes(self.call.target.kind, self.since)
            except Compacted as error:
                yield _error(refusals.expired(str(error)))
                return
            if changes:
                for chunk in self._chunks(changes):
                    yield chunk
                continue
            self.since = self.storage.revision  # nothing of this kind happened in between
            if bookmarks.due(loop.time()):
                yield self._bookmark({})
            await self._wait(min(end, bookmarks.next))

    async def _wait(self, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self.storage.wait(self.call.target.kind, self.since)
        except TimeoutError:
            pass

    def _initial(self) -> Iterable[bytes]:
        target = self.call.target
        entries = self.storage.entries(target.kind, target.namespace)
        found = [entry for entry in entries if self.selection.matches(entry)]
        for start in range(0, len(found), _CHUNK):
            part = found[start : start + _CHUNK]
            yield b"".join(self._event("ADDED", entry) for entry in part)

    def _chunks(self, changes: Sequence[Change]) -> Iterable[bytes]:
        for start in range(0, len(changes), _CHUNK):
            part = changes[start : start + _CHUNK]
            chunk = b"".join(map(self._line, part))
            self.since = part[-1].revision
            if chunk:
                yield chunk

    def _line(self, change: Change) -> bytes:
        """Return the event that this watcher sees of a change; nothing if it sees none."""
        seen = _seen(self.selection, change)
        return self._event(*seen) if seen else b""

    def _event(self, type_: str, entry: Entry) -> bytes:
        kind = self.call.target.kind
        if self.call.form == "plain":
            return b'{"type":"%b","object":%b}\n' % (type_.encode(), encode(kind, entry))
        return self._shown(type_, parse(kind, entry))

    def _bookmark(self, annotations: dict[str, str]) -> bytes:
        kind = self.call.target.kind
        metadata: dict[str, Any] = {"resourceVersion": str(self.since)}
        if annotations:
            metadata["annotations"] = annotations
        obj = {"kind": kind.name, "apiVersion": kind.api_version, "metadata": metadata}
        return self._shown("BOOKMARK", obj)

    def _shown(self, type_: str, obj: dict[str, Any]) -> bytes:
        call = self.call
        include = call.query.get("includeObject", "")
        content = shown(call.target.kind, obj, call.form, include, columns=self._columns)
        self._columns = False
        return orjson.dumps({"type": type_, "object": content}) + b"\n"


@attrs.define(eq=False)
class _Bookmarks:
    """The times of bookmarks in a watch of ``seconds``: each minute and before its end."""

    wanted: bool
    start: float
    seconds: float
    next: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._plan(self.start)

    def due(self, now: float) -> bool:
        """Return whether a bookmark is to be sent now; then the next one is planned."""
        if now < self.next:
            return False
        self._plan(now)
        return True

    def _plan(self, now: float) -> None:
        last = self.start + self.seconds - min(_BOOKMARK_BEFORE_END, self.seconds / 4)
        following = min(now + _BOOKMARK_EVERY, last) if now < last else float("inf")
        self.next = following if self.wanted else float("inf")


def _seen(selection: Selection, change: Change) -> tuple[str, Entry] | None:
    """Translate a change for a watcher whose selection may begin or cease to match the object."""
    previous, entry = change.previous, change.entry
    before = previous is not None and selection.matches(previous)
    after = change.type != "DELETED" and selection.matches(entry)
    if after:
        return ("MODIFIED" if before else "ADDED", entry)
    if not before or previous is None:
        return None
    if change.type == "DELETED":
        return "DELETED", entry
    last = orjson.loads(previous.body)
    last["metadata"]["resourceVersion"] = str(change.revision)
    return "DELETED", attrs.evolve(previous, body=orjson.dumps(last), revision=change.revision)


def _error(refusal: refusals.Refusal) -> bytes:
    return orjson.dumps({"type": "ERROR", "object": refusal.status()}) + b"\n"


def _check_watch(call: Call) -> None:
    match, causes = call.query.get("resourceVersionMatch", ""), []
    field, only = "resourceVersionMatch", "NotOlderThan"
    given = "sendInitialEvents" in call.query
    if given and match != only:
        causes.append(f"sendInitialEvents requires setting {field} to {only}")
    if match and not given:
        causes.append(f"{field} is forbidden for watch unless sendInitialEvents is provided")
    found = [Cause("FieldValueForbidden", f"Forbidden: {why}", field) for why in causes]
    if match and match != only:
        why = f'Unsupported value: "{match}": supported values: "{only}"'
        found.append(Cause("FieldValueNotSupported", why, field))
    if found:
        raise options_refused(found)
