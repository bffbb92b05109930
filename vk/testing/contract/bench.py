"""The bench: one provider with a node's world around it, for the rules of the suite.

It stands where the core does: it holds the API server's pods, gives the provider its context, calls
it with time-outs, and keeps each pod's status as the core would write it. Waiting looks at lists.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, suppress
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

import attrs

from vk.errors import NotFoundError, TemporaryError
from vk.models.api_object import status_of
from vk.models.keys import ContainerKey, PodKey
from vk.models.logs import LogOptions
from vk.models.pod import Json, Pod, Resolution, pod_key
from vk.models.status import PodStatus, Running
from vk.models.time import format_time, now
from vk.pods.status.desired import desired
from vk.pods.status.facts import StatusFacts
from vk.pods.status.phase import FINAL, phase_of
from vk.provider import Provider, ProviderContext, open_provider
from vk.testing.contract.rule import Broken

__all__ = ["Bench"]

T = TypeVar("T")
_LOOK = 0.05
_numbers = itertools.count(1)


@attrs.define(eq=False)
class Bench:
    """A provider, open inside the block; its pods are deleted at the end."""

    make: Callable[[ProviderContext], Provider]
    config: Any
    patience: float = attrs.field(kw_only=True)
    node_name: str = attrs.field(default="contract", kw_only=True)
    cluster_uid: str = attrs.field(default="contract-cluster", kw_only=True)
    pods: dict[str, Pod] = attrs.field(factory=dict, init=False)
    """What the API server holds, by UID."""
    provider: Provider = attrs.field(init=False)
    _stack: AsyncExitStack = attrs.field(factory=AsyncExitStack, init=False)

    async def __aenter__(self) -> Self:
        """Open the provider."""
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the pods, as far as the provider does that, and close it."""
        with suppress(Exception):  # whether deletion works is a rule of its own
            async with asyncio.timeout(self.patience):
                for status in await self.provider.list_pods():
                    await self.end(status.key)
        await self._stack.aclose()

    async def reopen(self) -> None:
        """Close the provider and open another one on the same backend, as a restart does."""
        await self._stack.aclose()
        await self._open()

    def beside(self, *, node_name: str = "", cluster_uid: str = "") -> Bench:
        """Return a bench of another node, or another cluster, on the same backend."""
        return Bench(
            self.make,
            self.config,
            patience=self.patience,
            node_name=node_name or self.node_name,
            cluster_uid=cluster_uid or self.cluster_uid,
        )

    def pod(self, manifest: Json, resolution: Resolution | None = None) -> Pod:
        """Give the API server a pod with a UID of its own; a name is made where it has none."""
        number = next(_numbers)
        raw: dict[str, Any] = copy.deepcopy(dict(manifest))
        given = raw.get("metadata") or {}
        name = {"namespace": "default", "name": f"contract-{number}"}
        uid = f"c0117ac7-0000-4000-8000-{number:012}"
        raw |= {"apiVersion": "v1", "kind": "Pod", "metadata": {**name, "uid": uid, **given}}
        pod = self.pods[raw["metadata"]["uid"]] = Pod(raw, resolution=resolution)
        return pod

    async def create(self, pod: Pod) -> PodStatus | None:
        """Create the pod, as the core does."""
        status = await self.insist("create_pod", lambda: self.provider.create_pod(pod))
        if status is not None:
            self._note(status)
        return status

    async def delete(self, key: PodKey, *, grace_period: float = 1.0) -> PodStatus | None:
        """Delete the pod at the API server and the provider."""
        self._mark_deleted(key)
        return await self.insist(
            "delete_pod", lambda: self.provider.delete_pod(key, grace_period=grace_period)
        )

    async def delete_and_wait(self, pod: Pod, *, grace_period: float = 1.0) -> None:
        """Delete the pod once and wait until it has ended or is not listed. Raises Broken.

        NotFoundError is as good an answer as any: the list shows whether it is true.
        """
        with suppress(NotFoundError):
            await self.delete(pod.key, grace_period=grace_period)
        status, late = await self.find(pod.key), self._clock() + self.patience
        while status is not None and not self.is_over(pod, status):
            if self._clock() > late:
                raise Broken(f"{self.patience:g} s after delete_pod the pod is {status}")
            await asyncio.sleep(_LOOK)
            status = await self.find(pod.key)

    async def end(self, key: PodKey) -> None:
        """Delete the pod until the provider says that nothing is there."""
        with suppress(NotFoundError):
            while await self.find(key) is not None:
                await self.delete(key, grace_period=0)
                await asyncio.sleep(_LOOK)
        self.pods.pop(key.uid, None)

    async def listed(self) -> list[PodStatus]:
        """List, once what was created before must be in it."""
        await asyncio.sleep(self.provider.list_lag)
        found = list(await self.call("list_pods", self.provider.list_pods()))
        for status in found:
            self._note(status)
        return found

    async def find(self, key: PodKey) -> PodStatus | None:
        """Return what the list says of a pod. Raises Broken where it says two things."""
        found = [status for status in await self.listed() if status.key == key]
        if len(found) > 1:
            raise Broken(f"list_pods gives {len(found)} statuses for pod {key}")
        return found[0] if found else None

    async def until(
        self, pod: Pod, wanted: Callable[[Pod, PodStatus], bool], what: str
    ) -> PodStatus:
        """Return the first listed status for which ``wanted`` holds. Raises Broken."""
        status, late = None, self._clock() + self.patience
        while self._clock() < late:
            status = await self.find(pod.key)
            if status is not None and wanted(pod, status):
                return status
            await asyncio.sleep(_LOOK)
        raise Broken(f"not within {self.patience:g} s: {what}; the last status is {status}")

    async def log(self, pod: Pod, container: str = "main", **options: Any) -> bytes:
        """Return all that `logs` gives."""
        chosen = LogOptions(**options)

        async def read() -> bytes:
            key = ContainerKey(pod.key, container)
            async with aclosing(self.provider.logs(key, chosen)) as pieces:  # type: ignore[type-var] # a generator
                return b"".join([piece async for piece in pieces])

        return await self.call("logs", read())

    async def first_piece(self, key: ContainerKey) -> bytes:
        """Return the first piece that `logs` gives, empty for an empty log; raise its refusal."""

        async def read() -> bytes:
            async with aclosing(self.provider.logs(key, LogOptions())) as pieces:  # type: ignore[type-var] # a generator
                return await anext(pieces, b"")

        return await self.call("logs", read())

    async def call(self, name: str, call: Awaitable[T]) -> T:
        """Await one call of the provider. Raises Broken where it takes too long."""
        try:
            async with asyncio.timeout(self.patience):
                return await call
        except TimeoutError as error:
            raise Broken(f"{name} took over {self.patience:g} s") from error

    async def insist(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        """Call until it raises no TemporaryError, as the core does. Raises Broken."""

        async def retry_forever() -> T:
            while True:
                try:
                    return await call()
                except TemporaryError as error:
                    await asyncio.sleep(error.retry_after or _LOOK)

        return await self.call(name, retry_forever())

    @staticmethod
    def is_running(pod: Pod, status: PodStatus) -> bool:
        """Whether every container runs."""
        states = [one.state for one in status.containers]
        return all(isinstance(state, Running) for state in states) and (
            phase_of(pod.spec, status, deleting=False) == "Running"
        )

    @staticmethod
    def is_over(pod: Pod, status: PodStatus) -> bool:
        """Whether the pod has ended for good."""
        return phase_of(pod.spec, status, deleting=False) in FINAL

    def _note(self, status: PodStatus) -> None:
        """Keep the status on the pod, as the core would write it."""
        pod = self.pods.get(status.key.uid)
        if pod is not None:
            fields = desired(pod.raw, StatusFacts(status=status, present=True), datetime.now(UTC))
            self._replace(pod, status={**status_of(pod.raw), **fields})
            self._annotate(status.key, status.annotations)

    def _annotate(self, key: PodKey, annotations: Mapping[str, str]) -> None:
        """Put annotations on the pod; nothing happens where it is gone."""
        pod = self.pods.get(key.uid)
        if pod is not None:
            noted = {**pod.annotations, **annotations}
            self._replace(pod, metadata={**pod.metadata, "annotations": noted})

    def _mark_deleted(self, key: PodKey) -> None:
        pod = self.pods.get(key.uid)
        if pod is not None:
            self._replace(pod, metadata={**pod.metadata, "deletionTimestamp": format_time(now())})

    def _replace(self, pod: Pod, **fields: Mapping[str, Any]) -> None:
        raw = {**pod.raw, **fields}
        self.pods[pod_key(raw).uid] = Pod(raw, resolution=pod.resolution)

    async def _open(self) -> None:
        async def nothing(*_: Any) -> None:
            return None

        async def annotate(key: PodKey, annotations: Mapping[str, str]) -> None:
            self._annotate(key, annotations)

        def quiet(*_: Any, **__: Any) -> None:
            return None

        context = ProviderContext(
            node_name=self.node_name,
            cluster_uid=self.cluster_uid,
            config=self.config,
            pods=self.pods,
            secret=nothing,
            config_map=nothing,
            annotate=annotate,
            check_lease=quiet,
            emit=quiet,
            node_changed=quiet,
        )
        self._stack = AsyncExitStack()
        self.provider = await self._stack.enter_async_context(open_provider(self.make(context)))

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()
