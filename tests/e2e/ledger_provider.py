"""A provider whose workloads are lines of a file: a backend that outlives the process, and tells.

A plugin of the tests; `ledger` installs it and reads the file. With ``hold`` a create that has gone
out gets its answer only when the process has lost the node's lease.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

import vk


@attrs.frozen
class LedgerConfig:
    """Where the lines are."""

    file: str
    hold: bool = False


class LedgerProvider(vk.Provider):
    """Writes a line before and after each create, and one for each delete."""

    config_class = LedgerConfig

    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "8", "memory": "16Gi", "pods": "100"})

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        self._write("create", pod.key, env=dict(pod.containers[0].env))
        while self.context.config.hold and self._held():  # noqa: ASYNC110 # the lease has no event
            await asyncio.sleep(0.02)
        self._write("runs", pod.key, containers=[one.name for one in pod.containers])
        return vk.PodStatus.running(pod)

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> None:
        if key.uid not in self._running():
            raise vk.NotFoundError(key)
        self._write("delete", key)

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        return list(self._running().values())

    async def get_pods(self, keys: Sequence[vk.PodKey]) -> Sequence[vk.PodStatus]:
        running = self._running()
        return [running[key.uid] for key in keys if key.uid in running]

    def _held(self) -> bool:
        try:
            self.context.check_lease()
        except vk.TemporaryError:
            return False
        return True

    def _write(self, did: str, key: vk.PodKey, **more: Any) -> None:
        line = {"did": did, "key": [key.namespace, key.name, key.uid], **more}
        line |= {"at": time.time(), "by": os.environ["POD_UID"]}
        with Path(self.context.config.file).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _running(self) -> dict[str, vk.PodStatus]:
        path = Path(self.context.config.file)
        found: dict[str, vk.PodStatus] = {}
        for text in path.read_text().splitlines() if path.exists() else ():
            line = json.loads(text)
            key = vk.PodKey(*line["key"])
            if line["did"] == "runs":
                states = [
                    vk.ContainerStatus(name=name, state=vk.Running()) for name in line["containers"]
                ]
                created = datetime.fromtimestamp(line["at"], UTC)
                found[key.uid] = vk.PodStatus(key, containers=states, created_at=created)
            elif line["did"] == "delete":
                found.pop(key.uid, None)
        return found


class FilesProvider(LedgerProvider):
    """Takes files, claims and tokens too."""

    fields = vk.FieldTable(honoured=("spec.volumes",))

    async def update_files(self, key: vk.PodKey, volume: str, files: vk.FileTree) -> None:
        self._write("files", key, volume=volume)


@vk.hookimpl
def vk_register_providers(register: vk.Register) -> None:
    register("ledger", LedgerProvider)
    register("ledger-files", FilesProvider)
