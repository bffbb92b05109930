"""From an API pod to the pod that a provider gets: admitted to the node and resolved.

Reads what the pod refers to; the rules themselves are pure (`admission`, `environment`, `dns`).
Keeps account of what the node's pods request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import attrs

from vk.errors import VkError
from vk.models.keys import PodKey
from vk.models.node import NodeInfo
from vk.models.pod import Json, Pod, Resolution
from vk.pods.admission import AdmissionNode, Usage, admit
from vk.pods.dns import resolve_dns
from vk.pods.environment import MissingReference, Notice, resolve
from vk.pods.needs import needs
from vk.pods.references import References
from vk.pods.services import Services
from vk.provider import Emit, Provider
from vk.settings import Settings

__all__ = ["NotReadyError", "Preparation", "RefusedError"]

log = logging.getLogger(__name__)

RETRY_MISSING = 5.0
"""Seconds until a missing config map or secret is looked for again."""


class NotReadyError(VkError):
    """The pod cannot start yet: something it needs is missing."""

    def __init__(self, message: str, *, reason: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after


class RefusedError(VkError):
    """The pod can never run on this node; ``reason`` is the kubelet's."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@attrs.define(eq=False, kw_only=True)
class Preparation:
    """Admits and resolves pods."""

    provider: Provider
    settings: Settings
    references: References
    services: Services
    node: Callable[[], NodeInfo]
    labels: Callable[[], Mapping[str, str]]
    draining: Callable[[], bool]
    emit: Emit
    _used: Usage = attrs.field(factory=Usage, init=False)

    async def pod(self, key: PodKey, raw: Json) -> Pod:
        """Return the pod for `create_pod`, with its requests taken from the node.

        Raises RefusedError, NotReadyError, or ClusterError; then nothing is taken.
        """
        with self._readable(key):
            self._admit(raw)
            pod = await self._resolved(key, raw)
            self.occupy(raw)
            return pod

    async def changed(self, key: PodKey, raw: Json) -> Pod:
        """Return the pod for `update_pod`: resolved, not admitted again.

        Raises NotReadyError or ClusterError.
        """
        with self._readable(key):
            return await self._resolved(key, raw)

    def _admit(self, raw: Json) -> None:
        if self._used.counts(raw):
            return
        node, used = self._admission_node(), self._used
        rejection = admit(raw, fields=self.provider.fields, node=node, used=used)
        if rejection is not None:
            raise RefusedError(f"Pod was rejected: {rejection.message}", reason=rejection.reason)

    async def _resolved(self, key: PodKey, raw: Json) -> Pod:
        if "env" not in self.provider.resolves:
            return Pod(raw)
        named = needs(raw)
        maps = await self.references.config_maps(key.namespace, named.config_maps)
        secrets = await self.references.secrets(key.namespace, named.secrets)
        try:
            resolution, notices = self._resolve(key, raw, maps, secrets)
        except MissingReference as missing:
            self.emit(key, "Warning", missing.reason, str(missing))
            raise NotReadyError(
                str(missing), reason="CreateContainerConfigError", retry_after=RETRY_MISSING
            ) from None
        for notice in notices:
            self.emit(key, notice.type, notice.reason, notice.message)
        return Pod(raw, resolution=resolution)

    def occupy(self, raw: Json) -> None:
        """Count a pod's requests; once a UID."""
        if not self._used.counts(raw):
            self._used.add(raw)

    def release(self, key: PodKey) -> None:
        """Give a pod's requests back; repeatable."""
        self._used.remove({"metadata": {"uid": key.uid}})

    def _resolve(
        self,
        key: PodKey,
        raw: Json,
        maps: Mapping[str, Json | None],
        secrets: Mapping[str, Json | None],
    ) -> tuple[Resolution, list[Notice]]:
        info = self.node()
        return resolve(
            raw,
            config_maps=maps,
            secrets=secrets,
            links=self.services.links(key.namespace),
            allocatable=info.allocatable or info.capacity,
            dns=resolve_dns(
                raw.get("spec") or {},
                namespace=key.namespace,
                cluster_dns=self.settings.cluster_dns or self.services.dns(),
                cluster_domain=self.settings.cluster_domain,
            ),
            api_server=self.settings.pod_api_server,
        )

    @contextmanager
    def _readable(self, key: PodKey) -> Iterator[None]:
        """Make of an object that the rules cannot read a pod that waits and says so.

        The error is ours, not the provider's: nothing was sent to it. Its text may quote the
        object, which may hold secrets.
        """
        try:
            yield
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            if isinstance(error, VkError):
                raise
            log.error("pod cannot be read", exc_info=error, extra={"pod": str(key), "uid": key.uid})
            text = f"the pod's object cannot be read ({type(error).__name__})"
            self.emit(key, "Warning", "InvalidPod", text)
            raise NotReadyError(text, reason="InvalidPod", retry_after=None) from None

    def _admission_node(self) -> AdmissionNode:
        info = self.node()
        return AdmissionNode(
            allocatable=info.allocatable or info.capacity,
            labels=self.labels(),
            os=info.os or self.settings.os,
            architecture=info.architecture or "amd64",
            taints=(*self.settings.taints, *info.taints),
            draining=self.draining(),
        )
