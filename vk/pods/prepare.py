"""From an API pod to the pod that a provider gets: admitted to the node and resolved.

Reads what the pod refers to; the rules themselves are pure (`admission`, `environment`, `dns`).
Keeps account of what the node's pods request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from vk.errors import VkError
from vk.models.keys import PodKey
from vk.models.node import NodeInfo
from vk.models.pod import Json, Pod, Resolution
from vk.pods.admission import AdmissionNode, Usage, admit
from vk.pods.dns import resolve_dns
from vk.pods.environment import MissingReference, Notice, references, resolve
from vk.pods.references import References
from vk.pods.services import Services
from vk.provider import Emit, Provider
from vk.settings import Settings

__all__ = ["NotReadyError", "Preparation", "RefusedError"]

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
    emit: Emit
    _used: Usage = attrs.field(factory=Usage, init=False)

    async def pod(self, key: PodKey, raw: Json) -> Pod:
        """Return the pod for `create_pod`, with its requests taken from the node.

        Raises RefusedError, NotReadyError, or ClusterError; then nothing is taken.
        """
        if not self._used.counts(raw):
            rejection = admit(
                raw, fields=self.provider.fields, node=self._admission_node(), used=self._used
            )
            if rejection is not None:
                raise RefusedError(
                    f"Pod was rejected: {rejection.message}", reason=rejection.reason
                )
        pod = await self.changed(key, raw)
        self.occupy(raw)
        return pod

    async def changed(self, key: PodKey, raw: Json) -> Pod:
        """Return the pod for `update_pod`: resolved, not admitted again."""
        if "env" not in self.provider.resolves:
            return Pod(raw)
        needs = references(raw)
        maps = await self.references.config_maps(key.namespace, needs.config_maps)
        secrets = await self.references.secrets(key.namespace, needs.secrets)
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

    def _admission_node(self) -> AdmissionNode:
        info = self.node()
        return AdmissionNode(
            allocatable=info.allocatable or info.capacity,
            labels=self.labels(),
            os=info.os or self.settings.os,
            architecture=info.architecture or "amd64",
            taints=(*self.settings.taints, *info.taints),
        )
