"""Providers that break one rule each: `WRONG` maps the rule to its provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import attrs
from toy_backend import Workload, clock, moment
from toy_provider import ToyProvider

import vk

WRONG: dict[str, type[ToyProvider]] = {}
"""By the name of the rule, without ``test_``; a second provider of a rule has a number."""


def breaks(rule: str) -> Any:
    def note(provider: type[ToyProvider]) -> type[ToyProvider]:
        WRONG[rule] = provider
        return provider

    return note


@breaks("create_may_be_repeated")
class StartsAgain(ToyProvider):
    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus | None:
        done = self.__dict__.setdefault("done", set())
        if pod.key in done:
            await self.add(pod)
        status = await super().create_pod(pod)
        done.add(pod.key)
        return status


@breaks("a_create_whose_outcome_is_unknown_may_be_repeated")
class RecordsTooLate(ToyProvider):
    async def __aenter__(self) -> RecordsTooLate:
        self.__dict__["known"] = {one.key for one in await self.backend.ask()}
        return self

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus | None:
        known = self.__dict__["known"]
        if pod.key not in known:
            await self.add(pod)
            known.add(pod.key)
        return None


@breaks("create_finds_what_an_earlier_process_started")
class ForgetsAtTheEnd(ToyProvider):
    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus | None:
        known = self.__dict__.setdefault("known", set())
        if pod.key not in known:
            known.add(pod.key)
            await self.add(pod)
        return None


@breaks("a_recreated_pod_of_the_same_name_is_another_pod")
class DeletesByName(ToyProvider):
    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> vk.PodStatus | None:
        named = (key.namespace, key.name)
        for one in list(self.backend.workloads):
            if one.key != key and (one.key.namespace, one.key.name) == named:
                self.backend.workloads.remove(one)
        return await super().delete_pod(key, grace_period=grace_period)


@breaks("delete_ends_the_pod")
class IgnoresDelete(ToyProvider):
    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> vk.PodStatus | None:
        if grace_period and await self.find(key):
            return None
        return await super().delete_pod(key, grace_period=grace_period)


@breaks("delete_does_not_wait_for_the_grace_period")
class WaitsForTheEnd(ToyProvider):
    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> vk.PodStatus | None:
        await asyncio.sleep(grace_period)
        return await super().delete_pod(key, grace_period=grace_period)


@breaks("delete_may_be_repeated")
class NotFoundTooEarly(ToyProvider):
    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> vk.PodStatus | None:
        workload = await self.find(key)
        if not grace_period or workload is None or workload.end():
            return await super().delete_pod(key, grace_period=grace_period)
        if workload.stopped is not None:
            raise vk.NotFoundError("it is being deleted already")
        workload.stopped = clock() + grace_period
        return None


@breaks("delete_of_an_unknown_pod_is_not_found")
class DeletesAnything(ToyProvider):
    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> vk.PodStatus | None:
        if await self.find(key) is None:
            return None
        return await super().delete_pod(key, grace_period=grace_period)


@breaks("many_pods_at_once")
class DropsWhenBusy(ToyProvider):
    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus | None:
        busy = self.__dict__["busy"] = self.__dict__.get("busy", 0) + 1
        status = await super().create_pod(pod)
        if busy > 16:
            self.backend.workloads.pop()
        self.__dict__["busy"] -= 1
        return status


@breaks("the_node_offers_cpu_memory_and_pods")
class OffersNoPods(ToyProvider):
    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "4", "memory": "8Gi"})


@breaks("the_node_offers_cpu_memory_and_pods 2")
class OffersWords(ToyProvider):
    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "four", "memory": "8Gi", "pods": "1"})


@breaks("a_listed_pod_has_its_whole_key")
class ForgetsTheNamespace(ToyProvider):
    async def list_pods(self) -> Sequence[vk.PodStatus]:
        found = await super().list_pods()
        return [attrs.evolve(one, key=vk.PodKey("", one.key.name, one.key.uid)) for one in found]


@breaks("a_restart_finds_the_pods_or_has_none")
class ListsItsOwnOnly(ToyProvider):
    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus | None:
        self.__dict__.setdefault("mine", set()).add(pod.key)
        return await super().create_pod(pod)

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        mine = self.__dict__.get("mine", set())
        return [one for one in await super().list_pods() if one.key in mine]


@breaks("a_restart_finds_the_pods_or_has_none 2")
class OutlivesTheProvider(ToyProvider):
    durable = False


@breaks("a_list_holds_this_nodes_pods_only")
class ListsEverything(ToyProvider):
    async def list_pods(self) -> Sequence[vk.PodStatus]:
        return [one.status() for one in await self.backend.ask()]


@breaks("a_list_that_fails_raises")
class ListsNothingOnError(ToyProvider):
    async def list_pods(self) -> Sequence[vk.PodStatus]:
        try:
            return await super().list_pods()
        except ConnectionError:
            return []


@breaks("a_look_up_agrees_with_the_list")
class LooksNothingUp(ToyProvider):
    async def get_pods(self, keys: Sequence[vk.PodKey]) -> Sequence[vk.PodStatus]:
        return []


@breaks("a_look_up_agrees_with_the_list 2")
class LooksEverythingUp(ToyProvider):
    async def get_pods(self, keys: Sequence[vk.PodKey]) -> Sequence[vk.PodStatus]:
        return [vk.PodStatus(key) for key in keys]


@breaks("the_exit_code_is_the_containers")
class AlwaysExitsZero(ToyProvider):
    async def list_pods(self) -> Sequence[vk.PodStatus]:
        return [_exited_zero(one) for one in await super().list_pods()]


def _exited_zero(status: vk.PodStatus) -> vk.PodStatus:
    (one,) = status.containers
    if isinstance(one.state, vk.Terminated):
        one = attrs.evolve(one, state=vk.Terminated(0))
    return attrs.evolve(status, containers=[one])


@breaks("the_stream_tells_each_change")
class WatchYieldsNothing(ToyProvider):
    async def watch_pods(self) -> AsyncIterator[vk.PodChange]:
        await asyncio.Event().wait()
        yield vk.Gone(vk.PodKey("", "", ""))


@breaks("the_stream_may_be_started_again")
class WatchOnlyOnce(ToyProvider):
    async def watch_pods(self) -> AsyncIterator[vk.PodChange]:
        if self.__dict__.setdefault("watched", False):
            raise RuntimeError("watch_pods was called already")
        self.__dict__["watched"] = True
        async for change in super().watch_pods():
            yield change


@breaks("a_status_only_moves_forward")
class RunsAgainAfterItsEnd(ToyProvider):
    async def watch_pods(self) -> AsyncIterator[vk.PodChange]:
        async for change in super().watch_pods():
            yield change
            if isinstance(change, vk.PodStatus):
                (one,) = change.containers
                yield attrs.evolve(change, containers=[attrs.evolve(one, state=vk.Running())])


@breaks("the_resolved_environment_is_delivered")
class ReadsRawVariables(ToyProvider):
    def workload(self, pod: vk.Pod) -> Workload:
        workload = super().workload(pod)
        raw = pod.containers[0].raw.get("env") or ()
        workload.env = {one["name"]: one["value"] for one in raw}
        return workload


@breaks("the_resolved_files_are_delivered")
class DeliversNoFiles(ToyProvider):
    def workload(self, pod: vk.Pod) -> Workload:
        workload = super().workload(pod)
        workload.files = {}
        return workload


@breaks("an_honoured_command_and_its_args_are_run")
class SplitsArguments(ToyProvider):
    def workload(self, pod: vk.Pod) -> Workload:
        workload = super().workload(pod)
        workload.argument = workload.argument.partition(" ")[0]
        return workload


@breaks("an_honoured_working_directory_is_entered")
class StaysAtHome(ToyProvider):
    def workload(self, pod: vk.Pod) -> Workload:
        workload = super().workload(pod)
        workload.folder = "/"
        return workload


@breaks("an_honoured_restart_policy_restarts")
class NeverRestarts(ToyProvider):
    def workload(self, pod: vk.Pod) -> Workload:
        workload = super().workload(pod)
        workload.policy = "Never"
        return workload


@breaks("a_container_that_runs_on_stays_the_same_run")
class CountsLists(ToyProvider):
    async def list_pods(self) -> Sequence[vk.PodStatus]:
        count = self.__dict__["lists"] = self.__dict__.get("lists", 0) + 1
        return [
            attrs.evolve(
                one,
                containers=[attrs.evolve(row, restart_count=count) for row in one.containers],
            )
            for one in await super().list_pods()
        ]


@breaks("a_container_that_runs_on_stays_the_same_run 2")
class StartsNow(ToyProvider):
    async def list_pods(self) -> Sequence[vk.PodStatus]:
        now = vk.Running(moment(2 * clock()))
        return [
            attrs.evolve(
                one,
                containers=[
                    attrs.evolve(row, state=now) if isinstance(row.state, vk.Running) else row
                    for row in one.containers
                ],
            )
            for one in await super().list_pods()
        ]


@breaks("statistics_are_of_the_nodes_pods")
class NegativeUsage(ToyProvider):
    async def stats(self) -> vk.NodeStats:
        total = vk.Usage(time=moment(clock()), cpu_cores=-1.0)
        return attrs.evolve(await super().stats(), total=total)


@breaks("statistics_are_of_the_nodes_pods 2")
class StatisticsOfOthers(ToyProvider):
    async def stats(self) -> vk.NodeStats:
        other = vk.PodKey("default", "other", "c0117ac7-0000-4000-8000-eeeeeeeeeeee")
        return vk.NodeStats(pods=[vk.PodStats(other)])


@breaks("changed_files_are_delivered")
class KeepsFiles(ToyProvider):
    async def update_files(self, key: vk.PodKey, volume: str, files: vk.FileTree) -> None:
        pass
