"""A backend for the fault run: a folder with one file a workload, and a ledger of what was done.

Loaded with ``vk --plugin ledger_provider.py --provider ledger``. Workloads outlive the process, as
those of a cloud do: what one is doing follows from its file and the clock alone. Each call that
arrives at the backend appends one line to ``ledger.jsonl``, which `fault_recorder` reads; nothing
else is shared.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

import vk

ENDS_AFTER, EXIT_CODE, STUBBORN = (
    "fault-run/ends-after",
    "fault-run/exit-code",
    "fault-run/stubborn",
)
"""Annotations of a pod: seconds until its container ends by itself, with which code, and for how
many seconds it ignores the request to end."""


@attrs.frozen
class Config:
    """Where the workloads are."""

    folder: str


@attrs.define
class Ledger(vk.Provider):
    """Runs pods as files of a folder. A workload never restarts its container."""

    config_class = Config
    list_interval = 5.0

    async def describe_node(self) -> vk.NodeInfo:
        """Offer room for every pod of the run."""
        return vk.NodeInfo(capacity={"cpu": "100", "memory": "100Gi", "pods": "1000"})

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        """Start the workload, unless there is one of this UID: it takes 0.2 s either way."""
        await asyncio.sleep(0.1)
        path = self._path(pod.key.uid)
        if not path.exists():
            after = pod.annotations.get(ENDS_AFTER)
            record = {
                "key": attrs.astuple(pod.key),
                "started": time.time(),
                "ends": None if after is None else time.time() + float(after),
                "code": int(pod.annotations.get(EXIT_CODE, "0")),
                "stubborn": float(pod.annotations.get(STUBBORN, "0")),
            }
            self._write(path, record)
            self._note("start", pod.key.uid)
        await asyncio.sleep(0.1)
        return self._status(self._read(path))

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> vk.PodStatus:
        """Ask the container to end; it is killed at the end of the grace period."""
        path = self._path(key.uid)
        if not path.exists():
            raise vk.NotFoundError(key)
        record, now = self._read(path), time.time()
        self._note("delete", key.uid, grace=grace_period)
        if record["ends"] is None or record["ends"] > now:
            killed = record["stubborn"] > grace_period
            record["ends"] = now + min(grace_period, record["stubborn"])
            record["code"] = 137 if killed else 0
            self._write(path, record)
        return self._status(record)

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        """Return every workload, and drop those that ended over a minute ago."""
        return [self._status(record) for record in self._all()]

    async def get_pods(self, keys: Sequence[vk.PodKey]) -> Sequence[vk.PodStatus]:
        """Look some workloads up directly."""
        paths = [self._path(key.uid) for key in keys]
        return [self._status(self._read(path)) for path in paths if path.exists()]

    async def watch_pods(self) -> AsyncIterator[vk.PodChange]:
        """Yield what differs from a moment ago."""
        before: Mapping[str, vk.PodStatus] = {}
        while True:
            current = {record["key"][2]: self._status(record) for record in self._all()}
            for uid, status in current.items():
                if before.get(uid) != status:
                    yield status
            before = current
            await asyncio.sleep(0.2)

    def _all(self) -> list[dict[str, Any]]:
        return [self._read(path) for path in sorted(self._folder.glob("*.json"))]

    @property
    def _folder(self) -> Path:
        return Path(self.context.config.folder)

    def _path(self, uid: str) -> Path:
        return self._folder / f"{uid}.json"

    def _read(self, path: Path) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(path.read_text())
        return record

    def _write(self, path: Path, record: Mapping[str, Any]) -> None:
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(record))
        unfinished.replace(path)

    def _note(self, call: str, uid: str, **more: object) -> None:
        entry = {"call": call, "uid": uid, "at": time.time(), "replica": os.environ["POD_UID"]}
        with (self._folder / "ledger.jsonl").open("a") as ledger:
            ledger.write(json.dumps(entry | more) + "\n")

    def _status(self, record: Mapping[str, Any]) -> vk.PodStatus:
        key, started = vk.PodKey(*record["key"]), datetime.fromtimestamp(record["started"], UTC)
        state: vk.ContainerState = vk.Running(started)
        if record["ends"] is not None and record["ends"] <= time.time():
            ended = datetime.fromtimestamp(record["ends"], UTC)
            state = vk.Terminated(record["code"], started_at=started, finished_at=ended)
        address = "10.9." + ".".join(str(int(key.uid[i : i + 2], 16)) for i in (0, 2))
        container = vk.ContainerStatus(name="main", state=state)
        return vk.PodStatus(key, containers=(container,), pod_ips=(address,), created_at=started)


@vk.hookimpl
def vk_register_providers(register: vk.Register) -> None:
    """Register the provider."""
    register("ledger", Ledger)
