"""Carries out one decision: the only caller of the provider's pod methods.

What a provider raised becomes a note in the record (the table in design 4), never an exception:
`vk.pods.sync.reconciler` decides again from there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from datetime import timedelta
from math import inf, isfinite

import attrs

from vk.errors import (
    ClusterError,
    NotFoundError,
    PermanentError,
    ProviderError,
    TemporaryError,
    UnsupportedError,
)
from vk.models.pod import Json, Pod
from vk.models.status import PodStatus
from vk.models.time import format_time, now
from vk.pods.admission import INFEASIBLE
from vk.pods.errors import NotReadyError, RefusedError
from vk.pods.status.conditions import ACCEPTED
from vk.pods.sync.changes import granted, is_pending, matters, no_room, refused, with_resources
from vk.pods.sync.create_limit import CreateBudget
from vk.pods.sync.decide import RESOURCES
from vk.pods.sync.failure_rate import Refusals
from vk.pods.sync.gateway import Timed, untimed
from vk.pods.sync.prepare import Preparation
from vk.pods.sync.records import Accepted, Held, Record, Verdict
from vk.provider import Emit, Provider

__all__ = ["Act"]

log = logging.getLogger(__name__)

LIST_WAIT = 10.0
"""Seconds until a list that settles an unknown outcome is asked for again."""


def _clock() -> float:
    return asyncio.get_running_loop().time()


@attrs.define(eq=False, kw_only=True)
class Act:
    """One method a decision. Each returns when the step is over and never raises for one pod."""

    provider: Provider
    prepare: Preparation
    refusals: Refusals
    budget: CreateBudget
    check_lease: Callable[[], None]
    emit: Emit
    ask_list: Callable[[], None]
    """Wants a complete list soon."""
    created: Callable[[Record, Pod], None]
    """Told of every pod that the provider took, as it was given."""
    timed: Timed = untimed

    async def create(self, record: Record) -> None:
        """Give the pod to the provider, or note why not."""
        if record.pod is None:
            return
        raw, before = record.pod, record.said_at
        try:
            pod = await self.prepare.pod(record.key, raw)
            self._check_lease()
            self._spend()
            async with self.timed("create_pod", self.provider.create_timeout):
                status = await self.provider.create_pod(pod)
        except NotReadyError as error:
            self._wait(record, error.reason, str(error), error.retry_after, error.within)
        except RefusedError as error:
            self._refuse(record, error.reason, str(error))
        except PermanentError as error:
            self.prepare.release(record.key)
            self._refuse(record, error.reason, str(error), event="ProviderCreateFailed")
        except UnsupportedError as error:
            self.prepare.release(record.key)
            self._refuse(record, "Unsupported", str(error), event="ProviderCreateFailed")
        except (TemporaryError, NotFoundError) as error:
            hint = error.retry_after if isinstance(error, TemporaryError) else None
            self.emit(record.key, "Warning", "ProviderCreateFailed", str(error))
            self._wait(record, "ProviderFailed", str(error), hint)
        except ClusterError as error:
            self._wait(record, "CreateContainerConfigError", str(error), error.retry_after)
        except Exception as error:  # noqa: BLE001 # whatever provider code raises hurts one pod only
            self._unknown(record, "create", error)
            record.take(raw)
            record.hold(Held.UNCERTAIN, _clock())
            record.held_since = _clock()
        else:
            self._created(record, pod, status, before)

    def _spend(self) -> None:
        seconds = self.budget.wait(_clock())
        if seconds:
            text, reason = "the node's limit of creates a minute is reached", "CreateRateLimited"
            raise NotReadyError(text, reason=reason, retry_after=seconds, within=seconds)

    def _check_lease(self) -> None:
        try:
            self.check_lease()
        except TemporaryError as error:  # nothing that the provider did
            raise NotReadyError(
                str(error), reason="LeaseNotHeld", retry_after=error.retry_after
            ) from None

    def _created(self, record: Record, pod: Pod, status: PodStatus | None, before: float) -> None:
        record.take(pod.raw)
        if record.said_at == before:  # else the feed knows better what came of it
            record.hold(Held.PRESENT, _clock())
            record.problem, record.unplaced, record.retry_at = None, False, 0.0
        self._heard(record, status, before)
        self.created(record, pod)
        if status is None:
            self.ask_list()
        log.info("pod created", extra={"pod": str(record.key), "uid": record.key.uid})

    async def update(self, record: Record, changed: Collection[str]) -> None:
        """Tell the provider what changed; a refusal is said once and counts as settled."""
        if record.pod is None:
            return
        raw, before = record.pod, record.said_at
        if RESOURCES & set(changed) and not self._fits(record, raw):
            return
        try:
            pod = await self.prepare.changed(record.key, raw, changed)
            self._check_lease()
            async with self.timed("update_pod", self.provider.update_timeout):
                status = await self.provider.update_pod(pod, frozenset(changed))
        except (UnsupportedError, PermanentError) as error:
            self._settle(record, raw)
            if matters(changed):
                record.last_update = refused(changed, error)
                self.emit(record.key, "Warning", "ProviderUpdateFailed", str(error))
        except NotReadyError as error:
            self._later(record, error.retry_after, error.within)
        except ClusterError as error:
            self._later(record, error.retry_after)
        except (TemporaryError, NotFoundError) as error:
            hint = error.retry_after if isinstance(error, TemporaryError) else None
            self.emit(record.key, "Warning", "ProviderUpdateFailed", str(error))
            self._later(record, hint)
        except Exception as error:  # noqa: BLE001 # whatever provider code raises hurts one pod only
            self._unknown(record, "update", error)
        else:
            self._settle(record, raw)
            record.granted = granted(record.granted, changed, raw)
            if RESOURCES & set(changed):
                self.prepare.occupy(raw, anew=True)
            if matters(changed) and not is_pending(record.last_update, changed):
                record.last_update = ACCEPTED
            self._heard(record, status, before)
            log.info("pod updated", extra={"pod": str(record.key), "uid": record.key.uid})

    def _fits(self, record: Record, raw: Json) -> bool:
        """Say whether the node has room for a pod's new resources; note why not."""
        problem = self.prepare.resize_problem(record.key, raw)
        if problem is None:
            return True
        record.last_update = no_room(problem)
        if problem.reason != INFEASIBLE:
            self._later(record, None)
        elif record.accepted is not None:  # what else changed is told in the next step
            record.accepted = with_resources(record.accepted, raw)
            if record.accepted == Accepted.of(raw):
                self._settle(record, raw)
        return False

    def _settle(self, record: Record, raw: object) -> None:
        assert isinstance(raw, dict)
        record.accepted = Accepted.of(raw)
        record.observed_generation = int(raw["metadata"].get("generation") or 0)
        record.retry_at = 0.0
        record.backoff.reset()

    async def delete(self, record: Record, grace_period: float) -> None:
        """Ask the provider to end the workload; the next call comes with backoff."""
        before = record.said_at
        if record.delete_grace is None and record.pod is not None:
            for container in (record.pod.get("spec") or {}).get("containers") or ():
                text = f"Stopping container {container['name']}"
                self.emit(record.key, "Normal", "Killing", text)
        began, record.delete_tried = _clock(), grace_period
        try:
            self._check_lease()
            async with self.timed("delete_pod", self.provider.delete_timeout):
                status = await self.provider.delete_pod(record.key, grace_period=grace_period)
        except NotFoundError:
            self.absent(record)
        except NotReadyError as error:
            record.failed_delete = True
            self._later(record, error.retry_after)
        except TemporaryError as error:
            record.failed_delete = True
            self.emit(record.key, "Warning", "ProviderDeleteFailed", str(error))
            self._later(record, error.retry_after)
        except ProviderError as error:
            record.failed_delete = True
            self.emit(record.key, "Warning", "ProviderDeleteFailed", str(error))
            self._later(record, record.backoff.next() + 5.0)
        except Exception as error:  # noqa: BLE001 # whatever provider code raises hurts one pod only
            record.failed_delete = True
            self._unknown(record, "delete", error)
        else:
            if record.delete_grace is None:
                record.backoff.reset()
            record.delete_grace, record.deleted_at, record.failed_delete = (
                grace_period,
                began,
                False,
            )
            record.retry_at = _clock() + grace_period + 5.0 + record.backoff.next()
            self._heard(record, status, before)
            if status is None:
                await self.look(record)

    async def look(self, record: Record) -> None:
        """Ask for this pod directly, or for a list where the provider has no direct look-up."""
        before = record.said_at
        try:
            async with self.timed("get_pods", self.provider.get_timeout):
                statuses = await self.provider.get_pods((record.key,))
        except UnsupportedError:
            self.ask_list()
            if record.held is Held.UNCERTAIN:
                record.retry_at = _clock() + LIST_WAIT
        except Exception as error:  # noqa: BLE001 # a failed look means unknown, never absent
            log.info("look-up failed", extra={"pod": str(record.key), "error": repr(error)})
            hint = error.retry_after if isinstance(error, TemporaryError) else None
            self._later(record, hint)
        else:
            if statuses:
                record.hold(Held.PRESENT, _clock())
                self._heard(record, statuses[0], before)
            else:
                self.absent(record)

    def absent(self, record: Record) -> None:
        """Note proof that the provider holds nothing for this pod."""
        if record.held is Held.UNCERTAIN:
            record.accepted = None  # it never was
        record.hold(Held.ABSENT, _clock())
        record.retry_at = 0.0
        self.prepare.release(record.key)

    def _heard(self, record: Record, status: PodStatus | None, before: float) -> None:
        if status is not None and record.said_at == before:  # else the feed said something newer
            record.say(status)
            record.said_at = _clock()

    def _wait(
        self,
        record: Record,
        reason: str,
        message: str,
        hint: float | None,
        within: float = inf,
    ) -> None:
        self.prepare.release(record.key)
        record.hold(Held.ABSENT, _clock())
        self._later(record, hint, within)
        seconds = record.retry_at - _clock()
        if isfinite(seconds) and within == inf:  # to say each of many looks would be many writes
            at = format_time(now() + timedelta(seconds=seconds))
            message = f"{message}; next try at {at}"
        record.problem = (reason, message)

    def _later(self, record: Record, hint: float | None, within: float = inf) -> None:
        record.retry_at = _clock() + record.wait(hint, within)

    def _refuse(self, record: Record, reason: str, message: str, *, event: str = "Failed") -> None:
        wait = self.refusals.wait(record.pod or {"metadata": {}}, reason, _clock())
        if wait:
            self._wait(record, reason, message, wait)
            return
        record.hold(Held.ABSENT, _clock())
        record.verdict = Verdict(reason, message)
        record.problem = None
        self.emit(record.key, "Warning", event, message)
        log.info("pod refused", extra={"pod": str(record.key), "error": message})

    def _unknown(self, record: Record, verb: str, error: Exception) -> None:
        """An outcome that did not come back: the text may hold anything, so only the log has it."""
        what = "took too long" if isinstance(error, TimeoutError) else type(error).__name__
        text = f"the provider's {verb} failed ({what}); its outcome is unknown"
        extra = {"pod": str(record.key), "uid": record.key.uid, "call": verb}
        log.error("outcome of a call is unknown", exc_info=error, extra=extra)
        self.emit(record.key, "Warning", f"Provider{verb.capitalize()}Failed", text)
        self._later(record, None)
