"""Service-account tokens of pods, by TokenRequest: bound to the pod, renewed in time.

In: a pod and what its volume asks for. Out: the token's text. A token request is a right to be
somebody, so before each one the pod is read live (`bindings`): it must still be this pod, bound to
this node; the request names its UID, so that a later pod of that name gets none.
Tokens are kept in memory for as long as their pod, and nowhere else.
"""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from typing import Any

import attrs

from vk.cluster.client import Client
from vk.cluster.resources import SERVICE_ACCOUNTS
from vk.errors import ClusterError
from vk.models.keys import PodKey
from vk.models.pod import Json
from vk.models.time import parse_time
from vk.pods.errors import NotReadyError
from vk.pods.resolve.bindings import Bindings
from vk.pods.resolve.file_sources import TokenNeed

__all__ = ["Tokens"]

_RENEW_AT = 0.8
"""Part of its life after which a token is renewed, as the kubelet does."""
_LONGEST = 24 * 3600.0
"""Seconds after which it is renewed in any case."""
_JITTER = 10.0
"""Seconds at most by which it is renewed earlier, so that pods that came together part."""


@attrs.frozen
class _Token:
    text: str = attrs.field(repr=False)
    renew_at: float
    ends_at: float


@attrs.define(eq=False, kw_only=True)
class Tokens:
    """Asks for tokens and keeps them until it is time to renew them."""

    client: Client
    bindings: Bindings
    _kept: dict[str, dict[TokenNeed, _Token]] = attrs.field(factory=dict, init=False, repr=False)
    _locks: dict[str, asyncio.Lock] = attrs.field(factory=dict, init=False, repr=False)

    async def get(self, key: PodKey, raw: Json, need: TokenNeed) -> str:
        """Return a token of the pod's service account; the same one until it must be renewed.

        Raises NotReadyError where there is none: the API server refuses, or the pod is not (any
        longer) one of this node. A renewal that fails leaves the old token until that has ended.
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
            if self._locks.get(key.uid) is lock:  # else the pod went meanwhile
                self._kept.setdefault(key.uid, {})[need] = token
            return token.text

    def forget(self, key: PodKey) -> None:
        """Drop a pod's tokens; repeatable."""
        self._kept.pop(key.uid, None)
        self._locks.pop(key.uid, None)

    async def _request(self, key: PodKey, raw: Json, need: TokenNeed) -> _Token:
        account = (raw.get("spec") or {}).get("serviceAccountName") or "default"
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
