"""The node's lease: only the replica that holds it acts for the node.

In: a Client of its own, so that pod traffic never delays a renewal. Out: `Lease.check`, asked
before every change at the provider. Driven by `kubelet.py`.

The lease is a kubelet's: ``holderIdentity`` is the node's name. Which replica holds it stands in
the annotation `REPLICA`, written in the same update, with the resourceVersion as precondition: of
two replicas one is refused. The annotation is empty once the lease was released, and missing where
the holder is a kubelet or an older version: that lease is waited out in full.

A replica that cannot renew is *fenced*: `Lease.check` raises, and all goes on when a renewal works.
It has *lost* the lease when another replica is, or was, its holder. ``leaseTransitions`` rises with
each change of replica, so it shows that too.

All waiting is measured on the loop's monotonic clock: the times in the object are only compared for
change, never with our clock. A write counts from the moment it was *sent*, and only if its answer
came. That clock stands still while the machine is suspended, when others may take the lease. So the
time of a suspension counts for `Lease.check`; the next renewal finds out who holds the lease now.
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

__all__ = ["Lease", "LeaseLostError", "replica_of"]

log = logging.getLogger(__name__)

NAMESPACE = "kube-node-lease"
REPLICA = "virtual-kubelet.io/replica"
"""Annotation of a lease: the replica that holds it."""
_RELEASE_TIMEOUT = 5.0
_TRIES = 3
_LOOK = 1.0  # s between two looks of a standby: that late it sees that the lease was given back


class LeaseLostError(ClusterError):
    """This process may no longer act for the node: its term is over."""


class _OtherHolderError(ClusterError):
    """The lease names no replica: its holder is a kubelet or an older version."""


def replica_of(lease: Json) -> str | None:
    """Return the replica that holds ``lease``: empty where it was released.

    None: the holder is a kubelet or an older version, which name no replica.
    """
    metadata, holder = lease["metadata"], _holder(lease)
    if not holder:
        return ""
    if holder != metadata["name"]:
        return None
    replica: str | None = (metadata.get("annotations") or {}).get(REPLICA)
    return replica


@attrs.define(eq=False)
class Lease:
    """One node's lease, wanted or held by the replica ``identity``; ``duration`` in seconds."""

    client: Client
    node_name: str = attrs.field(kw_only=True)
    identity: str = attrs.field(kw_only=True)
    duration: float = attrs.field(kw_only=True)
    holder: str = attrs.field(default="", init=False)
    """The holder when the lease was last read, a replica's name where it has one; empty: none."""
    _object: Json | None = attrs.field(default=None, init=False)
    """The lease as this replica wrote it last; None: this replica does not hold it."""
    _owner: str = attrs.field(default="", init=False)
    _fenced_at: float = attrs.field(default=-math.inf, init=False)
    """When the lease may have expired; later with each renewal that works."""
    _slept: float = attrs.field(default=0.0, init=False)
    """What `_suspended` was when the last renewal was sent."""
    _seen: tuple[object, float] = attrs.field(default=("", 0.0), init=False)
    """What another holder wrote last, and since when it is known."""
    _renewed: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _clock: Callable[[], float] = attrs.field(default=lambda: 0.0, init=False)

    async def acquire(self) -> None:
        """Wait until this process holds the lease; cancel it to give up.

        A missing or released lease and one of our own identity are taken at once, another's when it
        was observed unchanged for its whole duration.
        """
        self._clock = asyncio.get_running_loop().time
        self._seen = ("", 0.0)
        backoff = Backoff(first=self.duration / 60, cap=self.duration / 5)
        while True:
            try:
                async with asyncio.timeout(self.duration):
                    remaining = await self._take()
                if remaining <= 0:
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

        Raises LeaseLostError when another replica holds the lease, or held it in between. A lease
        that cannot be renewed is only fenced, however long that lasts.
        """
        wait = self.duration / 3
        while True:
            await asyncio.sleep(wait)
            try:
                async with asyncio.timeout(self.duration / 3):
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
        if self._clock() + _suspended() - self._slept > self._fenced_at:
            raise TemporaryError(f"the lease of node {self.node_name} may have expired")

    async def fenced_for(self, seconds: float) -> None:
        """Return once `check` would have raised for ``seconds`` without a break."""
        while (left := self._fenced_at + seconds - self._clock()) > 0:  # noqa: ASYNC110 # a renewal moves the end of the wait
            await asyncio.sleep(left)

    async def renewed(self) -> None:
        """Return once the next renewal has worked."""
        self._renewed.clear()
        await self._renewed.wait()

    def owner(self, uid: str) -> None:
        """Name the Node's ``uid`` as the lease's owner, from the next renewal on."""
        self._owner = uid

    async def release(self) -> None:
        """Give the lease back, so that a successor need not wait; raises nothing but cancellation.

        Call it after `run` has ended. Does nothing where the lease is not held.
        """
        current, self._object, self._fenced_at = self._object, None, -math.inf
        try:
            async with asyncio.timeout(_RELEASE_TIMEOUT):
                await self._empty(current)
        except ObjectNotFoundError:
            return
        except (ClusterError, TimeoutError) as error:
            log.warning("cannot release the node's lease", extra=self._extra(error))

    async def _read(self) -> Json | None:
        try:
            return await self.client.get(LEASES, self.node_name, namespace=NAMESPACE)
        except ObjectNotFoundError:
            return None

    async def _take(self) -> float:
        """Take the lease where that is allowed; return the seconds until it may be, 0 if taken."""
        current = await self._read()
        remaining = self._observe(current)
        if remaining <= 0:
            await self._write(current)
        return remaining

    def _observe(self, current: Json | None) -> float:
        """Return the seconds for which what was read must stay so before it may be taken."""
        self.holder = "" if current is None else replica_of(current) or _holder(current)
        mark, since = _mark(current), self._clock()
        if mark == self._seen[0]:
            since = self._seen[1]
        elif self._patience(current):
            extra = {"node": self.node_name, "holder": self.holder}
            log.info("another process holds the node's lease", extra=extra)
        self._seen = mark, since
        return since + self._patience(current) - self._clock()

    def _patience(self, current: Json | None) -> float:
        if current is None or replica_of(current) in ("", self.identity):
            return 0.0
        return float(current["spec"].get("leaseDurationSeconds") or math.ceil(self.duration))

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
        self._fenced_at, self._slept = sent + self.duration * 2 / 3, slept
        self.holder = self.identity
        self._renewed.set()

    async def _renew(self) -> None:
        current = self._object
        for _ in range(_TRIES):
            try:
                await self._write(current)
                return
            except (ConflictError, ObjectNotFoundError):
                current = await self._read()
                if current is not None:
                    self._check_holder(current)
        raise ConflictError(f"lease of node {self.node_name} changed {_TRIES} times while renewing")

    def _check_holder(self, current: Json) -> None:
        """Raise where the lease that was read is not this replica's, and fence it.

        LeaseLostError: another replica holds it or held it. _OtherHolderError: its holder is no
        replica, and has not yet been silent for its whole duration.
        """
        replica = replica_of(current)
        if replica is None:
            self._fenced_at = min(self._fenced_at, self._clock())
            if self._observe(current) > 0:
                raise _OtherHolderError(f"{_holder(current)} holds it without naming a replica")
        elif replica != self.identity or _term(current) != _term(self._object):
            self.holder, self._object, self._fenced_at = replica, None, -math.inf
            text = f"{replica} holds it" if replica else "another replica held it"
            raise LeaseLostError(f"lost the lease of node {self.node_name}: {text}")

    async def _empty(self, current: Json | None) -> None:
        for _ in range(_TRIES):
            if current is None or replica_of(current) != self.identity:
                return
            metadata = dict(current["metadata"])
            metadata["annotations"] = {**metadata["annotations"], REPLICA: ""}
            body = {**current, "metadata": metadata}
            try:
                await self.client.replace(LEASES, self.node_name, body, namespace=NAMESPACE)
                return
            except ConflictError:
                current = await self._read()

    def _body(self, current: Json | None) -> Json:
        old = current or {}
        spec = dict(old.get("spec") or {})
        moment = _renewal(parse_time(spec.get("renewTime")))
        if current is None or replica_of(current) != self.identity:
            spec["acquireTime"] = moment
            transitions = int(spec.get("leaseTransitions") or 0)
            spec["leaseTransitions"] = 0 if current is None else transitions + 1
        spec["holderIdentity"] = self.node_name
        spec["leaseDurationSeconds"] = math.ceil(self.duration)
        spec["renewTime"] = moment
        metadata = {**(old.get("metadata") or {})}
        annotations = {**(metadata.get("annotations") or {}), REPLICA: self.identity}
        metadata.update(name=self.node_name, namespace=NAMESPACE, annotations=annotations)
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

    def _extra(self, error: BaseException) -> dict[str, str]:
        return {"node": self.node_name, "error": repr(error)}


def _suspended() -> float:
    """Return the seconds that the machine was suspended since boot; 0 where that is unknown."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    now = time.clock_gettime
    return 0.0 if boot is None else now(boot) - now(time.CLOCK_MONOTONIC)


def _holder(lease: Json) -> str:
    return (lease.get("spec") or {}).get("holderIdentity") or ""


def _term(lease: Json | None) -> object:
    """Return what changes with each change of replica."""
    return lease and (lease["metadata"].get("uid"), lease["spec"].get("leaseTransitions"))


def _mark(lease: Json | None) -> object:
    """Return what a living holder changes with every renewal."""
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
