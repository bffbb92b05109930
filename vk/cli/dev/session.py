"""One `vk dev`: embedded cluster, scheduler, display and a node, from start to end.

In: the settings of the node, its provider, what to submit. `vk.cli.dev.command` runs it. All parts
communicate over HTTP as in any cluster; the provider's `development` encloses all of
it.

At the end scheduling stops and the pods are deleted first, so that no workload outlives the
cluster; then the node stops in order, then the API server. Workloads that do not
end are named; the next session on the folder, which is the same cluster to a provider, ends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TextIO

import attrs
import orjson

from vk.cli.dev.display import LineDisplay, Screen, show
from vk.cli.dev.manifests import Manifest
from vk.cluster.client import Client
from vk.cluster.kubeconfig import read_access
from vk.cluster.resources import Resource
from vk.devcluster.cluster import DevCluster
from vk.devcluster.controllers.node_pods import NodePods
from vk.devcluster.controllers.scheduler import Scheduler
from vk.errors import ClusterError, ConfigError, ConflictError
from vk.kubelet import VirtualKubelet
from vk.provider import Provider
from vk.settings import Settings

__all__ = ["Session", "submit"]

_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_NAMED = 20  # pods in a message
_PATIENCE = 10.0  # s that the end waits for the next pod to end


@attrs.define(eq=False, kw_only=True)
class Session:
    """Run it once; cancel it to stop. ``ready`` is set once the node runs and all is submitted.

    Raises ConfigError where the folder or port is taken, where the provider's configuration cannot
    work, and where the API server refuses a manifest.
    """

    folder: Path
    """Certificates and kubeconfig go here; one session at a time."""
    port: int = 0
    """Port of the API server; 0: any that is free."""
    settings: Settings
    provider_class: type[Provider]
    development: Callable[[], AbstractAsyncContextManager[Mapping[str, str]]]
    """Makes what the provider needs for as long as the session runs."""
    configure: Callable[[Mapping[str, str]], Any]
    """From what `development` gave to the provider's configuration."""
    manifests: Sequence[Manifest] = ()
    greet: Callable[[Path], str]
    """From the kubeconfig to the text that is shown once the API server listens."""
    out: TextIO
    display: LineDisplay | Screen | None = attrs.field(default=None, init=False)
    """The display, while it runs."""
    ready: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    async def run(self) -> None:
        """Serve until cancelled."""
        async with self.development() as defaults:
            config = self.configure(defaults)
            async with DevCluster(self.folder, port=self.port) as cluster:
                with show(cluster.storage, self.out) as self.display:
                    self.display.print(self.greet(cluster.kubeconfig))
                    try:
                        await self._serve(cluster, self.display, config)
                    finally:
                        self.display = None

    async def _serve(self, cluster: DevCluster, display: LineDisplay | Screen, config: Any) -> None:
        access = read_access(cluster.kubeconfig)
        kubelet = VirtualKubelet(self.provider_class, config, self.settings, access=access)
        async with Client(access, user_agent="vk-dev") as client, asyncio.TaskGroup() as tasks:
            tasks.create_task(display.run())
            scheduler = tasks.create_task(Scheduler(client).run())
            node = tasks.create_task(kubelet.run())
            try:
                await kubelet.ready.wait()  # without a limit: a provider may never get ready
                await NodePods(cluster.storage, self.settings.node_name).wait_until_schedulable()
                for manifest in self.manifests:
                    await submit(client, manifest)
                self.ready.set()
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                scheduler.cancel()
                if not node.done():
                    await self._end_pods(cluster, client, display)
                raise

    async def _end_pods(
        self, cluster: DevCluster, client: Client, display: LineDisplay | Screen
    ) -> None:
        """Delete the pods on the node; name those that have not ended, and how to end them."""
        pods = NodePods(cluster.storage, self.settings.node_name)
        count = len(pods.entries())
        if count:
            display.print(f"ending {count} pod{'s' * (count > 1)}; Ctrl-C again: at once")
        left = [entry.key for entry in await pods.end(client, patience=_PATIENCE)]
        if left:
            more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
            display.print(
                f"not ended: {', '.join(left[:_NAMED])}{more}\n"
                "Workloads may go on: start vk dev again with the same flags, and it ends them"
            )


async def submit(client: Client, manifest: Manifest) -> None:
    """Create the object, or change the one that is there. Raises ConfigError where refused."""
    kind = manifest.kind
    resource = Resource(kind.group, kind.version, kind.plural, kind.name, kind.namespaced)
    body = _annotated(manifest.body)
    try:
        try:
            await client.create(resource, body, namespace=manifest.namespace)
        except ConflictError:
            await client.patch(resource, manifest.name, body, namespace=manifest.namespace)
    except ClusterError as error:
        raise ConfigError(f"--apply: {manifest.place}: {error}") from error


def _annotated(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object with what `kubectl apply` compares with, so that it may go on from here."""
    metadata = body["metadata"]
    annotations = {**(metadata.get("annotations") or {})}
    annotations[_APPLIED] = orjson.dumps(body).decode() + "\n"
    return {**body, "metadata": {**metadata, "annotations": annotations}}
