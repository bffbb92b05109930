"""Keeps the files of running pods up to date: finds what changed and gives it to the provider.

In: the records, every `EVERY` seconds, on request, and after a watch. Out: calls of
`Provider.update_files`, which the reconciler makes in its turn (`update`), since calls for one pod
never overlap. What the provider has is remembered as digests: no secret is kept for it. A failed
update is not retried at once: the next look finds the same difference.
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
from vk.pods.resolve.reference_watch import Reference, ReferenceWatch
from vk.pods.resolve.resolver import Resolver
from vk.pods.resolve.volumes import VolumeSources
from vk.pods.status.phase import is_final
from vk.pods.sync.gateway import LeaseNotHeldError, OutcomeUnknownError, ProviderGateway
from vk.pods.sync.records import Name, ProviderState, Record, Records
from vk.provider import Emit

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
    """Looks for changes while `run` runs; does nothing for a provider that cannot take them."""

    gateway: ProviderGateway
    resolver: Resolver
    records: Records
    wake: Callable[[Name], None]
    """Puts a pod into the work queue."""
    emit: Emit
    watch: ReferenceWatch
    _users: dict[Reference, set[str]] = attrs.field(factory=dict, init=False)
    """UIDs of the pods that use an object."""
    _uses: dict[str, set[Reference]] = attrs.field(factory=dict, init=False)
    """What a pod uses, by its UID."""
    _asked: dict[str, None] = attrs.field(factory=dict, init=False)
    _requested: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _reported: dict[str, str] = attrs.field(factory=dict, init=False)
    """The last problem that was reported of a pod."""

    @property
    def supported(self) -> bool:
        """Whether the provider takes changed files at all."""
        return self.gateway.implements("update_files")

    def created(self, record: Record, pod: Pod) -> None:
        """Note the files that the provider was created with."""
        record.files_created(digests(pod.files))
        if not pod.files:
            return
        if self.supported:  # the first list of a watch shows what changed meanwhile
            sources = self.resolver.sources(pod.raw)
            self._use(record.key, set(_references(record.key.namespace, sources)))
            self._watch_used()
        else:
            self._report_static(record)

    def request(self, uid: str) -> None:
        """Request a look at one pod soon."""
        if self.supported:
            self._asked[uid] = None
            self._requested.set()

    def forget(self, key: PodKey) -> None:
        """Drop what is known of a pod."""
        self.resolver.tokens.forget(key)
        self._reported.pop(key.uid, None)
        self._use(key, set())

    async def run(self) -> None:
        """Look at every pod each `EVERY` seconds, and in between at those that were requested."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_changes())
            tasks.create_task(self._run_looks())

    async def _follow_changes(self) -> None:
        async for reference in self.watch.changes:
            for uid in self._users.get(reference, ()):
                self.request(uid)

    async def _run_looks(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            if clock() >= due:
                due = clock() + EVERY
                self._asked.clear()
                await self._look_at(iter(self.records), clock())
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._requested.wait()
            self._requested.clear()
            uids, self._asked = self._asked, {}
            found = (self.records.get(uid) for uid in uids)
            await self._look_at((record for record in found if record is not None), None)

    async def update(self, record: Record) -> None:
        """Give the provider the volumes of one pod that changed; never raises for one pod."""
        while record.changed_files:
            volume, tree = record.take_changed_files()
            try:
                await self.gateway.update_files(record.key, volume, tree)
            except UnsupportedError:
                record.files_static()
                self._report_static(record)
            except (ProviderError, LeaseNotHeldError) as error:
                self._report(record, "ProviderUpdateFailed", f"volume {volume!r}: {error}")
            except Exception as error:  # one bad pod hurts only itself
                log.exception("files not updated", extra={"pod": str(record.key)})
                known = isinstance(error, OutcomeUnknownError)
                kind = str(error) if known else type(error).__name__
                text = f"volume {volume!r}: the update failed ({kind})"
                self._report(record, "ProviderUpdateFailed", text)
            else:
                record.files_updated(volume, _digest(tree))
                extra = {"pod": str(record.key), "uid": record.key.uid, "volume": volume}
                log.info("files updated", extra=extra)

    async def _look_at(self, records: Iterator[Record], since: float | None) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._work(records, since))
        self._watch_used()

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
            record.files_absent()
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
            self._report(record, "FailedMount", f"{problem}; the pod keeps the files that it has")
        else:
            self._reported.pop(record.key.uid, None)
        if fresh and _is_live(record):
            record.files_changed(fresh)
            self.wake(record.name)

    def _watch_used(self) -> None:
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

    def _report(self, record: Record, reason: str, text: str) -> None:
        if self._reported.get(record.key.uid) != text:
            self._reported[record.key.uid] = text
            self.emit(record.key, "Warning", reason, text)

    def _report_static(self, record: Record) -> None:
        text = (
            "the files of its volumes are copies: changes and renewed tokens do not reach the pod"
        )
        self.emit(record.key, "Normal", "StaticFiles", text, id=f"{record.key.uid}/static-files")


def _is_live(record: Record) -> bool:
    pod = record.pod
    return (
        pod is not None
        and record.provider_state is ProviderState.PRESENT
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
