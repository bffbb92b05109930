"""The pod side as it is, between an API server in memory and a scripted backend; simulated time."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs

from vk.cluster.store import Store
from vk.errors import ConflictError, InvalidObjectError, NotFoundError, ObjectNotFoundError
from vk.models.keys import PodKey
from vk.models.node import NodeInfo
from vk.models.pod import Pod
from vk.models.status import ContainerStatus, PodStatus, Terminated
from vk.pods.resolve.reference_watch import ReferenceWatch
from vk.pods.resolve.references import References
from vk.pods.resolve.resolver import Resolver
from vk.pods.resolve.services import Services
from vk.pods.status.writer import StatusWriter
from vk.pods.sync.feed import Feed
from vk.pods.sync.gateway import ProviderGateway
from vk.pods.sync.live_files import LiveFiles
from vk.pods.sync.orphans import Orphans
from vk.pods.sync.prepare import Preparation
from vk.pods.sync.reconciler import Reconciler
from vk.pods.sync.records import Name, Records
from vk.provider import Provider
from vk.settings import LiveSettings, Settings
from vk.workqueue import WorkQueue

STARTED = "2026-01-01T00:00:00Z"
INFO = NodeInfo(capacity={"cpu": "100", "memory": "100Gi", "pods": "1000"})
MERGE_KEYS = {"conditions": "type", "podIPs": "ip", "hostIPs": "ip"}


def raw(
    name: str = "p", uid: str = "u", *, status: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """An API pod with one container, ``main``."""
    containers = [{"name": "main", "image": "busybox"}]
    return {
        "metadata": {"namespace": "default", "name": name, "uid": uid},
        "spec": {"containers": containers, "restartPolicy": "Always", **spec},
        "status": status or {"phase": "Pending"},
    }


def deleted(pod: dict[str, Any], grace: int = 30) -> dict[str, Any]:
    """The pod as it is while its deletion is asked for."""
    mark = {"deletionTimestamp": STARTED, "deletionGracePeriodSeconds": grace}
    return {**pod, "metadata": {**pod["metadata"], **mark}}


def ended(key: PodKey, exit_code: int = 0) -> PodStatus:
    """The status of a pod whose container has ended."""
    return PodStatus(key, containers=[ContainerStatus(name="main", state=Terminated(exit_code))])


def merge(have: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Apply a strategic merge patch as the API server does for a pod's status."""
    result = dict(have)
    for field, value in patch.items():
        if value is None:
            result.pop(field, None)
        elif isinstance(value, dict) and field != "state":
            result[field] = merge(result.get(field) or {}, value)
        elif field in MERGE_KEYS:
            result[field] = _merge_list(result.get(field) or [], value, MERGE_KEYS[field])
        else:
            result[field] = _without_nulls(value)
    return result


def _merge_list(have: list[Any], patch: list[Any], key: str) -> list[Any]:
    if {"$patch": "replace"} in patch:
        return [entry for entry in patch if "$patch" not in entry]
    entries = {entry[key]: entry for entry in have}
    for entry in patch:
        if entry.get("$patch") == "delete":
            entries.pop(entry[key], None)
            continue
        entries[entry[key]] = merge(entries.get(entry[key], {}), entry)
    return list(entries.values())


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(part) for name, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value


