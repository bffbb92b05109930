"""Service-account tokens of pods, by TokenRequest: bound to the pod, renewed in time.

In: a pod and the token that its volume needs. Out: the token's text. A token grants the rights of
an identity, so before each request the pod is read live (`Bindings`), never from a cache: it must
still be this pod, bound to this node. The request names its UID, so that a later pod of that name
gets none. Tokens are kept in memory for as long as their pod, and nowhere else.
"""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from math import inf
from typing import Any

import attrs

from vk.cluster.client import Client
from vk.cluster.resources import PODS, SERVICE_ACCOUNTS
from vk.errors import ClusterError
from vk.models.api_object import spec_of
from vk.models.keys import PodKey
from vk.models.pod import Json
from vk.models.time import parse_time
from vk.pods.errors import NotReadyError
from vk.pods.resolve.volumes import TokenNeed

__all__ = ["FRESH", "MANY", "Bindings", "Tokens"]

FRESH = 1.0
"""Seconds for which a list is used again. A pod of some UID never moves to another node."""
MANY = 12
"""Number of simultaneous checks from which a list is tried. Renewals are fewer at a time."""
_RENEW_AT = 0.8
"""Part of its lifetime after which a token is renewed, as the kubelet does."""
_LONGEST = 24 * 3600.0
"""Seconds after which it is renewed in any case."""
_JITTER = 10.0
"""Seconds at most by which it is renewed earlier, so that pods that started together spread."""


@attrs.define(eq=False, kw_only=True)
class Bindings:
    """Checks by live reads whether pods are bound to this node.

    Where many pods start at once, one list of those that are pending on this node serves all
    checks: a read of one pod costs the API server and this process 0.8 ms of CPU together, 100 pods
    in a list 9.
    """

    client: Client
    node_name: str
    _waiting_checks: int = attrs.field(default=0, init=False)
    _checks: int = attrs.field(default=0, init=False)
    """Number of checks since the last list."""
    _listed: frozenset[str] = attrs.field(default=frozenset(), init=False)
    """UIDs in the last list."""
    _list_valid_until: float = attrs.field(default=-inf, init=False)
    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)

    async def is_here(self, key: PodKey) -> bool:
        """Return whether the API server has this pod, of this UID, on this node.

        Raises ClusterError if the request fails, also where there is no such pod. Repeatable; may
        be cancelled.
        """
        self._waiting_checks += 1
        try:
            if await self._is_listed(key.uid):
                return True
            pod = await self.client.get(PODS, key.name, namespace=key.namespace)
        finally:
            self._waiting_checks -= 1
        bound = spec_of(pod).get("nodeName") == self.node_name
        return bound and pod["metadata"]["uid"] == key.uid

    async def _is_listed(self, uid: str) -> bool:
        """Return whether the last list, or a new one if that is worthwhile, has the pod."""
        clock = asyncio.get_running_loop().time
        async with self._lock:  # a waiting check uses the list of the one before
            self._checks += 1
            known = uid in self._listed and clock() < self._list_valid_until
            if known or self._waiting_checks < MANY or not self._is_list_worthwhile():
                return known
            self._checks = 0
            pending = f"spec.nodeName={self.node_name},status.phase=Pending"
            found = await self.client.list(PODS, field_selector=pending, metadata_only=True)
            self._listed = frozenset(pod["metadata"]["uid"] for pod in found.items)
            self._list_valid_until = clock() + FRESH
            return uid in self._listed

    def _is_list_worthwhile(self) -> bool:
        """Return whether there were enough checks since the last list, successful or not.

        Another list then costs a fifth of as many reads, even if it serves no check.
        """
        return self._checks >= max(MANY, len(self._listed) // 2)


@attrs.frozen
class _Token:
    text: str = attrs.field(repr=False)
    renew_at: float
    ends_at: float


@attrs.define(eq=False, kw_only=True)
class Tokens:
    """Requests tokens and keeps them until it is time to renew them."""

    client: Client
    bindings: Bindings
    _kept: dict[str, dict[TokenNeed, _Token]] = attrs.field(factory=dict, init=False, repr=False)
    _locks: dict[str, asyncio.Lock] = attrs.field(factory=dict, init=False, repr=False)

    async def get(self, key: PodKey, raw: Json, need: TokenNeed) -> str:
        """Return a token of the pod's service account; the same one until it must be renewed.

        Raises NotReadyError if the API server refuses, or if the pod is not (any longer) bound to
        this node. After a failed renewal the old token is returned until it expires.
        """
        lock = self._locks.setdefault(key.uid, asyncio.Lock())
        async with lock:
            now = asyncio.get_running_loop().time()
            kept = self._kept.get(key.uid, {}).get(need)
            if kept is not None and now < kept.renew_at:
                return kept.text
            try:
                if not await self.bindings.is_here(key):
                    node = self.bindings.node_name
                    text = f"no service-account token: pod {key} is not one of node {node}"
                    raise NotReadyError(text, reason="FailedMount")
                token = await self._request(key, raw, need)
            except ClusterError as error:
                if kept is not None and now < kept.ends_at:
                    return kept.text
                text = f"no service-account token: {error}"
                raise NotReadyError(
                    text, reason="FailedMount", retry_after=error.retry_after
                ) from None
            if self._locks.get(key.uid) is lock:  # else the pod was deleted meanwhile
                self._kept.setdefault(key.uid, {})[need] = token
            return token.text

    def forget(self, key: PodKey) -> None:
        """Drop a pod's tokens; repeatable."""
        self._kept.pop(key.uid, None)
        self._locks.pop(key.uid, None)

    async def _request(self, key: PodKey, raw: Json, need: TokenNeed) -> _Token:
        account = spec_of(raw).get("serviceAccountName") or "default"
        spec: dict[str, Any] = {
            "audiences": [need.audience] if need.audience else [],
            "expirationSeconds": need.expiration,
            "boundObjectRef": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": key.name,
                "uid": key.uid,
            },
        }
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        answer = await self.client.create(
            SERVICE_ACCOUNTS, body, namespace=key.namespace, name=account, subresource="token"
        )
        return _token(answer["status"], need)


def _token(status: Json, need: TokenNeed) -> _Token:
    now, wall = asyncio.get_running_loop().time(), datetime.now(UTC)
    end = parse_time(status.get("expirationTimestamp"))
    life = float(need.expiration) if end is None else (end - wall).total_seconds()
    renew = min(_RENEW_AT * life, _LONGEST)
    renew -= random.uniform(0.0, min(_JITTER, renew / 10))
    return _Token(status["token"], now + renew, now + life)
