"""What the core remembers of each pod, per UID: the only mutable state of the pod side.

The reflector's callback writes ``pod``; the feed and `vk.pods.sync.actions` write what the provider
said; `vk.pods.sync.decide` only reads. Everything else is looked up where it lives.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

import attrs

from vk.aio.backoff import Backoff
from vk.models.files import FileTree
from vk.models.keys import PodKey
from vk.models.pod import Json, Pod, pod_key
from vk.models.status import Condition, PodStatus, Waiting

__all__ = [
    "Accepted",
    "Granted",
    "Held",
    "Name",
    "PodView",
    "Record",
    "Records",
    "Verdict",
]

REMEMBER = 120.0
"""Seconds for which a forgotten UID stays forgotten."""

SHORTEST = 1.0
"""Seconds between two tries at the least, whatever a provider asks for."""

Name = tuple[str, str]
"""Namespace and name: what the work queue serialises on."""

_GROUPS = ("containers", "initContainers")
_STATUSES = ("containerStatuses", "initContainerStatuses")


class Held(enum.Enum):
    """What the provider holds for a pod, as far as is known."""

    UNKNOWN = "unknown"  # not listed yet since this process started
    UNCERTAIN = "uncertain"  # a create went out and its outcome did not come back
    ABSENT = "absent"
    PRESENT = "present"


@attrs.frozen
class Verdict:
    """Why a pod is Failed for good. ``ran``: its containers may have run (then exit 137)."""

    reason: str
    message: str
    ran: bool = False


@attrs.frozen
class Accepted:
    """The mutable part of a pod that the provider last accepted or refused."""

    spec: Json
    labels: Json
    annotations: Json

    @classmethod
    def of(cls, pod: Json) -> Accepted:
        """Return that part of a pod; it shares the pod's memory."""
        metadata = pod["metadata"]
        return cls(
            pod.get("spec") or {}, metadata.get("labels") or {}, metadata.get("annotations") or {}
        )


@attrs.frozen
class Granted:
    """What each container has, by its name, as the provider last took it."""

    images: Mapping[str, str] = attrs.field(factory=dict)
    resources: Mapping[str, Json] = attrs.field(factory=dict)

    @classmethod
    def of(cls, pod: Json) -> Granted:
        """Return what the containers of the pod ask for."""
        spec = pod.get("spec") or {}
        several = [raw for group in _GROUPS for raw in spec.get(group) or ()]
        return cls(
            {raw["name"]: raw.get("image") or "" for raw in several},
            {raw["name"]: raw.get("resources") or {} for raw in several},
        )

    @classmethod
    def shown(cls, pod: Json) -> Granted:
        """Return what the pod's status says that they have, else what they ask for."""
        asked, status = cls.of(pod), pod.get("status") or {}
        several = [one for group in _STATUSES for one in status.get(group) or ()]
        images = {one["name"]: one["image"] for one in several if one.get("image")}
        resources = {one["name"]: one["resources"] for one in several if one.get("resources")}
        return cls({**asked.images, **images}, {**asked.resources, **resources})


