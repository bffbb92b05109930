"""One pod's way from a key of the work queue to the provider and back, from top to bottom.

`Reconciler.observe` notes what the API server has; `run` takes keys from the queue, one task each.
A task works on a record step by step until nothing is left to do now: it writes the status where
that differs, asks `vk.pods.sync.decide` for the next step, and carries it out. What a call at the
provider came to is a transition of the record, never an exception: one bad pod hurts only itself.
Creates, deletes and status updates have limits of their own, so that a full create queue never
holds back a delete or a status.

| raised by the provider | create            | update             | delete                    |
|------------------------|-------------------|--------------------|---------------------------|
| NotFoundError          | retry             | retry              | done                      |
| UnsupportedError       | Failed            | refused            | retry slowly              |
| PermanentError         | Failed            | refused            | retry slowly              |
| TemporaryError         | retry by its hint | retry by its hint  | retry by its hint         |
| OutcomeUnknownError    | look it up        | retry              | retry                     |
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from math import inf, isfinite
from typing import Any

import attrs

from vk.aio.token_bucket import TokenBucket
from vk.errors import (
    ClusterError,
    ForbiddenError,
    NotFoundError,
    PermanentError,
    ProviderError,
    TemporaryError,
    UnsupportedError,
)
from vk.models.api_object import metadata_map, spec_of, status_of
from vk.models.pod import Json, Pod
from vk.models.status import PodStatus
from vk.models.time import format_time, now
from vk.pods.admission import INFEASIBLE
from vk.pods.errors import NotReadyError, RefusedError
from vk.pods.status.conditions import UPDATE_ACCEPTED
from vk.pods.status.desired import desired
from vk.pods.status.facts import StatusFacts
from vk.pods.status.patch import difference
from vk.pods.status.phase import is_final
from vk.pods.status.writer import StatusWriter
from vk.pods.sync.applied import APPLIED
from vk.pods.sync.changes import (
    RESOURCES,
    allocated_after,
    is_pending,
    is_spec_change,
    refused_condition,
    resize_condition,
    with_allocated,
    with_resources,
)
from vk.pods.sync.decide import (
    Create,
    Decision,
    Delete,
    Forget,
    Lookup,
    Lost,
    Remove,
    Update,
    UpdateFiles,
    Wait,
    all_ended,
    deadline_left,
    decide,
)
from vk.pods.sync.failure_rate import FailureRateLimiter
from vk.pods.sync.gateway import LeaseNotHeldError, OutcomeUnknownError, ProviderGateway
from vk.pods.sync.live_files import LiveFiles
from vk.pods.sync.prepare import Preparation
from vk.pods.sync.records import Name, ProviderState, Record, Records
from vk.pods.sync.redaction import error_text
from vk.provider import Emit
from vk.settings import LiveSettings, live
from vk.workqueue import WorkQueue

__all__ = ["DRAIN", "Reconciler"]

log = logging.getLogger(__name__)

DRAIN = 25.0
"""Seconds that calls in flight get when the process stops."""
IN_FLIGHT = 64
"""Deletes, look-ups and status updates in flight at once, each."""
LIST_WAIT = 10.0
"""Seconds until a list that settles an unknown outcome is requested again."""
_MIRROR = "kubernetes.io/config.mirror"
"""Annotation of a pod that only shows what a kubelet runs from a file."""


def _clock() -> float:
    return asyncio.get_running_loop().time()


@attrs.define(eq=False, kw_only=True)
class Reconciler:
    """Works on pods. `observe` is the reflector's callback; `run` ends when cancelled."""

    queue: WorkQueue[Name]
    records: Records
    gateway: ProviderGateway
    preparation: Preparation
    files: LiveFiles
    writer: StatusWriter
    emit: Emit
    list_requested: asyncio.Event
    """Set to request a complete list of the provider's pods soon."""
    settings: LiveSettings = attrs.field(converter=live)
    host_ips: Callable[[], tuple[str, ...]] = tuple
    """Returns the node's addresses."""
    listed: bool = False
    """The provider has been listed once: what it did not name, it does not have."""
    failures: FailureRateLimiter = attrs.field(factory=FailureRateLimiter)
    _create_tokens: TokenBucket | None = attrs.field(default=None, init=False)
    _limits: Mapping[str, asyncio.Semaphore] = attrs.field(init=False)
    _tasks: set[asyncio.Task[None]] = attrs.field(factory=set, init=False)
    _stopping: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._limits = {
            "create": asyncio.Semaphore(self.settings.current.pod_sync_workers),
            **{name: asyncio.Semaphore(IN_FLIGHT) for name in ("delete", "lookup", "status")},
        }

    # From the watch to the queue.

    def observe(self, old: Json | None, new: Json | None) -> None:
        """Note what the API server has of a pod; ``new`` None: it is gone. Never blocks."""
        if new is not None:
            if _MIRROR in metadata_map(new, "annotations"):
                return
            record = self.records.observe(new, old)
            if record is None:
                return
            if record.provider_state is ProviderState.UNKNOWN and self.listed:
                self._first_seen(record, new)
            if is_final(new):
                self.preparation.release(record.key)
            self.queue.add(record.name)
        elif old is not None:
            gone = self.records.get(old["metadata"]["uid"])
            if gone is not None:
                gone.object_gone()
                self.queue.add(gone.name)

    def _first_seen(self, record: Record, pod: Json) -> None:
        """Note what the provider holds for a pod that was not there at the first list."""
        if status_of(pod).get("startTime") and not is_final(pod):
            self.list_requested.set()  # it runs: the watch was late, and the next list settles it
        else:
            record.never_created(_clock())

    # From the queue to a step.

    async def run(self) -> None:
        """Work until cancelled; calls in flight then get `DRAIN` seconds to end."""
        try:
            while True:
                name = await self.queue.get()
                task = asyncio.get_running_loop().create_task(self._work(name))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        finally:
            self._stopping = True
            await self._drain()

    async def run_resync(self, period: float) -> None:
        """Look at every pod again each ``period`` seconds: events are hints."""
        while True:
            await asyncio.sleep(period)
            for record in self.records:
                if self._is_due(record):
                    self.queue.add(record.name)

    async def run_retries(self) -> None:
        """Try again what waited for the provider, each time that it can be reached again."""
        while True:
            await self.gateway.reachable_again.wait()
            self.gateway.reachable_again.clear()
            for record in self.records:
                if record.provider_reachable():
                    self.queue.add(record.name)

    def _is_due(self, record: Record) -> bool:
        """Return whether a task would find something to do or to write."""
        try:
            return self._status_patch(record) is not None or self._decide(record) != Wait()
        except Exception:  # noqa: BLE001 # the task reports it, for this pod alone
            return True

    async def _drain(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DRAIN)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, name: Name) -> None:
        try:
            for record in self.records.named(name):
                await self._reconcile(record)
        except ClusterError as error:
            level = logging.ERROR if isinstance(error, ForbiddenError) else logging.INFO
            extra = {"pod": "/".join(name), "error": str(error)}
            log.log(level, "status update failed", extra=extra)
            self.queue.retry(name)
        except Exception:  # one bad pod hurts only itself
            log.exception("pod failed unexpectedly", extra={"pod": "/".join(name)})
            self.queue.retry(name)
        else:
            self.queue.forget(name)
        finally:
            self.queue.done(name)

    async def _reconcile(self, record: Record) -> None:
        """Take step after step until there is nothing to do now.

        A status that cannot be written holds back what would follow from it, but never the end of
        a workload; the error is raised once that is under way.
        """
        unwritten: ClusterError | None = None
        while not self._stopping:
            self._check_deadline(record)
            if unwritten is None and self._status_patch(record) is not None:
                unwritten = await self._write_status(record)
                continue
            decision = self._decide(record)
            if unwritten is not None and not decision.ends_workload:
                break
            if not await self._carry_out(record, decision):
                break
        if unwritten is not None:
            raise unwritten

    def _decide(self, record: Record) -> Decision:
        return decide(record, now=_clock(), wall=time.time(), deadline=self._deadline(record))

    def _deadline(self, record: Record) -> float | None:
        # A backend that lists this field as honoured ends pods itself.
        if "spec.activeDeadlineSeconds" in self.gateway.provider.fields.honoured:
            return None
        return deadline_left(record, time.time())

    def _check_deadline(self, record: Record) -> None:
        """Note a deadline that has passed, before the status that shows it is written."""
        pod, left = record.pod, self._deadline(record)
        if left is None or left > 0 or pod is None or record.failure is not None:
            return
        if record.provider_state in (ProviderState.UNKNOWN, ProviderState.UNCERTAIN):
            return
        if not is_final(pod) and not pod["metadata"].get("deletionTimestamp"):
            record.deadline_exceeded()

    async def _carry_out(self, record: Record, decision: Decision) -> bool:
        """Carry out one step; return whether another one may follow now."""
        async with self._limited(decision):
            if decision.limit and (self._stopping or self._decide(record) != decision):
                return True  # it changed while this task waited for its turn
            match decision:
                case Wait(seconds):
                    if seconds is not None:
                        self.queue.add(record.name, max(seconds, 0.01))
                    return False
                case Forget():
                    self._forget(record)
                    return False
                case Create():
                    await self._create(record)
                case Update(changed):
                    await self._update(record, changed)
                case UpdateFiles():
                    await self.files.update(record)
                case Delete(grace_period):
                    await self._delete(record, grace_period)
                case Lookup():
                    await self._look_up(record)
                case Lost():
                    if not self.gateway.may_act():  # another replica may have created it since
                        self.queue.add(record.name, 1.0)
                        return False
                    record.lost()
                case Remove():
                    await self._remove_object(record)
            return True

    @asynccontextmanager
    async def _limited(self, decision: Decision) -> AsyncIterator[None]:
        if not decision.limit:
            yield
            return
        async with self._limits[decision.limit]:
            yield

    def _forget(self, record: Record) -> None:
        self.records.forget(record, _clock())
        self.preparation.release(record.key)
        self.files.forget(record.key)

    # Create, update, delete, look up.

    async def _create(self, record: Record) -> None:
        """Create the pod at the provider, or note why not."""
        if record.pod is None:
            return
        raw, asked = record.pod, record.status_updated_at
        pod: Pod | None = None
        try:
            pod = await self.preparation.prepare(record.key, raw)
            self._take_create_token()
            status = await self.gateway.create_pod(pod)
        except NotReadyError as error:
            self._delay(record, error.reason, str(error), error.retry_after, error.within)
        except LeaseNotHeldError as error:
            self._delay(record, "LeaseNotHeld", str(error), error.retry_after, unreachable=True)
        except RefusedError as error:
            self._fail(record, error.reason, str(error))
        except PermanentError as error:
            self.preparation.release(record.key)
            self._fail(record, error.reason, str(error), event="ProviderCreateFailed")
        except UnsupportedError as error:
            self.preparation.release(record.key)
            self._fail(record, "Unsupported", str(error), event="ProviderCreateFailed")
        except (TemporaryError, NotFoundError) as error:
            self.emit(record.key, "Warning", "ProviderCreateFailed", str(error))
            self._delay(record, "ProviderFailed", str(error), _hint(error), unreachable=True)
        except ClusterError as error:
            self._delay(record, "CreateContainerConfigError", str(error), error.retry_after)
        except Exception as error:  # noqa: BLE001 # one bad pod hurts only itself
            self._report_unknown(record, "create", error, pod)
            record.create_unknown(raw, _clock())
        else:
            record.created(pod.raw, asked, _clock())
            record.answered(status, asked, _clock())
            self.files.created(record, pod)
            if status is None:
                self.list_requested.set()
            log.info("pod created", extra={"pod": str(record.key), "uid": record.key.uid})

    def _take_create_token(self) -> None:
        """Raise NotReadyError while the operator's limit of creates is reached."""
        per_minute = self.settings.current.max_creates_per_minute
        if not per_minute:
            return
        rate, burst = per_minute / 60.0, max(1.0, per_minute)
        if self._create_tokens is None:
            self._create_tokens = TokenBucket(rate, burst)
        self._create_tokens.rate, self._create_tokens.burst = rate, burst
        seconds = self._create_tokens.take(_clock())
        if seconds:
            text, reason = "the node's limit of creates a minute is reached", "CreateRateLimited"
            raise NotReadyError(text, reason=reason, retry_after=seconds, within=seconds)

    def _delay(
        self,
        record: Record,
        reason: str,
        message: str,
        after: float | None,
        within: float = inf,
        *,
        unreachable: bool = False,
    ) -> None:
        """Let the pod wait for its next try, and show when that is."""
        self.preparation.release(record.key)
        wait = record.next_wait(after, within)
        if isfinite(wait) and within == inf:  # to show each of many looks would be many writes
            message = f"{message}; next try at {format_time(now() + timedelta(seconds=wait))}"
        record.create_delayed(reason, message, _clock(), wait, unreachable=unreachable)

    def _fail(self, record: Record, reason: str, message: str, *, event: str = "Failed") -> None:
        """Let the pod be Failed for good, unless its owner's pods fail too fast."""
        wait = self.failures.wait(record.pod or {"metadata": {}}, reason, _clock())
        if wait:
            self._delay(record, reason, message, wait)
            return
        record.failed(reason, message, _clock())
        self.emit(record.key, "Warning", event, message)
        log.info("pod refused", extra={"pod": str(record.key), "error": message})

    async def _update(self, record: Record, changed: Collection[str]) -> None:
        """Apply changes at the provider; a refusal is reported once and counts as applied."""
        if record.pod is None:
            return
        raw, asked = record.pod, record.status_updated_at
        resize = bool(RESOURCES & set(changed))
        pod: Pod | None = None
        try:
            if not (resize and self._refuses_resize(record, raw)):
                pod = await self.preparation.prepare_change(record.key, raw, changed)
                status = await self.gateway.update_pod(pod, changed)
                self._updated(record, raw, changed, status, asked)
        except (UnsupportedError, PermanentError) as error:
            matters = is_spec_change(changed)
            record.update_refused(raw, refused_condition(changed, error) if matters else None)
            if matters:
                self.emit(record.key, "Warning", "ProviderUpdateFailed", str(error))
        except NotReadyError as error:
            record.retry_later(_clock(), error.retry_after, error.within)
        except ClusterError as error:
            record.retry_later(_clock(), error.retry_after)
        except LeaseNotHeldError as error:
            record.retry_later(_clock(), error.retry_after, unreachable=True)
        except (TemporaryError, NotFoundError) as error:
            self.emit(record.key, "Warning", "ProviderUpdateFailed", str(error))
            record.retry_later(_clock(), _hint(error), unreachable=True)
        except Exception as error:  # noqa: BLE001 # one bad pod hurts only itself
            self._report_unknown(record, "update", error, pod)
            record.retry_later(_clock(), unreachable=True)
        self.files.request(record.key.uid)  # labels and annotations may be files too

    def _updated(
        self,
        record: Record,
        raw: Json,
        changed: Collection[str],
        status: PodStatus | None,
        asked: float,
    ) -> None:
        keeps = not is_spec_change(changed) or is_pending(record.last_update, changed)
        record.updated(
            raw,
            allocated_after(record.allocated, changed, raw),
            None if keeps else UPDATE_ACCEPTED,
        )
        if RESOURCES & set(changed):
            self.preparation.reserve(raw, anew=True)
        record.answered(status, asked, _clock())
        log.info("pod updated", extra={"pod": str(record.key), "uid": record.key.uid})

    def _refuses_resize(self, record: Record, raw: Json) -> bool:
        """Return whether the node has no room for a pod's new resources, and note why."""
        rejection = self.preparation.resize_rejection(record.key, raw)
        if rejection is None:
            return False
        condition, applied = resize_condition(rejection), record.applied
        if rejection.reason != INFEASIBLE:
            record.resize_deferred(condition, _clock())
        else:  # the next step applies what else changed
            rest = None if applied is None else with_resources(applied, raw)
            record.resize_refused(raw, condition, rest)
        return True

    async def _delete(self, record: Record, grace_period: float) -> None:
        """Ask the provider to end the workload; the next call comes with backoff."""
        asked, began = record.status_updated_at, _clock()
        if record.delete_grace is None and record.pod is not None:
            for container in spec_of(record.pod).get("containers") or ():
                text = f"Stopping container {container['name']}"
                self.emit(record.key, "Normal", "Killing", text)
        record.delete_requested(grace_period)
        ended = all_ended(record)
        try:
            status = await self.gateway.delete_pod(record.key, grace_period=grace_period)
        except NotFoundError:
            self.gone(record)
        except LeaseNotHeldError as error:
            record.delete_refused(_clock(), error.retry_after)
        except ProviderError as error:
            self.emit(record.key, "Warning", "ProviderDeleteFailed", str(error))
            slow = None if isinstance(error, TemporaryError) else record.backoff.next() + 5.0
            record.delete_refused(_clock(), slow or _hint(error))
        except Exception as error:  # noqa: BLE001 # one bad pod hurts only itself
            self._report_unknown(record, "delete", error)
            record.delete_refused(_clock())
        else:
            record.delete_accepted(grace_period, began, _clock(), ended=ended)
            record.answered(status, asked, _clock())
            if status is None and not ended:
                await self._look_up(record)

    async def _look_up(self, record: Record) -> None:
        """Ask for this pod directly, or for a list where the provider has no direct look-up."""
        asked = record.status_updated_at
        try:
            statuses = await self.gateway.get_pods((record.key,))
        except UnsupportedError:
            self.list_requested.set()
            if record.provider_state is ProviderState.UNCERTAIN:
                record.retry_later(_clock(), LIST_WAIT)
        except Exception as error:  # noqa: BLE001 # a failed look-up means unknown, never absent
            log.info("look-up failed", extra={"pod": str(record.key), "error": repr(error)})
            record.retry_later(_clock(), _hint(error), unreachable=True)
        else:
            if statuses:
                record.found(statuses[0], asked, _clock())
            else:
                self.gone(record)

    def gone(self, record: Record) -> None:
        """Note proof that the provider holds nothing for this pod."""
        record.gone(_clock())
        self.preparation.release(record.key)

    def adopt(self, record: Record) -> None:
        """Take over a pod that an earlier process gave to the provider."""
        record.adopted()
        assert record.pod is not None
        if not is_final(record.pod):
            self.preparation.reserve(with_allocated(record.pod, record.allocated))

    def _report_unknown(
        self, record: Record, verb: str, error: Exception, pod: Pod | None = None
    ) -> None:
        """Report a call whose outcome is not known, with what the provider raised."""
        cause = error.__cause__ if isinstance(error, OutcomeUnknownError) else error
        shown = error_text(cause or error, pod, self.gateway.config)
        if isinstance(error, OutcomeUnknownError) and isinstance(cause, TimeoutError):
            shown = str(error)
        extra = {"pod": str(record.key), "uid": record.key.uid, "call": verb}
        log.error("outcome of a call is unknown", exc_info=cause, extra=extra)
        text = f"the provider's {verb} failed ({shown}); its outcome is unknown"
        self.emit(record.key, "Warning", f"Provider{verb.capitalize()}Failed", text)

    # From the record to the API server.

    def _status_patch(self, record: Record) -> dict[str, Any] | None:
        """Return the status patch that the pod needs now."""

        def make(pod: Json, facts: StatusFacts) -> dict[str, Any] | None:
            status = desired(pod, facts, now(), host_ips=self.host_ips())
            digest = {APPLIED: record.digest} if record.digest else {}
            return difference(pod, status, record.annotations, beside=digest)

        return record.status_patch(make)

    async def _write_status(self, record: Record) -> ClusterError | None:
        """Write the status if it still differs; return why it could not be written."""
        async with self._limits["status"]:
            patch = self._status_patch(record)  # it may have changed while this waited
            if patch is None or record.pod is None:
                return None
            before, inputs = record.pod, record.status_inputs()
            try:
                answer = await self.writer.write(record.key, before, patch)
            except ClusterError as error:
                return error
        if answer is None:
            record.object_gone()
        else:
            record.status_written(before, answer, inputs)
        if record.pod is not None and is_final(record.pod):
            self.preparation.release(record.key)
        return None

    async def _remove_object(self, record: Record) -> None:
        if await self.writer.remove(record.key):
            record.object_removed()
        else:
            record.object_gone()


def _hint(error: Exception) -> float | None:
    """Return after how many seconds the provider wants to be called again; None: no matter."""
    return error.retry_after if isinstance(error, TemporaryError) else None
