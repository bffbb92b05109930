"""Rules of creating and deleting: nothing runs twice, nothing is left."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any

from vk.errors import NotFoundError
from vk.models.keys import PodKey
from vk.models.pod import Pod
from vk.testing.contract.base import STAYS, Base
from vk.testing.contract.bench import Bench
from vk.testing.contract.cancelling import Cancelled, cancel_at
from vk.testing.contract.rule import require, rule

__all__ = ["Lifecycle"]

_STEPS = 20
_PROMPT = 10.0


class Lifecycle(Base):
    """Creating and deleting."""

    @rule
    async def test_create_may_be_repeated(self, bench: Bench) -> None:
        """A second create for one UID finds the workload of the first."""
        pod = self.make(bench, STAYS)
        await bench.create(pod)
        await bench.create(pod)
        await _is_one(bench, pod)

    @rule
    async def test_a_create_whose_outcome_is_unknown_may_be_repeated(self, bench: Bench) -> None:
        """Broken off at any await and called again, create makes one workload.

        This is what happens when the process stops, or when the answer of the backend is lost.
        """
        for step in range(1, _STEPS + 1):
            pod = self.make(bench, STAYS)
            outcome = await cancel_at(step, partial(bench.create, pod))
            if outcome is Cancelled.ENDED:
                return
            await bench.create(pod)
            await _is_one(bench, pod)

    @rule
    async def test_create_finds_what_an_earlier_process_started(self, bench: Bench) -> None:
        """A process that starts anew and creates a pod again finds the workload of the old one.

        Providers with ``durable = False`` are not asked: their workloads end with the process.
        """
        pod = self.make(bench, STAYS)
        await bench.create(pod)
        if bench.provider.durable:
            await bench.reopen()
            await bench.create(pod)
            await _is_one(bench, pod)

    @rule
    async def test_a_recreated_pod_of_the_same_name_is_another_pod(self, bench: Bench) -> None:
        """Pods are told apart by UID: the old one's end does not touch the new one."""
        old = await self.running(bench)
        manifest: dict[str, Any] = {**self.pod(STAYS)}
        named = {"namespace": old.key.namespace, "name": old.key.name}
        manifest["metadata"] = {**(manifest.get("metadata") or {}), **named}
        new = bench.pod(manifest)
        await bench.create(new)
        await bench.until(new, bench.is_running, "the new pod runs beside the old one")
        await bench.end(old.key)
        status = await bench.find(new.key)
        require(status and bench.is_running(new, status), f"the new pod is {status}")

    @rule
    async def test_delete_ends_the_pod(self, bench: Bench) -> None:
        """Within its grace period the pod ends: a terminal status, no status, or NotFoundError."""
        await bench.delete_and_wait(await self.running(bench))

    @rule
    async def test_delete_does_not_wait_for_the_grace_period(self, bench: Bench) -> None:
        """delete_pod returns once the backend has accepted it."""
        pod = await self.running(bench)
        began = asyncio.get_running_loop().time()
        await bench.delete(pod.key, grace_period=min(25.0, bench.patience * 0.9))
        took = asyncio.get_running_loop().time() - began
        require(took < min(_PROMPT, bench.patience / 2), f"delete_pod took {took:.1f} s")

    @rule
    async def test_delete_may_be_repeated(self, bench: Bench) -> None:
        """A second delete returns, or raises NotFoundError: then the pod is gone."""
        pod = await self.running(bench)
        for _ in range(3):
            try:
                await bench.delete(pod.key)
            except NotFoundError:
                status = await bench.find(pod.key)
                text = f"delete_pod raised NotFoundError, and list_pods has {status}"
                require(status is None or bench.is_over(pod, status), text)

    @rule
    async def test_delete_of_an_unknown_pod_is_not_found(self, bench: Bench) -> None:
        """Deleting what the backend does not have raises NotFoundError."""
        key = PodKey("default", "nowhere", "c0117ac7-0000-4000-8000-ffffffffffff")
        try:
            answer = await bench.delete(key)
        except NotFoundError:
            return
        require(False, f"delete_pod returned {answer}")

    @rule
    async def test_many_pods_at_once(self, bench: Bench) -> None:
        """Creates that run side by side all arrive, and so do deletes."""
        pods = [self.make(bench, STAYS) for _ in range(self.many)]
        await asyncio.gather(*(bench.create(pod) for pod in pods))
        listed = {status.key for status in await bench.listed()}
        missing = [str(pod.key) for pod in pods if pod.key not in listed]
        require(not missing, f"{len(missing)} of {self.many} pods are not in the list: {missing}")
        await asyncio.gather(*(bench.end(pod.key) for pod in pods))
        left = {status.key for status in await bench.listed()} & {pod.key for pod in pods}
        require(not left, f"{len(left)} of {self.many} deleted pods are in the list")


async def _is_one(bench: Bench, pod: Pod) -> None:
    """Require that the pod is there once, and that one delete ends all of it."""
    require(await bench.find(pod.key), f"list_pods does not have pod {pod.key}")
    await bench.delete_and_wait(pod, grace_period=0)
    with suppress(NotFoundError):
        await bench.delete(pod.key, grace_period=0)
    status = await bench.find(pod.key)
    text = f"after its end there is another workload of the pod: {status}"
    require(status is None or bench.is_over(pod, status), text)
    await bench.end(pod.key)
