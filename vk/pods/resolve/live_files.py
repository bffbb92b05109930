"""Keeps the files of running pods what they refer to: finds what changed, gives it to the provider.

In: the records, every `EVERY` seconds and whenever something asks (`ask`, `changed`). Out: calls of
`Provider.update_files`, which the controller makes in its turn (`give`), since a pod's calls never
overlap. What a provider was given is remembered as digests: no secret is kept for it.

The surprising part: what goes wrong is not retried at once. The next look finds the same difference
and tries again; until then the pod keeps the files that it has.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import attrs

from vk.errors import ProviderError, UnsupportedError, VkError
from vk.models.files import FileTree
from vk.models.keys import PodKey
from vk.models.pod import Pod
from vk.pods.resolve.file_sources import VolumeSources
from vk.pods.resolve.reference_watch import ReferenceWatch
from vk.pods.resolve.references import Reference
from vk.pods.resolve.resolver import Resolver
from vk.pods.status.phase import is_final
from vk.pods.sync.gateway import Timed, untimed
from vk.pods.sync.records import Held, Name, Record, Records
from vk.provider import Emit, Provider

__all__ = ["EVERY", "LiveFiles", "digests"]

log = logging.getLogger(__name__)

EVERY = 60.0
"""Seconds between two looks at everything, as the kubelet's."""
_AT_ONCE = 8
_PLURALS = {"configMap": "configmaps", "secret": "secrets"}


def digests(files: Mapping[str, FileTree]) -> dict[str, bytes]:
    """Return what tells the contents of each volume apart from others."""
    return {volume: _digest(tree) for volume, tree in files.items()}


def _digest(tree: FileTree) -> bytes:
    found = hashlib.sha256()
    for path, file in sorted(tree.items()):
        head = f"{path}\0{file.mode}\0{file.uid}\0{file.gid}\0{len(file.content)}\0"
        found.update(head.encode(errors="surrogatepass"))
        found.update(file.content)
    return found.digest()


