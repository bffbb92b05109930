"""What the core remembers of each pod, per UID: the only mutable state of the pod side.

A `Record` is changed by its own methods alone, each named after the transition that it makes and
each leaving the record consistent. `vk.pods.sync.reconciler` and `vk.pods.sync.feed` call them with
what the API server and the provider reported; `vk.pods.sync.decide` only reads. Every ``now`` is of
the event loop's clock, in seconds.

    UNKNOWN --listed--> PRESENT | ABSENT | UNCERTAIN
    ABSENT --created--> PRESENT      ABSENT --outcome_unknown--> UNCERTAIN
    UNCERTAIN --reported--> PRESENT  UNCERTAIN --gone--> ABSENT
    PRESENT --gone--> ABSENT         PRESENT --unplaced--> ABSENT, and may be created again
"""

from __future__ import annotations

import enum
import operator
from collections.abc import Callable, Collection, Iterator
from math import inf
from typing import Any

import attrs

from vk.aio.backoff import Backoff
from vk.models.api_object import spec_of, status_of
from vk.models.files import FileTree
from vk.models.keys import PodKey
from vk.models.pod import Json, pod_key
from vk.models.status import Condition, PodStatus, Waiting
from vk.models.time import format_time, now
from vk.pods.admission import DEFERRED
from vk.pods.status.conditions import UPDATE_ACCEPTED
from vk.pods.status.facts import AllocatedResources, StatusFacts, TerminalFailure
from vk.pods.status.phase import is_final
from vk.pods.sync.applied import APPLIED, AppliedDigest, AppliedSpec

__all__ = ["Name", "ProviderState", "Record", "Records"]

REMEMBER = 120.0
"""Seconds for which a forgotten UID stays forgotten."""

SHORTEST_WAIT = 1.0
"""Seconds between two tries at the least, whatever a provider asks for."""

Name = tuple[str, str]
"""Namespace and name: the key of the work queue."""


class ProviderState(enum.Enum):
    """What the provider holds for a pod, as far as is known."""

    UNKNOWN = "unknown"  # not listed yet since this process started
    UNCERTAIN = "uncertain"  # a create was sent and its outcome is not known
    ABSENT = "absent"
    PRESENT = "present"


