"""Rules of logs: what is refused, what is in them, and when they end."""

from __future__ import annotations

import asyncio
import functools

import pytest

from vk.errors import ProviderError, UnsupportedError
from vk.models.keys import ContainerKey, PodKey
from vk.models.pod import Pod
from vk.testing.contract.base import CONTAINER, Base
from vk.testing.contract.bench import Bench
from vk.testing.contract.leftovers import break_off_everywhere
from vk.testing.contract.rule import require, rule

__all__ = ["Logs", "whole_log"]


class Logs(Base):
    """Logs as a whole; `vk.testing.contract.log_options` has the options."""

    @rule
    async def test_logs_refuse_unknown_containers(self, bench: Bench) -> None:
        """A log that is not there is refused by an error of vk, before the first piece."""
        pod = await self.running(bench)
        nowhere = PodKey("default", "nowhere", "c0117ac7-0000-4000-8000-ffffffffffff")
        for key in (ContainerKey(pod.key, "nowhere"), ContainerKey(nowhere, CONTAINER)):
            try:
                await bench.first_piece(key)
            except ProviderError:
                continue
            require(False, f"logs of {key} is answered, and there is no such container")

    @rule
    async def test_a_log_is_all_that_was_written(self, bench: Bench) -> None:
        """The log of a container that has ended is what it wrote, whole."""
        if not self.runs_scripts:
            pytest.skip("a simulator: nothing writes a log")
        _, log = await whole_log(bench, self)
        require(log == b"one\ntwo\nthree\n", f"one, two, three were written, the log is {log!r}")

    @rule
    async def test_a_followed_log_goes_on_and_ends_with_the_container(self, bench: Bench) -> None:
        """With ``follow`` comes what is written later, and the end once the container ends."""
        self.need_ends()
        pod = self.make(bench, "echo one; sleep 1; echo two; sleep 1; exit 0")
        await bench.create(pod)
        await bench.until(pod, bench.is_running, "the pod runs")
        try:
            log, _ = await asyncio.gather(
                bench.log(pod, follow=True), bench.until(pod, bench.is_over, "the pod ends")
            )
        except UnsupportedError:
            pytest.skip("this provider has no logs")
        whole = await bench.log(pod)
        require(log == whole, f"followed to its end the log is {log!r}, afterwards it is {whole!r}")

    @rule
    async def test_logs_may_be_broken_off_anywhere(self, bench: Bench) -> None:
        """A followed log that is cancelled, at any await, ends and leaves no task."""
        pod = await self.running(bench)
        read = functools.partial(bench.log, pod, follow=True)
        if await _is_unsupported(bench, pod.key):
            return
        await break_off_everywhere(read, patience=bench.patience)
        require(await bench.find(pod.key), "the provider does not list the pod any more")


async def whole_log(bench: Bench, suite: Base) -> tuple[Pod, bytes]:
    """Return a pod that has ended and its log; skips where the provider has no logs."""
    pod = await suite.ended(bench)
    try:
        return pod, await bench.log(pod)
    except UnsupportedError:
        pytest.skip("this provider has no logs")


async def _is_unsupported(bench: Bench, key: PodKey) -> bool:
    try:
        await bench.first_piece(ContainerKey(key, CONTAINER))
    except UnsupportedError:
        return True
    return False