class Api:
    """Pods by name, and a watch that tells of each change a moment later."""

    def __init__(self) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.observe: Callable[[Any, Any], None] = lambda old, new: None
        self.failures: list[Exception] = []
        """Raised by the next calls, one each."""
        self.fails_deletes: list[Exception] = []
        """The same for removals only."""
        self.phases: dict[str, list[str]] = {}
        self.told: set[tuple[PodKey, str]] = set()
        """Pods and ids of the events that are written once."""
        self.answers_after = 0.0
        """Seconds until a patch is answered; the watch tells of it at once."""
        self._versions = itertools.count(1)

    async def get(self, resource: Any, name: str, **_: Any) -> dict[str, Any]:
        return copy.deepcopy(self._pod(name))

    async def patch(self, resource: Any, name: str, body: Any, **_: Any) -> dict[str, Any]:
        self._fail()
        have = self._pod(name)
        if body["metadata"]["uid"] != have["metadata"]["uid"]:
            raise InvalidObjectError("patch pods: 422 Invalid: metadata.uid", status=422)
        changed = merge(have, copy.deepcopy(body))
        if len(changed["status"].get("podIPs") or ()) > 1:  # they are of one family here
            raise InvalidObjectError("patch pods: 422 Invalid: status.podIPs", status=422)
        kept = self._keep(changed)
        await asyncio.sleep(self.answers_after)
        return kept

    async def delete(self, resource: Any, name: str, *, uid: str = "", **_: Any) -> None:
        self._fail()
        if self.fails_deletes:
            raise self.fails_deletes.pop(0)
        if uid and self._pod(name)["metadata"]["uid"] != uid:
            raise ConflictError("delete pods: 409 Conflict", status=409)
        self.remove(name)

    def add(self, pod: dict[str, Any]) -> None:
        """Create a pod, or replace one, as another client."""
        self._keep(pod)

    def ask_delete(self, name: str, grace: int = 30) -> None:
        """Delete a pod gracefully, as another client."""
        self._keep(deleted(self._pod(name), grace))

    def remove(self, name: str) -> None:
        """The object goes at once."""
        old = self.pods.pop(name)
        asyncio.get_running_loop().call_soon(self.observe, old, None)

    def restore(self, backup: dict[str, Any]) -> int:
        """The cluster becomes what it was when it held ``backup``; return the version before."""
        old, version = self.pods[backup["metadata"]["name"]], next(self._versions)
        self._versions = itertools.count(int(backup["metadata"]["resourceVersion"]) + 1)
        self.pods = {backup["metadata"]["name"]: backup}
        asyncio.get_running_loop().call_soon(self.observe, old, copy.deepcopy(backup))
        return version

    def phase(self, name: str = "p") -> str:
        return str(self._pod(name)["status"]["phase"])

    def status(self, name: str = "p") -> dict[str, Any]:
        return dict(self._pod(name)["status"])

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    def _pod(self, name: str) -> dict[str, Any]:
        try:
            return self.pods[name]
        except KeyError:
            raise ObjectNotFoundError("pods: 404", status=404) from None

    def _keep(self, pod: dict[str, Any]) -> dict[str, Any]:
        version = str(next(self._versions))
        pod = {**pod, "metadata": {**pod["metadata"], "resourceVersion": version}}
        name = pod["metadata"]["name"]
        old, self.pods[name] = self.pods.get(name), pod
        phases = self.phases.setdefault(pod["metadata"]["uid"], [])
        if not phases or phases[-1] != pod["status"]["phase"]:
            phases.append(pod["status"]["phase"])
        asyncio.get_running_loop().call_soon(self.observe, old, copy.deepcopy(pod))
        return copy.deepcopy(pod)


class Backend(Provider):
    """Runs pods until told otherwise. ``workloads`` is all there is; tests change it freely.

    Creating the same UID a second time makes ``doubles`` grow: a real backend would have two.
    """

    poll_interval = 5.0

    def __init__(self) -> None:
        self.workloads: dict[str, PodStatus] = {}
        self.doubles = self.creates = self.deletes = self.updates = 0
        self.graces: list[float] = []
        self.slow_stop = False
        """A deleted workload stays until the test takes it away."""

    async def describe_node(self) -> NodeInfo:
        return NodeInfo(capacity={"cpu": "100", "memory": "100Gi", "pods": "1000"})

    async def create_pod(self, pod: Pod) -> PodStatus | None:
        self.creates += 1
        self.doubles += pod.key.uid in self.workloads
        return self.workloads.setdefault(pod.key.uid, PodStatus.running(pod))

    async def delete_pod(self, key: PodKey, *, grace_period: float) -> PodStatus | None:
        self.deletes += 1
        self.graces.append(grace_period)
        if key.uid not in self.workloads:
            raise NotFoundError(key)
        return None if self.slow_stop else self.stop(key.uid)

    def stop(self, uid: str, exit_code: int = 0) -> PodStatus:
        """The workload ends; what is left of it is its status."""
        self.workloads[uid] = ended(self.workloads[uid].key, exit_code)
        return self.workloads[uid]

    async def list_pods(self) -> Sequence[PodStatus]:
        return list(self.workloads.values())


