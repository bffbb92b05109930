"""Keeps a store equal to the cluster: list, compare, watch, and again where the watch fails.

In: one kind of object, perhaps narrowed by namespace and field selector. Out: the store and one
call of ``on_change`` for each difference, in the order of the cluster. Starting, ending and errors
of watches are handled here alone; `vk.aio.tasks.supervise` runs it.

A watch that works is not trusted indefinitely. Now and then a list takes the place of
resuming it and makes good what it missed. That is a quorum read: a list at resourceVersion=0 comes
from the cache that feeds the watch too, and would miss the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import attrs

from vk.aio.backoff import Backoff
from vk.cluster.client import Client
from vk.cluster.resources import Resource
from vk.cluster.store import ObjectKey, Store, object_key
from vk.cluster.watch import SKIPPED
from vk.errors import ClusterError, ExpiredError, ThrottledError, UnavailableError

__all__ = ["Reflector"]

log = logging.getLogger(__name__)

Object = dict[str, Any]
OnChange = Callable[[Object | None, Object | None], None]

_SHORT = 1.0  # s: a watch that ends sooner is a failure, whatever it says
_HEALTHY = 10.0  # s: after that the waits start over
_LONGEST_PAUSE = 60.0
_COMPARE_TIMEOUT = 10.0  # s a page: nothing is watched meanwhile


@attrs.define(eq=False)
class Reflector:
    """Mirrors one kind of object into ``store``.

    A watch that ends ``compare_every`` seconds or more after the last list is not resumed: the
    objects are listed and compared. Watches last 4 to 8 minutes, so that costs no connection more.
    ``on_change(old, new)`` is called after the store changed: old None = added, new None = deleted;
    an object recreated under its name is deleted, then added. It must not block; what it raises is
    logged. ``transform`` gives what is stored of an object. ``synced`` is set after the first
    complete list, and stays set.
    """

    _client: Client = attrs.field(repr=False)
    _resource: Resource
    _store: Store = attrs.field(repr=False)
    _on_change: OnChange | None = attrs.field(default=None, repr=False)
    _namespace: str = attrs.field(default="", kw_only=True)
    _field_selector: str = attrs.field(default="", kw_only=True)
    _transform: Callable[[Object], Object] | None = attrs.field(
        default=None, kw_only=True, repr=False
    )
    _compare_every: float = attrs.field(default=600.0, kw_only=True)
    synced: asyncio.Event = attrs.field(factory=asyncio.Event, init=False, repr=False)
    watching: bool = attrs.field(default=False, init=False)
    """Whether a watch is open: what changes is told at once."""
    _version: str = attrs.field(default="", init=False)
    """Where to watch from; empty: list first."""
    _listed: int = attrs.field(default=0, init=False)
    """The highest resource version of a list so far."""
    _observers: list[OnChange] = attrs.field(factory=list, init=False, repr=False)
    _compared: float = attrs.field(default=0.0, init=False)
    """When a list was last tried, by the loop's clock."""
    _gone: dict[ObjectKey, int] = attrs.field(factory=dict, init=False, repr=False)
    """Up to which version events of an object are old news, after a look showed it gone."""

    def __attrs_post_init__(self) -> None:
        if self._on_change is not None:
            self._observers.append(self._on_change)

    @contextmanager
    def observing(self, on_change: OnChange) -> Iterator[None]:
        """Call ``on_change`` too inside the block, at once for each object that is there."""
        for raw in self._store:
            self._call(on_change, None, raw)
        self._observers.append(on_change)
        try:
            yield
        finally:
            self._observers.remove(on_change)

    async def run(self) -> None:
        """Mirror until cancelled; failures of the API server are waited out, never raised."""
        backoff = Backoff(first=1.6, cap=30.0)  # its first wait is 0.8 s at least
        while True:
            lasted, moved, error = await self._round()
            await asyncio.sleep(_pause(backoff, lasted, moved, error))

    async def _round(self) -> tuple[float, bool, ClusterError | None]:
        """List if need be, watch once.

        Returns how long the watch lasted, whether it told anything, and what ended it.
        """
        clock = asyncio.get_running_loop().time
        started: float | None = None
        version, error = self._version, None
        try:
            if not self._version:
                await self._list()
            elif clock() - self._compared >= self._compare_every:
                await self._compare()
            started, version = clock(), self._version
            self.watching = True
            await self._watch()
        except ClusterError as caught:
            error = caught
            self._judge(error)
        finally:
            self.watching = False
        moved = self._version not in ("", version)
        return (0.0 if started is None else clock() - started), moved, error

    def _judge(self, error: ClusterError) -> None:
        """Decide whether the next round lists: not where the same watch may work later."""
        expired = isinstance(error, ExpiredError)
        refused = 400 <= error.status < 500 and error.status not in (401, 403, 429)
        if expired or refused:
            self._version = ""
        log.log(
            logging.INFO if expired else logging.WARNING,
            "watch lost",
            extra={"resource": self._resource.plural, "error": str(error)},
        )

    async def _compare(self) -> None:
        """List although the watch could go on; where that is impossible, it does go on."""
        try:
            await self._list(timeout=_COMPARE_TIMEOUT)
        except ClusterError as error:
            extra = {"resource": self._resource.plural, "error": str(error)}
            log.warning("not compared with the API server", extra=extra)

    async def _list(self, *, timeout: float = 60.0) -> None:
        self._compared = asyncio.get_running_loop().time()
        listing = await self._client.list(
            self._resource,
            namespace=self._namespace,
            field_selector=self._field_selector,
            timeout=timeout,
            each=self._trim,
        )
        self._compare_version(listing.resource_version)
        found = {key: raw for raw in listing.items if (key := self._key(raw)) is not None}
        self._gone.clear()
        for key in set(self._store.keys()) - set(found):
            self._set(key, None)
        for key, raw in found.items():
            old = self._store.get(*key)
            if old is None or _identity(old) != _identity(raw):
                self._set(key, raw)
        self._version = listing.resource_version
        self.synced.set()

    def _compare_version(self, version: str) -> None:
        number = int(version) if version.isdecimal() else 0
        if number < self._listed:
            log.error(
                "resource version went back: was the cluster restored from a backup?",
                extra={"resource": self._resource.plural},
            )
        self._listed = number

    async def _watch(self) -> None:
        events = self._client.watch(
            self._resource,
            resource_version=self._version,
            namespace=self._namespace,
            field_selector=self._field_selector,
        )
        async with aclosing(events):
            async for kind, raw in events:
                if kind == SKIPPED:
                    await self._look(raw)
                    continue
                if kind in ("ADDED", "MODIFIED", "DELETED"):
                    self._observe(kind, raw)
                metadata = raw.get("metadata")
                version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
                self._version = version or self._version

    def _observe(self, kind: str, raw: Object) -> None:
        key = self._key(raw)
        if key is None:
            return
        old = self._store.get(*key)
        if self._is_old(key, kind, old, raw):
            return
        if kind != "DELETED":
            self._gone.pop(key, None)
            self._set(key, self._trim(raw))
        elif old is not None and _uid(old) == _uid(raw):
            self._set(key, None)

    def _is_old(self, key: ObjectKey, kind: str, old: Object | None, raw: Object) -> bool:
        """Return whether something newer than ``raw`` was seen under its name."""
        number = _number(raw)
        if number is None:
            return False
        if old is not None:
            seen = _number(old)
            return seen is not None and (number < seen or (number == seen and kind != "DELETED"))
        return number <= self._gone.get(key, -1)

    async def _look(self, raw: Object) -> None:
        """Fetch the object of an unreadable line; where that is impossible the next round lists."""
        metadata = raw.get("metadata") or {}
        name = metadata.get("name")
        namespace = metadata.get("namespace") or self._namespace
        resume, self._version = self._version, ""
        if not name or (self._resource.namespaced and not namespace):
            raise UnavailableError(f"watch {self._resource.plural}: a line could not be read")
        listing = await self._client.list(
            self._resource,
            namespace=namespace,
            field_selector=",".join(filter(None, (self._field_selector, f"metadata.name={name}"))),
            each=self._trim,
        )
        self._version = resume
        for found in listing.items:
            self._observe("MODIFIED", found)
        if not listing.items:
            key = (namespace if self._resource.namespaced else "", name)
            if listing.resource_version.isdecimal():
                self._gone[key] = int(listing.resource_version)
            if self._store.get(*key) is not None:
                self._set(key, None)

    def _set(self, key: ObjectKey, new: Object | None) -> None:
        old = self._store.get(*key)
        if old is not None and (new is None or _uid(old) != _uid(new)):
            self._store.remove(key)
            self._notify(old, None)
            old = None
        if new is not None:
            self._store.put(new)
            self._notify(old, new)

    def _notify(self, old: Object | None, new: Object | None) -> None:
        for on_change in tuple(self._observers):
            self._call(on_change, old, new)

    def _call(self, on_change: OnChange, old: Object | None, new: Object | None) -> None:
        try:
            on_change(old, new)
        except Exception:  # one object's trouble must not stop the others
            log.exception("change not taken", extra={"resource": self._resource.plural})

    def _key(self, raw: Object) -> ObjectKey | None:
        try:
            return object_key(raw)
        except (AttributeError, KeyError, TypeError):
            log.warning("object without a name", extra={"resource": self._resource.plural})
            return None

    def _trim(self, raw: Object) -> Object:
        metadata = raw.get("metadata")
        if isinstance(metadata, dict):
            metadata.pop("managedFields", None)
        if self._transform is None:
            return raw
        try:
            return self._transform(raw)
        except Exception:  # the object as it came is the better half of nothing
            log.exception("object not transformed", extra={"resource": self._resource.plural})
            return raw


def _pause(backoff: Backoff, lasted: float, moved: bool, error: ClusterError | None) -> float:
    """Return the seconds until the next round; 0 only after a watch that did its work.

    However short: the API server ends watches that fall behind, and waiting makes that worse.
    """
    if lasted >= _HEALTHY:
        backoff.reset()
    if (moved or lasted >= _SHORT) and (error is None or isinstance(error, ExpiredError)):
        return 0.0
    pause = backoff.next()
    if isinstance(error, ThrottledError):
        return max(pause, min(error.retry_after or 0.0, _LONGEST_PAUSE))
    return pause


def _uid(raw: Object) -> str:
    return raw["metadata"].get("uid") or ""


def _identity(raw: Object) -> tuple[str, str]:
    return _uid(raw), raw["metadata"].get("resourceVersion") or ""


def _number(raw: Object) -> int | None:
    version = raw["metadata"].get("resourceVersion")
    return int(version) if isinstance(version, str) and version.isdecimal() else None
