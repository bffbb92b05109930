"""Rules of what a provider says of its pods and of its node when it is asked."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from vk.errors import ConfigError, UnsupportedError
from vk.models.keys import PodKey
from vk.models.status import ContainerStatus, Running, Terminated
from vk.notation.quantity import parse_quantity
from vk.testing.contract.base import STAYS, Base
from vk.testing.contract.bench import Bench
from vk.testing.contract.rule import Broken, require, rule

__all__ = ["ListingRules"]

_AWHILE = 2.0
_RESOURCES = ("cpu", "memory", "pods")


class ListingRules(Base):
    """Lists, look-ups and the description of the node."""

    @rule
    async def test_the_node_offers_cpu_memory_and_pods(self, bench: Bench) -> None:
        """describe_node gives quantities that Kubernetes can read; without them nothing fits."""
        info = await bench.call("describe_node", bench.provider.describe_node())
        for name in _RESOURCES:
            require(name in info.capacity, f"the capacity is {dict(info.capacity)}, without {name}")
        for name, text in {**info.capacity, **(info.allocatable or {})}.items():
            try:
                parse_quantity(text)
            except (ValueError, TypeError) as error:
                raise Broken(f"{name} is {text!r}, which is no quantity") from error

    @rule
    async def test_a_listed_pod_has_its_whole_key(self, bench: Bench) -> None:
        """Statuses carry namespace, name and UID of the pod, and names of its containers."""
        pod = await self.running(bench)
        status = await bench.find(pod.key)
        require(status, f"list_pods does not have pod {pod.key}")
        assert status is not None  # for the type checker: require has seen to it
        found = (status.key.namespace, status.key.name)
        wanted = (pod.key.namespace, pod.key.name)
        require(found == wanted, f"the key is {'/'.join(found)}, the pod {'/'.join(wanted)}")
        unknown = {one.name for one in status.containers} - {one.name for one in pod.containers}
        require(not unknown, f"the pod has no containers {sorted(unknown)}")

    @rule
    async def test_a_restart_finds_the_pods_or_has_none(self, bench: Bench) -> None:
        """With ``durable`` a new process lists the pods of the old one, without it none of them.

        The core marks the pods of a provider with ``durable = False`` as failed after a restart: a
        workload that goes on would be lost, and billed.
        """
        pod = await self.running(bench)
        durable = bench.provider.durable
        await bench.reopen()
        status = await bench.find(pod.key)
        if durable:
            require(status, "durable is True, and after a restart list_pods does not have the pod")
        else:
            require(status is None, f"durable is False, and after a restart the pod is {status}")

    @rule
    async def test_a_list_holds_this_nodes_pods_only(self, bench: Bench) -> None:
        """A workload carries the identity of its cluster and node; others' are not listed.

        What is listed and has no pod is an orphan, and is deleted. A provider may also refuse, with
        ConfigError, to open a backend of another node.
        """
        pod = self.make(bench, STAYS)
        await bench.create(pod)
        for other in (bench.beside(node_name="another"), bench.beside(cluster_uid="another")):
            whose = f"node {other.node_name} of cluster {other.cluster_uid}"
            with suppress(ConfigError):
                async with other:
                    keys = {status.key for status in await other.listed()}
                    require(pod.key not in keys, f"{whose} lists a pod of node {bench.node_name}")

    @rule
    async def test_a_container_that_runs_on_stays_the_same_run(self, bench: Bench) -> None:
        """Start and restart count of a container change with a restart, and with nothing else."""
        pod = await self.running(bench)
        first = await bench.find(pod.key)
        await asyncio.sleep(_AWHILE)
        later = await bench.find(pod.key)
        runs = [[_run(one) for one in status.containers] for status in (first, later) if status]
        require(len(runs) == 2, "list_pods does not have the pod any more")
        require(runs[0] == runs[1], f"{_AWHILE:g} s later {runs[0]} is {runs[1]}")

    @rule
    async def test_statistics_are_of_the_nodes_pods(self, bench: Bench) -> None:
        """stats names pods that list_pods has, with their containers, and nothing is negative."""
        pod = await self.running(bench)
        try:
            stats = await bench.call("stats", bench.provider.stats())
        except UnsupportedError:
            return
        listed = {status.key for status in await bench.listed()}
        unknown = [str(one.key) for one in stats.pods if one.key not in listed]
        require(not unknown, f"there are statistics of {unknown}, which list_pods does not have")
        for one in stats.pods:
            names = {container.name for container in pod.containers}
            if one.key == pod.key:
                require(one.containers.keys() <= names, f"the pod has no {set(one.containers)}")
            for usage in (*one.containers.values(), one.total, stats.total):
                negative = {
                    name: value
                    for name in ("cpu_seconds", "cpu_cores", "memory_bytes", "working_set_bytes")
                    if (value := getattr(usage, name, None)) is not None and value < 0
                }
                require(not negative, f"of {one.key} there is {negative}")

    @rule
    async def test_a_list_that_fails_raises(self, bench: Bench) -> None:
        """While the backend does not answer list_pods raises: less than all would be a lie."""
        pod = await self.running(bench)
        outage = self.outage(bench)
        if outage is None:
            pytest.skip("the backend cannot be away: `outage` says None")
        async with outage:
            try:
                found = await bench.listed()
            except Broken:
                raise
            except Exception:  # noqa: BLE001 # any error says that nothing is known
                return
        require(False, f"without its backend list_pods gives {len(found)} pods, not {pod.key}")

    @rule
    async def test_a_look_up_agrees_with_the_list(self, bench: Bench) -> None:
        """get_pods gives what is there, and leaves out only what is known to be absent."""
        pod = await self.running(bench)
        nowhere = PodKey("default", "nowhere", "c0117ac7-0000-4000-8000-ffffffffffff")
        try:
            found = await bench.call("get_pods", bench.provider.get_pods([pod.key, nowhere]))
        except UnsupportedError:
            return
        keys = {status.key for status in found}
        require(pod.key in keys, "get_pods leaves out a pod that list_pods has: it says it is gone")
        require(keys == {pod.key}, f"get_pods was asked for two pods, one of them there: {keys}")

    @rule
    async def test_the_exit_code_is_the_containers(self, bench: Bench) -> None:
        """A container that ends with 3 is Terminated with exit code 3."""
        pod = await self.ended(bench, 3)
        status = await bench.find(pod.key)
        states = [one.state for one in status.containers] if status else []
        codes = [state.exit_code for state in states if isinstance(state, Terminated)]
        require(codes == [3], f"the containers' states are {states}")


def _run(one: ContainerStatus) -> tuple[object, ...]:
    started = one.state.started_at if isinstance(one.state, Running) else None
    second = None if started is None else started.replace(microsecond=0)
    return one.name, type(one.state).__name__, second, one.restart_count
