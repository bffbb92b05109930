"""A backend that calls back: what it tells goes into `vk.Latest`, and out through `watch_pods`.

The backend is a kitchen timer. A container's first argument says for how many seconds its pod runs,
a second one with which exit code it ends; then the backend calls back, from any thread it likes.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import attrs

import vk


@attrs.define(eq=False)
class TimerProvider(vk.Provider):
    """Runs a pod for as long as its first argument says."""

    durable = False
    fields = vk.FieldTable(honoured=("spec.terminationGracePeriodSeconds",))

    _pods: dict[str, vk.PodStatus] = attrs.field(factory=dict, init=False)
    _timers: dict[str, threading.Timer] = attrs.field(factory=dict, init=False)
    _changes: vk.Latest[str, vk.PodChange] = attrs.field(factory=vk.Latest, init=False)

    async def __aexit__(self, *_: object) -> None:
        for timer in self._timers.values():
            timer.cancel()

    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "4", "memory": "8Gi", "pods": "200"})

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        uid = pod.key.uid
        if uid not in self._pods:
            seconds, code = _wanted(pod)
            self._pods[uid] = vk.PodStatus.running(pod)
            timer = threading.Timer(seconds, self._rang, [uid, code])
            timer.daemon = True
            self._timers[uid] = timer
            timer.start()
        return self._pods[uid]

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> None:
        if self._pods.pop(key.uid, None) is None:
            raise vk.NotFoundError(key)
        self._timers.pop(key.uid).cancel()

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        return list(self._pods.values())

    async def watch_pods(self) -> AsyncIterator[vk.PodChange]:
        async for change in self._changes:
            yield change

    def _rang(self, uid: str, code: int) -> None:
        """Be called back by the backend, in a thread of its own."""
        status = self._pods.get(uid)
        if status is not None:
            over = vk.Terminated(code, finished_at=datetime.now(UTC))
            ended = [attrs.evolve(one, state=over) for one in status.containers]
            self._pods[uid] = attrs.evolve(status, containers=ended)
            self._changes.put(uid, self._pods[uid])


def _wanted(pod: vk.Pod) -> tuple[float, int]:
    """Return the seconds that the pod shall run for, and its exit code."""
    (container, *_) = pod.containers
    try:
        seconds, code = (*container.args, "0")[:2]
        return float(seconds), int(code)
    except ValueError:
        text = f"args of container {container.name!r}: expected the seconds to run for"
        raise vk.InvalidInputError(text) from None


@vk.hookimpl
def vk_register_providers(register: vk.Register) -> None:
    register("timer", TimerProvider)
