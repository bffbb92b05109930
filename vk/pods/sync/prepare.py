"""From an API pod to the pod that a provider gets: admitted to the node and resolved.

Admission is pure (`vk.pods.admission`), the resolver reads what the pod refers to; here is what
follows where one of them refuses. Keeps the sums of what the node's pods request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from math import inf

import attrs

from vk.errors import InvalidInputError, VkError
from vk.models.keys import PodKey
from vk.models.pod import Json, Pod
from vk.models.pod_shape import malformed_field
from vk.pods import daemonsets
from vk.pods.admission import (
    AdmissionNode,
    Rejection,
    ReservedResources,
    admit,
    resize_rejection,
)
from vk.pods.errors import LOOK_WITHIN, MissingReference, NotReadyError, RefusedError
from vk.pods.resolve.resolver import Resolver
from vk.pods.sync.changes import starts_containers
from vk.provider import Emit
from vk.settings import LiveSettings, live

__all__ = ["Preparation"]

log = logging.getLogger(__name__)


@attrs.define(eq=False, kw_only=True)
class Preparation:
    """Admits and resolves pods."""

    resolver: Resolver
    settings: LiveSettings = attrs.field(converter=live)
    draining: Callable[[], bool]
    emit: Emit
    _reserved: ReservedResources = attrs.field(factory=ReservedResources, init=False)
    _reported: set[str] = attrs.field(factory=set, init=False)
    """UIDs of the DaemonSets whose pods were refused: an event's id counts for one pod only."""

    async def prepare(self, key: PodKey, raw: Json) -> Pod:
        """Return the pod for `create_pod`, with its requests reserved on the node.

        Raises RefusedError, NotReadyError, or ClusterError; then nothing is reserved.
        """
        with self._readable(key, raw):
            self._check_owner(key, raw)
            self._admit(raw)
            try:
                pod = await self._resolved(key, raw)
            except InvalidInputError as error:
                raise RefusedError(f"Pod was rejected: {error}", reason=error.reason) from None
            self.reserve(raw)
            return pod

    async def prepare_change(self, key: PodKey, raw: Json, changed: Collection[str]) -> Pod:
        """Return the pod for `update_pod`: resolved, not admitted again.

        Raises NotReadyError or ClusterError.
        """
        with self._readable(key, raw):
            running = not starts_containers(changed, raw)
            return await self._resolved(key, raw, mounted=True, running=running)

    def _admit(self, raw: Json) -> None:
        if self._reserved.counts(raw):
            return
        node, used = self._admission_node(), self._reserved
        rejection = admit(raw, fields=self.resolver.provider.fields, node=node, used=used)
        if rejection is not None:
            raise RefusedError(f"Pod was rejected: {rejection.message}", reason=rejection.reason)

    async def _resolved(
        self, key: PodKey, raw: Json, *, mounted: bool = False, running: bool = False
    ) -> Pod:
        try:
            pod, notices = await self.resolver.resolve(key, raw, mounted=mounted, running=running)
        except MissingReference as missing:
            self.emit(key, "Warning", missing.reason, str(missing))
            reason = missing.reason if missing.volume else "CreateContainerConfigError"
            raise NotReadyError(str(missing), reason=reason, within=LOOK_WITHIN) from None
        except NotReadyError as error:
            self.emit(key, "Warning", error.reason, str(error))
            raise
        for notice in notices:
            self.emit(key, notice.type, notice.reason, notice.message)
        return pod

    def resize_rejection(self, key: PodKey, raw: Json) -> Rejection | None:
        """Return why the node has no room for a pod's new resources."""
        with self._readable(key, raw):
            return resize_rejection(raw, self._admission_node(), self._reserved)

    def _check_owner(self, key: PodKey, raw: Json) -> None:
        """Refuse pods of DaemonSets where the operator says so; one event an owner."""
        text = daemonsets.refusal(raw, self.settings.current.daemonsets)
        if text is None:
            return
        owner = str((daemonsets.owner(raw) or {}).get("uid"))
        if owner not in self._reported:
            self._reported.add(owner)
            id = f"{owner}/daemonset-refused"
            self.emit(key, "Warning", daemonsets.REASON, text, id=id)
        raise NotReadyError(text, reason=daemonsets.REASON, retry_after=inf)

    def reserve(self, raw: Json, *, anew: bool = False) -> None:
        """Reserve a pod's requests; once a UID, unless ``anew``: they are others now."""
        if anew or not self._reserved.counts(raw):
            self._reserved.add(raw)

    def release(self, key: PodKey) -> None:
        """Give a pod's requests back; repeatable."""
        self._reserved.remove({"metadata": {"uid": key.uid}})

    @contextmanager
    def _readable(self, key: PodKey, raw: Json) -> Iterator[None]:
        """Turn an error in reading a malformed object into a pod that waits; name the field.

        Nothing was sent to the provider. The error's own text is not shown: it may quote the
        object, which may hold secrets.
        """
        try:
            yield
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            if isinstance(error, VkError):
                raise
            log.error("pod cannot be read", exc_info=error, extra={"pod": str(key), "uid": key.uid})
            text = (
                malformed_field(raw) or f"the pod's object cannot be read ({type(error).__name__})"
            )
            self.emit(key, "Warning", "InvalidPod", text)
            raise NotReadyError(text, reason="InvalidPod") from None

    def _admission_node(self) -> AdmissionNode:
        resolver, settings = self.resolver, self.settings.current
        info = resolver.node()
        return AdmissionNode(
            allocatable=info.allocatable or info.capacity,
            labels=resolver.labels(),
            os=info.os or settings.os,
            architecture=info.architecture or "amd64",
            taints=(*settings.taints, *info.taints),
            draining=self.draining(),
        )
