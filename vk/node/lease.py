"""The node's lease: only the process that holds it acts for the node.

In: a Client of its own, so that pod traffic never delays a renewal. Out: `Lease.check`, asked
before every change at the provider. Driven by `kubelet.py`. All waiting is measured on the loop's
monotonic clock: the times in the object are only compared for change, never with our clock. A write
counts from the moment it was *sent*, and only if its answer came.

That clock stands still while the machine is suspended, when others may take the lease. So the time
of a suspension counts for `Lease.check`; the next renewal finds out who holds the lease now.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs

from vk.aio.backoff import Backoff
from vk.cluster.client import Client
from vk.cluster.resources import LEASES
from vk.errors import ClusterError, ConflictError, ObjectNotFoundError, TemporaryError
from vk.models.pod import Json
from vk.models.time import parse_time

__all__ = ["Lease", "LeaseLostError"]

log = logging.getLogger(__name__)

NAMESPACE = "kube-node-lease"
_RELEASE_TIMEOUT = 5.0
_TRIES = 3
_LOOK = 1.0  # s between two looks of a standby: that late it sees that the lease was given back


class LeaseLostError(ClusterError):
    """This process may no longer act for the node: its term is over."""


@attrs.define(eq=False)
class Lease:
    """One node's lease, wanted or held by ``identity``; ``duration`` in seconds."""

    client: Client
    node_name: str = attrs.field(kw_only=True)
    identity: str = attrs.field(kw_only=True)
    duration: float = attrs.field(kw_only=True)
    holder: str = attrs.field(default="", init=False)
    """The holder when the lease was last read; empty: none."""
    _object: Json | None = attrs.field(default=None, init=False)
    _owner: str = attrs.field(default="", init=False)
    _sent: float | None = attrs.field(default=None, init=False)
    _slept: float = attrs.field(default=0.0, init=False)
    """What `_suspended` was at `_sent`."""
    _clock: Callable[[], float] = attrs.field(default=lambda: 0.0, init=False)

    async def acquire(self) -> None:
        """Wait until this process holds the lease; cancel it to give up.

        A missing or empty lease and one of our own identity are taken at once, another's when it
        was observed unchanged for its whole duration.
        """
        self._clock = asyncio.get_running_loop().time
        backoff = Backoff(first=self.duration / 60, cap=self.duration / 5)
        seen: object = None
        since = 0.0
        while self._sent is None:
            try:
                async with asyncio.timeout(self.duration):
                    current = await self._read()
                    observed = _mark(current)
                    self.holder = _holder(current) if current is not None else ""
                    if observed != seen:
                        seen, since = observed, self._clock()
                        self._log_holder(current)
                    remaining = since + self._patience(current) - self._clock()
                    if remaining <= 0:
                        await self._write(current)
                        return
                backoff.reset()
                await asyncio.sleep(min(remaining, self.duration / 10, _LOOK))
            except ConflictError:
                await asyncio.sleep(backoff.next())
            except (ClusterError, TimeoutError) as error:
                log.warning("cannot reach the node's lease", extra=self._extra(error))
                await asyncio.sleep(backoff.next())

    async def run(self) -> None:
        """Renew until cancelled: every third of the duration, after a failure every fifteenth.

        Raises LeaseLostError when another process holds the lease, or when no renewal worked for a
        whole duration.
        """
        wait = self.duration / 3
        while True:
            await asyncio.sleep(max(0.0, min(wait, self._left())))
            if self._left() <= 0:
                raise self._lost("no renewal worked for its whole duration")
            try:
                async with asyncio.timeout(min(self.duration / 3, self._left())):
                    await self._renew()
                wait = self.duration / 3
            except LeaseLostError:
                raise
            except (ClusterError, TimeoutError) as error:
                log.warning("cannot renew the node's lease", extra=self._extra(error))
                wait = self.duration / 15

    def check(self) -> None:
        """Raise TemporaryError unless a renewal sent in the last 2/3 of the duration worked.

        Never blocks, and may be called from any thread.
        """
        age = math.inf if self._sent is None else self._clock() - self._sent
        if age + _suspended() - self._slept > self.duration * 2 / 3:
            raise TemporaryError(f"the lease of node {self.node_name} may have expired")

    def owner(self, uid: str) -> None:
        """Name the Node's ``uid`` as the lease's owner, from the next renewal on."""
        self._owner = uid

    async def release(self) -> None:
        """Give the lease back, so that a successor need not wait; raises nothing but cancellation.

        Call it after `run` has ended. Does nothing where the lease is not held.
        """
        if self._sent is None:
            return
        self._sent = None
        try:
            async with asyncio.timeout(_RELEASE_TIMEOUT):
                await self._empty()
        except ObjectNotFoundError:
            return
        except (ClusterError, TimeoutError) as error:
            log.warning("cannot release the node's lease", extra=self._extra(error))

    async def _read(self) -> Json | None:
        try:
            return await self.client.get(LEASES, self.node_name, namespace=NAMESPACE)
        except ObjectNotFoundError:
            return None

    async def _write(self, current: Json | None) -> None:
        """Hold the lease, given what was read; ConflictError when it changed since."""
        sent, slept = self._clock(), _suspended()
        body = self._body(current)
        if current is None:
            self._object = await self.client.create(LEASES, body, namespace=NAMESPACE)
        else:
            self._object = await self.client.replace(
                LEASES, self.node_name, body, namespace=NAMESPACE
            )
        self._sent, self._slept, self.holder = sent, slept, self.identity

    async def _renew(self) -> None:
        current = self._object
        for _ in range(_TRIES):
            try:
                await self._write(current)
                return
            except (ConflictError, ObjectNotFoundError):
                current = await self._read()
                if current is not None and _holder(current) not in ("", self.identity):
                    self.holder = _holder(current)
                    raise self._lost(f"{self.holder} holds it") from None
        raise ConflictError(f"lease of node {self.node_name} changed {_TRIES} times while renewing")

    async def _empty(self) -> None:
        current = self._object
        for _ in range(_TRIES):
            if current is None or _holder(current) != self.identity:
                return
            body = {**current, "spec": {**current["spec"], "holderIdentity": ""}}
            try:
                await self.client.replace(LEASES, self.node_name, body, namespace=NAMESPACE)
                return
            except ConflictError:
                current = await self._read()

    def _body(self, current: Json | None) -> Json:
        old = current or {}
        spec = dict(old.get("spec") or {})
        moment = _renewal(parse_time(spec.get("renewTime")))
        if spec.get("holderIdentity") != self.identity:
            spec["acquireTime"] = moment
            spec["leaseTransitions"] = (
                int(spec.get("leaseTransitions") or 0) + 1 if current is not None else 0
            )
        spec["holderIdentity"] = self.identity
        spec["leaseDurationSeconds"] = math.ceil(self.duration)
        spec["renewTime"] = moment
        metadata = {**(old.get("metadata") or {})}
        metadata.update(name=self.node_name, namespace=NAMESPACE)
        if self._owner:
            metadata["ownerReferences"] = [
                {"apiVersion": "v1", "kind": "Node", "name": self.node_name, "uid": self._owner}
            ]
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }

    def _patience(self, current: Json | None) -> float:
        """Seconds for which ``current`` must stay as it is before it may be taken."""
        if current is None or _holder(current) in ("", self.identity):
            return 0.0
        return float(current["spec"].get("leaseDurationSeconds") or math.ceil(self.duration))

    def _left(self) -> float:
        return -math.inf if self._sent is None else self._sent + self.duration - self._clock()

    def _lost(self, why: str) -> LeaseLostError:
        self._sent = None
        return LeaseLostError(f"lost the lease of node {self.node_name}: {why}")

    def _log_holder(self, current: Json | None) -> None:
        if current is not None and self._patience(current) > 0:
            extra = {"node": self.node_name, "holder": _holder(current)}
            log.info("another process holds the node's lease", extra=extra)

    def _extra(self, error: BaseException) -> dict[str, str]:
        return {"node": self.node_name, "error": repr(error)}


def _suspended() -> float:
    """Return the seconds that the machine was suspended since boot; 0 where that is unknown."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    now = time.clock_gettime
    return 0.0 if boot is None else now(boot) - now(time.CLOCK_MONOTONIC)


def _holder(lease: Json) -> str:
    return (lease.get("spec") or {}).get("holderIdentity") or ""


def _mark(lease: Json | None) -> object:
    """What a living holder changes with every renewal."""
    if lease is None:
        return "missing"
    metadata, spec = lease["metadata"], lease.get("spec") or {}
    return (metadata.get("uid"), metadata.get("resourceVersion"), spec.get("renewTime"))


def _renewal(seen: datetime | None) -> str:
    """The node controller counts only renewals that move forward, even by one microsecond."""
    moment = datetime.now(UTC)
    if seen is not None:
        moment = max(moment, seen + timedelta(microseconds=1))
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
