"""The runtime of one node's pods: folders, isolation, network, and the start of a pod.

The provider calls it to adopt existing pods (`PodRuntime.adopt`, `load`), to `start` a pod, to
`release` network and volumes after its end, and to `remove` the rest. All methods are idempotent.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from ipaddress import IPv4Network
from typing import Self

import attrs

import vk
from vk_providers.process import machine
from vk_providers.process.config import ProcessConfig
from vk_providers.process.folders import PodFolders, PodIdentity
from vk_providers.process.isolation import Bubblewrap, find_bubblewrap
from vk_providers.process.network import Network, socket_in
from vk_providers.process.planner import VOLUMES, PodPlanner
from vk_providers.process.pod import ProcessPod
from vk_providers.process.protocol import is_running, last_report
from vk_providers.process.shielding import finish_before_cancel
from vk_providers.process.supervisor_client import start_supervisor

__all__ = ["PodRuntime"]

log = logging.getLogger(__name__)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


@attrs.frozen(kw_only=True, eq=False)
class PodRuntime:
    """Runs pods; created by `open`."""

    config: ProcessConfig
    host_ip: str
    _folders: PodFolders
    _isolation: Bubblewrap | None
    _network: Network | None

    @classmethod
    async def open(cls, config: ProcessConfig, *, cluster_uid: str, node_name: str) -> Self:
        """Prepare the machine; raises ConfigError where it does not support the configuration."""
        folders = PodFolders.of(config.folder, cluster_uid=cluster_uid, node_name=node_name)
        network = None
        if config.network == "namespace":
            owner = f"{cluster_uid}/{node_name}"
            network = Network(config.bridge, IPv4Network(config.pod_cidr), owner)
        return cls(
            config=config,
            host_ip=config.address or machine.address(),
            folders=folders,
            isolation=await find_bubblewrap(config.isolation),
            network=network,
        )

    async def adopt(self) -> list[ProcessPod]:
        """Return all pods that were started here; remove incomplete folders."""
        found: list[ProcessPod] = []
        ips: dict[str, str] = {}
        for uid in self._folders.uids():
            workload = self.load(uid)
            if workload is None:
                await finish_before_cancel(asyncio.to_thread(self._folders.remove, uid))
                continue
            found.append(workload)
            if workload.identity.own_network and not workload.over:
                ips[uid] = workload.identity.ip
        if self._network is not None:
            await self._network.open(ips)
        log.info("pods adopted", extra={"pods": len(found)})
        return found

    def load(self, uid: str) -> ProcessPod | None:
        """Return the pod of ``uid``, None where it was not started."""
        identity, folder = self._folders.load(uid), self._folders.pod(uid)
        if identity is None or not (is_running(folder) or last_report(folder)):
            return None
        workload = ProcessPod(identity, folder, self.host_ip)
        workload.refresh()
        return workload

    async def start(self, pod: vk.Pod) -> ProcessPod:
        """Start the pod; idempotent. Leaves nothing behind where it raises a ProviderError."""
        uid = pod.key.uid
        own_network = self._network is not None and not pod.spec.get("hostNetwork")
        try:
            ip = await self._network.add(uid) if self._network and own_network else self.host_ip
            identity = PodIdentity(key=pod.key, ip=ip, own_network=own_network)
            return await self._start(identity, pod)
        except (vk.ProviderError, OSError):
            if not is_running(self._folders.pod(uid)):
                await self.remove(uid)
            raise

    async def _start(self, identity: PodIdentity, pod: vk.Pod) -> ProcessPod:
        uid = identity.key.uid
        self._folders.save(identity)
        launch = PodPlanner(
            pod=pod.with_ips((identity.ip,), (self.host_ip,)),
            ip=identity.ip,
            files=self._folders.files(uid),
            config=self.config,
            isolation=self._isolation,
            own_network=identity.own_network,
        )
        wrap = self._network.wrap(uid) if self._network and identity.own_network else ()
        folder = self._folders.pod(uid)
        plan = await finish_before_cancel(asyncio.to_thread(launch.plan))  # it writes files
        client = await start_supervisor(folder, plan, wrap=wrap)
        return ProcessPod(identity, folder, self.host_ip, client)

    async def update_files(self, uid: str, volume: str, files: vk.FileTree) -> None:
        """Replace a volume's files; raises NotFoundError where the pod's folder is gone."""
        folder = self._folders.files(uid) / VOLUMES / volume
        if not folder.is_dir():
            raise vk.NotFoundError(f"volume {volume!r} of pod {uid} does not exist")
        try:
            await finish_before_cancel(asyncio.to_thread(vk.write_files, folder, files))
        except OSError as error:
            raise vk.TemporaryError(f"volume {volume!r}: {error}") from error

    async def release(self, uid: str) -> None:
        """Release network and volumes of an ended pod."""
        if self._network is not None:
            await self._network.remove(uid)
        await finish_before_cancel(asyncio.to_thread(self._folders.remove_files, uid))

    async def remove(self, uid: str) -> None:
        """Remove all resources of an ended pod."""
        await self.release(uid)
        await finish_before_cancel(asyncio.to_thread(self._folders.remove, uid))

    async def connect(self, identity: PodIdentity, port: int) -> Streams:
        """Connect to a port of the pod's loopback; raises TemporaryError where nothing listens."""
        why = ""
        for family, address in _LOOPBACKS:
            connection = await self._socket(identity, family)
            try:
                connection.setblocking(False)
                await asyncio.get_running_loop().sock_connect(connection, (address, port))
                return await asyncio.open_connection(sock=connection)
            except OSError as error:
                connection.close()
                why = why or str(error)
            except BaseException:
                connection.close()
                raise
        raise vk.TemporaryError(f"cannot connect to port {port} of pod {identity.key}: {why}")

    async def _socket(self, identity: PodIdentity, family: socket.AddressFamily) -> socket.socket:
        if identity.own_network and self._network is not None:
            return await socket_in(self._network.namespace(identity.key.uid), family)
        return socket.socket(family, socket.SOCK_STREAM)