@attrs.define(eq=False)
class Record:
    """Everything remembered about one UID. Other modules read its fields and call its methods."""

    key: PodKey
    pod: Json | None = None
    """The newest API object; None once the API server has no such pod."""
    provider_state: ProviderState = ProviderState.UNKNOWN
    provider_state_since: float = 0.0
    status: PodStatus | None = None
    """The last status that the provider reported."""
    status_updated_at: float = 0.0
    """When the provider last reported something about this pod."""
    applied: AppliedSpec | None = None
    """None: the provider never had the pod."""
    allocated: AllocatedResources = attrs.field(factory=AllocatedResources)
    start_time: str = ""
    """The pod's startTime: the API object's, else what was chosen once."""
    observed_generation: int = 0
    last_update: Condition | None = None
    """The outcome of the last update; None: there was none."""
    failure: TerminalFailure | None = None
    """Why the pod is Failed for good."""
    waiting: tuple[str, str] | None = None
    """Reason and message of why the pod is not at the provider yet."""
    retry_at: float = 0.0
    waits_for_provider: bool = False
    """The wait for ``retry_at`` ends early when the provider can be reached again."""
    backoff: Backoff = attrs.field(factory=lambda: Backoff(first=1.0, cap=300.0))
    delete_grace: float | None = None
    """The grace period that the provider last accepted a delete with."""
    delete_tried: float | None = None
    """The grace period of the last delete, accepted or not."""
    deleted_at: float = 0.0
    delete_failed: bool = False
    """The last delete raised; the next one waits for ``retry_at``."""
    recreatable: bool = False
    """The provider reported that it never ran: it may be created although it was applied once."""
    delete_confirmed: bool = False
    """A delete was accepted after the workload had ended: the provider holds nothing of it."""
    removed: bool = False
    """The API server has accepted the final delete."""
    misses: int = 0
    missed_at: float = 0.0
    files: dict[str, bytes] | None = None
    """Digests of the files that the provider has, by volume; None: not known."""
    changed_files: dict[str, FileTree] = attrs.field(factory=dict, repr=False)
    """Volumes whose files the provider does not have yet."""
    static_files: bool = False
    """The provider does not change files of a running pod."""
    annotations: dict[str, str] = attrs.field(factory=dict)
    """The provider's annotations, which the pod must carry."""
    written_annotations: frozenset[str] = frozenset()
    """Names of other annotations that the provider has put on the pod."""
    digest: str = ""
    """The text of `AppliedDigest` for the pod; empty: there is none that must be written."""
    _patch: tuple[tuple[object, ...], dict[str, Any] | None] | None = None
    """The inputs of the last status patch, compared by identity, and that patch."""

    @property
    def name(self) -> Name:
        """The key of the work queue."""
        return self.key.namespace, self.key.name

    @property
    def own_annotations(self) -> frozenset[str]:
        """The names of annotations that are not the pod's author's."""
        return self.written_annotations.union(self.annotations, (APPLIED,))

    # What the API server has.

    def observed(self, pod: Json) -> None:
        """Hold a newer API object."""
        self.pod = pod
        self._share()

    def observed_again(self, pod: Json) -> None:
        """Hold ``pod`` instead of an equal object, which can then be freed."""
        if self._patch is not None and self._patch[0][0] is self.pod:
            self._patch = ((pod, *self._patch[0][1:]), self._patch[1])
        self.observed(pod)

    def object_gone(self) -> None:
        """The API server has no such pod any more."""
        self.pod = None

    def object_removed(self) -> None:
        """The API server has accepted the final delete; a finalizer may keep the object."""
        self.removed = True

    def status_written(self, before: Json, answer: Json, inputs: tuple[object, ...]) -> None:
        """Hold the answer to a status patch that was made from ``before`` and ``inputs``."""
        if self.pod is before or (self.pod is not None and _version(answer) > _version(self.pod)):
            self.pod = answer  # else the watch was faster, and has this object or a newer one
        if self.pod is not None and _version(self.pod) == _version(answer):
            self._patch = ((self.pod, *inputs), None)

    def status_inputs(self) -> tuple[object, ...]:
        """Return what a status patch is made from beside the pod; compared by identity."""
        return (
            self.status,
            self.failure,
            self.waiting,
            self.provider_state,
            self.last_update,
            self.allocated,
            self.digest,
        )

    def status_patch(
        self, make: Callable[[Json, StatusFacts], dict[str, Any] | None]
    ) -> dict[str, Any] | None:
        """Return the status patch that the pod needs, None where there is nothing to write.

        ``make`` is called only where an input differs from those of the last patch.
        """
        pod = self.pod
        if pod is None or not self._has_status(pod):
            return None
        inputs = (pod, *self.status_inputs())
        if self._patch is not None and all(map(operator.is_, self._patch[0], inputs)):
            return self._patch[1]
        patch = make(pod, self._facts(pod))
        self._patch = (inputs, patch)
        return patch

    def _has_status(self, pod: Json) -> bool:
        """Return whether something is known that the pod's status must show."""
        if is_final(pod):  # what still ran then may have ended since
            return self.status is not None and self.provider_state is ProviderState.PRESENT
        if self.failure is not None or self.waiting is not None:
            return True
        if self.provider_state is ProviderState.PRESENT:
            return True
        absent = self.provider_state is ProviderState.ABSENT
        return absent and bool(pod["metadata"].get("deletionTimestamp"))

    def _facts(self, pod: Json) -> StatusFacts:
        present = self.provider_state is ProviderState.PRESENT
        known = status_of(pod).get("startTime")
        if known or (present and not self.start_time):
            self.start_time = known or format_time(now())
        deleting = bool(pod["metadata"].get("deletionTimestamp"))
        absent = self.provider_state is ProviderState.ABSENT
        return StatusFacts(
            status=self.status,
            failure=self.failure,
            waiting=self.waiting if absent and not deleting else None,
            gone=absent and deleting,
            present=present,
            start_time=self.start_time,
            observed_generation=self.observed_generation,
            last_update=self._last_update(pod),
            allocated=self.allocated,
        )

    def _last_update(self, pod: Json) -> Condition | None:
        """Return the outcome of the last update; a deferred one that was taken back is over."""
        last, applied = self.last_update, self.applied
        if last is None or last.reason != DEFERRED or applied is None:
            return last
        return UPDATE_ACCEPTED if applied.spec == spec_of(pod) else last

    # What the provider has, from lists, streams and look-ups.

    def reported(self, status: PodStatus, now: float) -> None:
        """The provider has the pod, with this status."""
        self.listed(status, now)
        self.status_updated_at = now

    def listed(self, status: PodStatus, now: float) -> None:
        """A list, which may be older than what a stream reports meanwhile, has the pod."""
        self._set_provider_state(ProviderState.PRESENT, now)
        self._set_status(status)
        self.waiting = None

    def listed_unchanged(self) -> None:
        """A complete list has the pod as it is known."""
        self.misses = 0

    def answered(self, status: PodStatus | None, asked: float, now: float) -> None:
        """A call returned a status; what was reported since it was ``asked`` for is newer.

        ``asked`` is what ``status_updated_at`` was then.
        """
        if status is not None and self.status_updated_at == asked:
            self._set_status(status)
            self.status_updated_at = now

    def found(self, status: PodStatus, asked: float, now: float) -> None:
        """A look-up found the pod."""
        self._set_provider_state(ProviderState.PRESENT, now)
        self.answered(status, asked, now)

    def adopted(self) -> None:
        """The provider has the pod from an earlier process: what was applied stands on the pod.

        Parts of which the digest, or the object's generation, shows that an update is missing count
        as missing in whole.
        """
        pod = self.pod
        assert pod is not None
        metadata, status = pod["metadata"], status_of(pod)
        generation = int(metadata.get("generation") or 0)
        observed = int(status.get("observedGeneration") or 0)
        deleting = bool(metadata.get("deletionTimestamp"))
        current, digest = AppliedSpec.of(pod), AppliedDigest.shown(pod)
        self.applied = current
        if digest is not None:
            self.written_annotations |= digest.own
            self.digest = digest.text()
            if not deleting:
                self.applied = digest.applied(pod)
        else:
            self._note_digest()
        if observed and generation > observed and not deleting:
            self.applied = attrs.evolve(self.applied, spec={})
        changed = self.applied.spec != current.spec
        self.observed_generation = observed if (changed and observed) or deleting else generation
        self.allocated = AllocatedResources.shown(pod)

    def presumed_present(self, since: float) -> None:
        """A list lacks a pod that ran before this process began: present until proved gone."""
        self._set_provider_state(ProviderState.PRESENT, since)

    def presumed_created(self, since: float) -> None:
        """A list lacks a pod that an earlier process may just have created."""
        self._set_provider_state(ProviderState.UNCERTAIN, since)

    def never_created(self, now: float) -> None:
        """The provider does not have the pod, and never had."""
        self._set_provider_state(ProviderState.ABSENT, now)

    def ended_with_process(self, now: float) -> None:
        """The provider's workloads did not outlive the process that created them."""
        text = "the provider does not keep its pods over a restart"
        self._set_provider_state(ProviderState.ABSENT, now)
        self.failure = TerminalFailure("ProviderRestarted", text, ran=True)

    def gone(self, now: float) -> None:
        """It is proved that the provider holds nothing for the pod."""
        if self.provider_state is ProviderState.UNCERTAIN:
            self.applied = None  # it never was
        self._set_provider_state(ProviderState.ABSENT, now)
        self.retry_at = 0.0

    def reported_gone(self, now: float) -> None:
        """The provider reported that it holds nothing for the pod."""
        self.gone(now)
        self.status_updated_at = now

    def reported_unplaced(
        self, reason: str, message: str, retry_after: float | None, now: float
    ) -> None:
        """The provider reported that the pod never ran: it waits, and is created again."""
        self._set_provider_state(ProviderState.ABSENT, now)
        self.recreatable, self.status = True, None
        self.waiting = (reason, message)
        self.retry_later(now, retry_after)
        self.status_updated_at = now

    def missed(self, began: float, apart: float) -> None:
        """A complete list lacks the pod; lists that are less than ``apart`` s apart count once."""
        if not self.misses or began - self.missed_at >= apart:
            self.misses, self.missed_at = self.misses + 1, began

    def lost(self) -> None:
        """The workload is gone although its deletion was not requested."""
        self.failure = TerminalFailure("WorkloadLost", "the workload is gone", ran=True)

    def deadline_exceeded(self) -> None:
        """The pod has run longer than its activeDeadlineSeconds: Failed once it has ended."""
        text = "Pod was active on the node longer than the specified deadline"
        self.failure = TerminalFailure("DeadlineExceeded", text, ran=True)

    def annotated(self, names: Collection[str]) -> None:
        """The provider has put annotations with these names on the pod."""
        self.written_annotations |= frozenset(names)

    # Creates.

    def created(self, pod: Json, asked: float, now: float) -> None:
        """The provider accepted the pod; ``asked`` as in `answered`."""
        self._applied_all(pod)
        if self.status_updated_at == asked:  # else a newer report says what became of it
            self._set_provider_state(ProviderState.PRESENT, now)
            self.waiting, self.recreatable, self.retry_at = None, False, 0.0

    def create_delayed(
        self, reason: str, message: str, now: float, wait: float, *, unreachable: bool = False
    ) -> None:
        """The pod was not created; the next try comes in ``wait`` seconds.

        ``unreachable``: it may be that the provider could not be reached.
        """
        self._set_provider_state(ProviderState.ABSENT, now)
        self.retry_at, self.waits_for_provider = now + wait, unreachable
        self.waiting = (reason, message)

    def create_unknown(self, pod: Json, now: float) -> None:
        """A create was sent and its outcome is not known: it counts as applied until looked up."""
        self.retry_later(now, unreachable=True)
        self._applied_all(pod)
        self._set_provider_state(ProviderState.UNCERTAIN, now)
        self.provider_state_since = now

    def failed(self, reason: str, message: str, now: float) -> None:
        """The pod was refused for good."""
        self._set_provider_state(ProviderState.ABSENT, now)
        self.failure = TerminalFailure(reason, message)
        self.waiting = None

    # Updates.

    def updated(self, pod: Json, allocated: AllocatedResources, outcome: Condition | None) -> None:
        """The provider accepted a change; ``outcome`` None leaves the last one as it is."""
        self._applied_spec(pod)
        self.allocated = allocated
        self.last_update = outcome or self.last_update

    def update_refused(self, pod: Json, outcome: Condition | None) -> None:
        """The provider refused a change for good: it is not tried again."""
        self._applied_spec(pod)
        self.last_update = outcome or self.last_update

    def resize_refused(self, pod: Json, outcome: Condition, applied: AppliedSpec | None) -> None:
        """A resize can never be granted; what else changed remains to be applied."""
        self.last_update = outcome
        if applied is not None:
            self.applied = applied
            self._note_digest()
            if applied == AppliedSpec.of(pod):
                self._applied_spec(pod)

    def resize_deferred(self, outcome: Condition, now: float) -> None:
        """A resize waits until the node has room."""
        self.last_update = outcome
        self.retry_later(now)

    def files_created(self, digests: dict[str, bytes]) -> None:
        """The provider created the pod with files that have these digests."""
        self.files, self.changed_files = digests, {}

    def files_changed(self, files: dict[str, FileTree]) -> None:
        """These volumes have other files than the provider has."""
        self.changed_files = files

    def take_changed_files(self) -> tuple[str, FileTree]:
        """Return one volume and its changed files, which then count as handed over."""
        return self.changed_files.popitem()

    def files_updated(self, volume: str, digest: bytes) -> None:
        """The provider has the files with this digest."""
        self.files = {**(self.files or {}), volume: digest}

    def files_static(self) -> None:
        """The provider does not change files."""
        self.static_files = True

    def files_absent(self) -> None:
        """The pod has no volumes of files."""
        self.files = {}

    # Deletes.

    def delete_requested(self, grace_period: float) -> None:
        """A delete is about to be sent."""
        self.delete_tried = grace_period

    def delete_accepted(
        self, grace_period: float, began: float, now: float, *, ended: bool
    ) -> None:
        """The provider ends the workload; the next delete comes after the grace period.

        ``ended``: it was known to have ended when the delete was sent.
        """
        self.delete_confirmed = ended
        if self.delete_grace is None:
            self.backoff.reset()
        self.delete_grace, self.deleted_at = grace_period, began
        self.delete_failed = False
        self.retry_at = now + grace_period + 5.0 + self.backoff.next()

    def delete_refused(self, now: float, after: float | None = None) -> None:
        """A delete failed, or its outcome is not known."""
        self.delete_failed = True
        self.retry_later(now, after, unreachable=True)

    # The next try of any of them.

    def next_wait(self, after: float | None = None, within: float = inf) -> float:
        """Return the seconds until the next try: ``after`` where it is given, else the backoff."""
        return self.backoff.next(within) if after is None else max(after, SHORTEST_WAIT)

    def retry_later(
        self,
        now: float,
        after: float | None = None,
        within: float = inf,
        *,
        unreachable: bool = False,
    ) -> None:
        """Let the next step wait, for as long as `next_wait` says; ``unreachable`` as above."""
        self.retry_at = now + self.next_wait(after, within)
        self.waits_for_provider = unreachable

    def provider_reachable(self) -> bool:
        """End a wait for the provider; return whether there was one."""
        waited, self.waits_for_provider = self.waits_for_provider, False
        if waited:
            self.retry_at = 0.0
        return waited

    def _applied_spec(self, pod: Json) -> None:
        self.applied = AppliedSpec.of(pod)
        self._note_digest()
        self.observed_generation = int(pod["metadata"].get("generation") or 0)
        self.retry_at = 0.0
        self.backoff.reset()

    def _applied_all(self, pod: Json) -> None:
        self.applied, self.allocated = AppliedSpec.of(pod), AllocatedResources.of(pod)
        self._note_digest()
        self.observed_generation = int(pod["metadata"].get("generation") or 0)

    def _note_digest(self) -> None:
        """Note what the pod's annotation has to say."""
        if self.applied is not None:
            own = self.own_annotations - {APPLIED}
            self.digest = AppliedDigest.of(self.applied, own).text()

    def _share(self) -> None:
        """Let what was applied live in the pod itself where the two are equal."""
        if self.applied is not None and self.pod is not None:
            current = AppliedSpec.of(self.pod)
            if self.applied == current:
                self.applied = current

    def _set_status(self, status: PodStatus) -> None:
        if _has_run(status) and not _has_run(self.status):
            self.recreatable = False
            self.backoff.reset()
        self.status = status
        if not status.annotations.keys() <= self.own_annotations:
            self.annotations.update(status.annotations)
            self._note_digest()
        self.annotations.update(status.annotations)

    def _set_provider_state(self, state: ProviderState, now: float) -> None:
        if state is not self.provider_state:
            self.provider_state, self.provider_state_since = state, now
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
    """UIDs that a late watch may still report, and since when they are forgotten."""

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
        """Note an API object; return None where it is not newer than what is known.

        ``before`` is what the reflector had. Versions never go back, unless the cluster was
        restored from a backup.
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
                record.observed_again(pod)
                return None
        record.observed(pod)
        return record

    def add(self, key: PodKey) -> Record:
        """Return the record of ``key``, made if there is none."""
        record = self._by_uid.get(key.uid)
        if record is None:
            record = self._by_uid[key.uid] = Record(key)
            self._by_name.setdefault(record.name, {})[key.uid] = record
        return record

    def forget(self, record: Record, now: float) -> None:
        """Drop a record, and ignore what a late watch still reports of its UID."""
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