class Direct(Backend):
    """A backend with a direct look-up."""

    async def get_pods(self, keys: Sequence[PodKey]) -> Sequence[PodStatus]:
        return [self.workloads[key.uid] for key in keys if key.uid in self.workloads]


@attrs.define(eq=False)
class World:
    """Everything of one process. Entering lists once and starts the loops."""

    api: Api
    provider: Any
    watched: bool = False
    daemonsets: str = "refuse"
    records: Records = attrs.field(factory=Records)
    events: list[tuple[str, str, str]] = attrs.field(factory=list)
    suspect: list[bool] = attrs.field(factory=list)
    check_lease: Callable[[], None] = lambda: None
    settings: LiveSettings = attrs.field(init=False)
    reconciler: Reconciler = attrs.field(init=False)
    feed: Feed = attrs.field(init=False)
    files: LiveFiles = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        client: Any = self.api
        self.settings = LiveSettings(
            Settings(provider="scripted", node_name="node-1", daemonsets=self.daemonsets)
        )
        gateway = ProviderGateway(provider=self.provider, check_lease=lambda: self.check_lease())
        watch = ReferenceWatch(client, allowed=self.watched)
        queue: WorkQueue[Name] = WorkQueue()
        resolver = Resolver(
            provider=self.provider,
            settings=self.settings.current,
            references=References(client, watch),
            services=Services(Store()),
            node=lambda: INFO,
            labels=lambda: {"zone": "a"},
        )
        self.files = LiveFiles(
            gateway=gateway,
            watch=watch,
            resolver=resolver,
            records=self.records,
            wake=queue.add,
            emit=self.emit,
        )
        list_requested = asyncio.Event()
        self.reconciler = Reconciler(
            queue=queue,
            records=self.records,
            gateway=gateway,
            preparation=Preparation(
                resolver=resolver, settings=self.settings, draining=lambda: False, emit=self.emit
            ),
            files=self.files,
            writer=StatusWriter(client=client, emit=self.emit),
            emit=self.emit,
            list_requested=list_requested,
            settings=self.settings,
        )
        self.feed = Feed(
            gateway=gateway,
            reconciler=self.reconciler,
            orphans=Orphans(
                gateway=gateway,
                records=self.records,
                client=client,
                settings=self.settings,
                list_requested=list_requested,
            ),
            list_requested=list_requested,
            set_provider_suspect=self.suspect.append,
        )

    def change_settings(self, **changes: Any) -> None:
        """The settings change while the process runs."""
        self.settings.current = attrs.evolve(self.settings.current, **changes)

    def emit(
        self, key: PodKey, type: str, reason: str, message: str, *, id: str | None = None
    ) -> None:
        if id is not None:
            if (key, id) in self.api.told:
                return
            self.api.told.add((key, id))
        self.events.append((type, reason, message))

    def reasons(self) -> list[str]:
        return [reason for _, reason, _ in self.events]


@asynccontextmanager
async def running(api: Api, provider: Provider, **options: Any) -> AsyncIterator[World]:
    """A process that acts for the node; at the end it is stopped as a clean stop does it.

    ``options`` are fields of `World`.
    """
    world = World(api, provider, **options)
    api.observe = world.reconciler.observe
    for pod in api.pods.values():
        world.reconciler.observe(None, copy.deepcopy(pod))
    await world.feed.first_list()
    loops = [world.reconciler.run(), world.feed.run_lists(), world.reconciler.run_resync(60.0)]
    loops.append(world.reconciler.run_retries())
    if world.files.supported:
        loops += [world.files.run(), world.files.watch.run()]
    if world.reconciler.gateway.implements("watch_pods"):
        loops.append(world.feed.run_stream())
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield world
    finally:
        api.observe = lambda old, new: None
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