@attrs.define(eq=False)
class Record:
    """Everything remembered about one UID. Times are of the event loop's clock."""

    key: PodKey
    pod: Json | None = None
    """The newest API object; None once the API server has no such pod."""
    held: Held = Held.UNKNOWN
    held_since: float = 0.0
    status: PodStatus | None = None
    accepted: Accepted | None = None
    observed_generation: int = 0
    last_update: Condition | None = None
    """What became of the last update; None: there was none."""
    granted: Granted = attrs.field(factory=Granted)
    verdict: Verdict | None = None
    problem: tuple[str, str] | None = None
    """Reason and message of why a pod waits for its next try."""
    retry_at: float = 0.0
    backoff: Backoff = attrs.field(factory=lambda: Backoff(first=1.0, cap=300.0))
    delete_grace: float | None = None
    """The grace period that the provider last accepted a delete with."""
    delete_tried: float | None = None
    """The grace period of the last delete, accepted or not."""
    deleted_at: float = 0.0
    failed_delete: bool = False
    """The last delete raised; the next one waits for ``retry_at``."""
    unplaced: bool = False
    """The provider says that it never ran: it may be created although it was accepted once."""
    said_at: float = 0.0
    """When the provider last said something of this pod."""
    removed: bool = False
    """The API server has accepted the final delete."""
    misses: int = 0
    missed_at: float = 0.0
    judged: tuple[tuple[object, ...], dict[str, Any] | None] | None = None
    """The inputs of the last report, compared by identity, and the patch that they called for."""
    files: dict[str, bytes] | None = None
    """Digests of the files that the provider has, by volume; None: not known."""
    fresh_files: dict[str, FileTree] = attrs.field(factory=dict, repr=False)
    """Volumes whose files the provider does not have yet."""
    static_files: bool = False
    """The provider said that it does not change files."""
    annotations: dict[str, str] = attrs.field(factory=dict)
    """Annotations of ours that the pod must carry."""

    @property
    def name(self) -> Name:
        """The key of the work queue."""
        return self.key.namespace, self.key.name

    def say(self, status: PodStatus) -> None:
        """Note what the provider says of the pod."""
        if _has_run(status) and not _has_run(self.status):
            self.unplaced = False
            self.backoff.reset()
        self.status = status
        self.annotations.update(status.annotations)

    def wait(self, hint: float | None, within: float = inf) -> float:
        """Return the seconds until the next try, by the hint of who refused or the backoff."""
        return self.backoff.next(within) if hint is None else max(hint, SHORTEST)

    def swap(self, pod: Json) -> None:
        """Hold ``pod`` instead of an equal object, which can then be freed."""
        if self.judged is not None and self.judged[0][0] is self.pod:
            self.judged = ((pod, *self.judged[0][1:]), self.judged[1])
        self.pod = pod
        self.share()

    def share(self) -> None:
        """Let what was accepted live in the pod itself where the two are equal."""
        if self.accepted is not None and self.pod is not None:
            current = Accepted.of(self.pod)
            if self.accepted == current:
                self.accepted = current

    def take(self, pod: Json) -> None:
        """Note what the provider has, if it has the pod: all of ``pod``."""
        self.accepted, self.granted = Accepted.of(pod), Granted.of(pod)
        self.observed_generation = int(pod["metadata"].get("generation") or 0)

    def hold(self, held: Held, now: float) -> None:
        """Note what the provider holds, since when."""
        if held is not self.held:
            self.held, self.held_since = held, now
        self.misses = 0


def _has_run(status: PodStatus | None) -> bool:
    containers = () if status is None else status.containers
    return any(not isinstance(one.state, Waiting) for one in containers)


def _version(pod: Json) -> int:
    text = pod["metadata"].get("resourceVersion") or ""
    return int(text) if text.isdigit() else -1


@attrs.define(eq=False)
class Records:
    """All records, by UID and by name."""

    _by_uid: dict[str, Record] = attrs.field(factory=dict, init=False)
    _by_name: dict[Name, dict[str, Record]] = attrs.field(factory=dict, init=False)
    _forgotten: dict[str, float] = attrs.field(factory=dict, init=False)
    """UIDs that a late watch may still tell of, and since when they are forgotten."""

    def __len__(self) -> int:
        return len(self._by_uid)

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._by_uid.values()))

    def get(self, uid: str) -> Record | None:
        """Return the record of ``uid``."""
        return self._by_uid.get(uid)

    def named(self, name: Name) -> list[Record]:
        """Return the records under one name, the oldest first."""
        return list(self._by_name.get(name, {}).values())

    def observe(self, pod: Json, before: Json | None = None) -> Record | None:
        """Note an API object; None where it is no news (our own write, or an older version).

        ``before`` is what the reflector had. It never goes back unless the cluster did.
        """
        key = pod_key(pod)
        if key.uid in self._forgotten:
            return None
        record = self._by_uid.get(key.uid) or self.add(key)
        if record.pod is not None:
            known, version = _version(record.pod), _version(pod)
            restored = before is not None and _version(before) > version
            if known > version > -1 and not restored:
                return None
            if known == version != -1:
                record.swap(pod)
                return None
        record.pod = pod
        record.share()
        return record

    def add(self, key: PodKey) -> Record:
        """Return the record of ``key``, made if there is none."""
        record = self._by_uid.get(key.uid)
        if record is None:
            record = self._by_uid[key.uid] = Record(key)
            self._by_name.setdefault(record.name, {})[key.uid] = record
        return record

    def forget(self, record: Record, now: float) -> None:
        """Drop a record; what a watch that is behind still says of it is no news."""
        self._forgotten[record.key.uid] = now
        while self._forgotten:  # the oldest is first
            uid, since = next(iter(self._forgotten.items()))
            if now - since < REMEMBER:
                break
            del self._forgotten[uid]
        self._by_uid.pop(record.key.uid, None)
        named = self._by_name.get(record.name)
        if named is not None:
            named.pop(record.key.uid, None)
            if not named:
                del self._by_name[record.name]


@attrs.define(eq=False)
class PodView(Mapping[str, Pod]):
    """The node's pods by UID, live and read-only: what providers see as ``context.pods``."""

    _records: Records

    def __getitem__(self, uid: str) -> Pod:
        record = self._records.get(uid)
        if record is None or record.pod is None:
            raise KeyError(uid)
        return Pod(record.pod)

    def __iter__(self) -> Iterator[str]:
        return (record.key.uid for record in self._records if record.pod is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)
