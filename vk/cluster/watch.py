"""One watch connection: bytes in, (type, object) out, ends when the server or the clock says so.

Types are the API's ADDED, MODIFIED, DELETED, BOOKMARK, and our own SKIPPED: a line that could not
be read. Its object holds ``metadata`` with the name (and namespace) of the object if they could be
made out, else is empty; the reflector then looks the object up. One unreadable object never ends
the watch.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import attrs
import orjson

from vk.cluster.answers import failure, is_failure
from vk.errors import UnavailableError

__all__ = ["SKIPPED", "Event", "Lines", "events"]

log = logging.getLogger(__name__)

Event = tuple[str, dict[str, Any]]
Connect = Callable[[Mapping[str, str]], AbstractAsyncContextManager[aiohttp.ClientResponse]]

SKIPPED = "SKIPPED"
_LONGEST_LINE = 16 * 2**20  # etcd stores 1.5 MiB; escapes and managedFields can make it several
_KEPT_OF_LONG = 4096  # enough to read the name from
_GRACE = 10.0  # s after the server's own end of the watch until we call it stalled
# The order in which Go writes ObjectMeta; where it does not fit, the name just stays unknown.
_NAME = re.compile(
    rb'"metadata":\s*\{\s*"name":\s*"([^"\\]+)"'
    rb'(?:,\s*"generateName":\s*"[^"\\]*")?(?:,\s*"namespace":\s*"([^"\\]+)")?'
)


async def events(connect: Connect, text: str) -> AsyncGenerator[Event, None]:
    """Yield what one connection brings; ends when the server ends the watch in good order.

    Raises ExpiredError for 410 in any form (HTTP status, ERROR event, plain Status body), and other
    ClusterErrors for other refusals, a broken connection and a server that went silent. What came
    before a break was yielded; a line that the break cut is not.
    """
    seconds = random.randint(240, 480)
    deadline = asyncio.get_running_loop().time() + seconds + _GRACE
    query = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
    async with connect(query) as response:
        if response.content_length is not None:
            for event in _whole(await _read(response.read(), deadline, text), text):
                yield event
            return
        lines = Lines()
        while chunk := await _read(response.content.readany(), deadline, text):
            for line in lines.feed(chunk):
                event_or_none = _event(line, text)
                if event_or_none is not None:
                    yield event_or_none
        _check_rest(lines.rest(), text)


async def _read(reading: Any, deadline: float, text: str) -> bytes:
    try:
        async with asyncio.timeout_at(deadline):
            data: bytes = await reading
            return data
    except TimeoutError as error:
        raise UnavailableError(f"{text}: the server neither sends nor ends the watch") from error


def _whole(body: bytes, text: str) -> list[Event]:
    """Read an answer that is no stream: one Status, perhaps over several lines, or a few events."""
    _check_rest(body, text)
    lines = Lines()
    found = [_event(line, text) for line in lines.feed(body + b"\n")]
    return [event for event in found if event is not None]


def _check_rest(rest: bytes, text: str) -> None:
    """Raise what a Status object without a line end means; anything else is half a line: drop."""
    try:
        parsed = orjson.loads(rest)
    except orjson.JSONDecodeError:
        return
    if is_failure(parsed):
        raise failure(text, 0, parsed)


def _event(line: bytes | Long, text: str) -> Event | None:
    if isinstance(line, Long):
        return _skipped(line.start, "too long", text)
    if not line.strip():
        return None
    try:
        parsed = orjson.loads(line)
        kind, found = parsed["type"], parsed["object"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        _check_rest(line, text)
        return _skipped(line[:_KEPT_OF_LONG], "not an event", text)
    if kind == "ERROR":
        raise failure(text, 0, found)
    if not isinstance(found, dict) or not isinstance(kind, str):
        return _skipped(line[:_KEPT_OF_LONG], "not an event", text)
    return kind, found


def _skipped(start: bytes, why: str, text: str) -> Event:
    match = _NAME.search(start)
    metadata: dict[str, str] = {}
    if match:
        metadata["name"] = match[1].decode(errors="replace")
        if match[2]:
            metadata["namespace"] = match[2].decode(errors="replace")
    log.warning("watch line skipped", extra={"request": text, "error": why, **_named(metadata)})
    return SKIPPED, {"metadata": metadata} if metadata else {}


def _named(metadata: Mapping[str, str]) -> dict[str, str]:
    return {"object": f"{metadata.get('namespace', '')}/{metadata['name']}"} if metadata else {}


@attrs.frozen
class Long:
    """A line over the cap: only how it began is kept."""

    start: bytes


@attrs.define(eq=False)
class Lines:
    """Splits a stream at line feeds; a line over ``longest`` bytes comes out as `Long`."""

    longest: int = _LONGEST_LINE
    _rest: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _long: bool = attrs.field(default=False, init=False)

    def feed(self, chunk: bytes) -> list[bytes | Long]:
        """Take the next bytes and return the lines that they complete."""
        first, *others = chunk.split(b"\n")
        self._add(first)
        if not others:
            return []
        *whole, last = others
        lines: list[bytes | Long] = [self._take()]
        lines += [line if len(line) <= self.longest else _long(line) for line in whole]
        self._add(last)
        return lines

    def rest(self) -> bytes:
        """Return the begun line; empty if it is over the cap."""
        return b"" if self._long else bytes(self._rest)

    def _add(self, part: bytes) -> None:
        if self._long:
            return
        self._rest += part
        if len(self._rest) > self.longest:
            self._long = True
            del self._rest[_KEPT_OF_LONG:]

    def _take(self) -> bytes | Long:
        line: bytes | Long = bytes(self._rest)
        if self._long:
            line = Long(bytes(self._rest))
        self._rest = bytearray()
        self._long = False
        return line


def _long(line: bytes) -> Long:
    return Long(line[:_KEPT_OF_LONG])