@attrs.define(eq=False, kw_only=True)
class LiveFiles:
    """Looks for changes while `run` runs; without a provider that takes them, it does nothing."""

    resolver: Resolver
    records: Records
    wake: Callable[[Name], None]
    """Wants the controller to work on a pod."""
    check_lease: Callable[[], None]
    emit: Emit
    watch: ReferenceWatch
    timed: Timed = untimed
    _users: dict[Reference, set[str]] = attrs.field(factory=dict, init=False)
    """UIDs of the pods that use an object."""
    _uses: dict[str, set[Reference]] = attrs.field(factory=dict, init=False)
    """What a pod uses, by its UID."""
    _asked: dict[str, None] = attrs.field(factory=dict, init=False)
    _wanted: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _told: dict[str, str] = attrs.field(factory=dict, init=False)
    """The last problem that was said of a pod."""

    def __attrs_post_init__(self) -> None:
        self.resolver.references.watched = self.watch.covers
        self.watch.changed = self.changed

    @property
    def works(self) -> bool:
        """Whether the provider takes changed files at all."""
        return type(self.resolver.provider).update_files is not Provider.update_files

    def created(self, record: Record, pod: Pod) -> None:
        """Note the files that the provider was created with."""
        record.files, record.fresh_files = digests(pod.files), {}
        if not pod.files:
            return
        if self.works:  # the first list of a watch tells of what changed meanwhile
            sources = self.resolver.sources(pod.raw)
            self._use(record.key, set(_references(record.key.namespace, sources)))
            self._want()
        else:
            self._say_static(record)

    def ask(self, uid: str) -> None:
        """Want a look at one pod soon."""
        if self.works:
            self._asked[uid] = None
            self._wanted.set()

    def changed(self, reference: Reference) -> None:
        """Take note that an object has changed."""
        self.resolver.references.drop(reference)
        for uid in self._users.get(reference, ()):
            self.ask(uid)

    def forget(self, key: PodKey) -> None:
        """Drop what is known of a pod."""
        self.resolver.tokens.forget(key)
        self._told.pop(key.uid, None)
        self._use(key, set())

    async def run(self) -> None:
        """Look at every pod each `EVERY` seconds, and at those in between that were asked for."""
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            if clock() >= due:
                due = clock() + EVERY
                self._asked.clear()
                await self._look_at(iter(self.records), clock())
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wanted.wait()
            self._wanted.clear()
            uids, self._asked = self._asked, {}
            found = (self.records.get(uid) for uid in uids)
            await self._look_at((record for record in found if record is not None), None)

    async def give(self, record: Record) -> None:
        """Give the provider the volumes of one pod that changed; never raises for one pod."""
        while record.fresh_files:
            volume, tree = record.fresh_files.popitem()
            provider = self.resolver.provider
            try:
                self.check_lease()
                async with self.timed("update_files", provider.update_timeout):
                    await provider.update_files(record.key, volume, tree)
            except UnsupportedError:
                record.static_files = True
                self._say_static(record)
            except ProviderError as error:
                self._tell(record, "ProviderUpdateFailed", f"volume {volume!r}: {error}")
            except Exception as error:  # whatever provider code raises hurts one pod only
                log.exception("files not updated", extra={"pod": str(record.key)})
                text = f"volume {volume!r}: the update failed ({type(error).__name__})"
                self._tell(record, "ProviderUpdateFailed", text)
            else:
                record.files = {**(record.files or {}), volume: _digest(tree)}
                extra = {"pod": str(record.key), "uid": record.key.uid, "volume": volume}
                log.info("files updated", extra=extra)

    async def _look_at(self, records: Iterator[Record], since: float | None) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._work(records, since))
        self._want()

    async def _work(self, records: Iterator[Record], since: float | None) -> None:
        for record in records:
            if record.files != {} and _is_live(record):  # a pod never gets another volume
                try:
                    await self._look(record, since)
                except Exception:  # one bad pod hurts only itself
                    log.exception("files not looked at", extra={"pod": str(record.key)})
                await asyncio.sleep(0)  # a thousand pods are no reason to keep a lease waiting

    async def _look(self, record: Record, since: float | None) -> None:
        assert record.pod is not None
        raw, fresh, problem = record.pod, {}, ""
        sources = self.resolver.sources(raw)
        if not sources:
            record.files = {}
            return
        self._use(record.key, set(_references(record.key.namespace, sources)))
        for volume, several in sources.items():
            try:
                files = await self.resolver.files(record.key, raw, {volume: several}, since=since)
            except VkError as error:
                problem = problem or str(error)
                continue
            if (record.files or {}).get(volume) != _digest(files[volume]):
                fresh.update(files)
        if problem:
            self._tell(record, "FailedMount", f"{problem}; the pod keeps the files that it has")
        else:
            self._told.pop(record.key.uid, None)
        if fresh and _is_live(record):
            record.fresh_files = fresh
            self.wake(record.name)

    def _want(self) -> None:
        self.watch.want({(plural, space) for plural, space, _ in self._users})

    def _use(self, key: PodKey, references: set[Reference]) -> None:
        before = self._uses.pop(key.uid, set())
        for reference in before - references:
            self._users[reference].discard(key.uid)
            if not self._users[reference]:
                del self._users[reference]
        for reference in references:
            self._users.setdefault(reference, set()).add(key.uid)
        if references:
            self._uses[key.uid] = references

    def _tell(self, record: Record, reason: str, text: str) -> None:
        if self._told.get(record.key.uid) != text:
            self._told[record.key.uid] = text
            self.emit(record.key, "Warning", reason, text)

    def _say_static(self, record: Record) -> None:
        text = (
            "the files of its volumes are copies: changes and renewed tokens do not reach the pod"
        )
        self.emit(record.key, "Normal", "StaticFiles", text, id=f"{record.key.uid}/static-files")


def _is_live(record: Record) -> bool:
    pod = record.pod
    return (
        pod is not None
        and record.held is Held.PRESENT
        and record.delete_grace is None
        and not record.static_files
        and not pod["metadata"].get("deletionTimestamp")
        and not is_final(pod)
    )


def _references(namespace: str, sources: VolumeSources) -> Iterator[Reference]:
    for several in sources.values():
        for one in several:
            if one.kind in _PLURALS:
                yield _PLURALS[one.kind], namespace, one.name
