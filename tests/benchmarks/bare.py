"""The yardstick: the least that a node can do, as a bare asyncio client.

    python tests/benchmarks/bare.py KUBECONFIG NODE

It watches the pods of a node and patches each to Running; one that shall end it patches to its end
and deletes. It keeps nothing, checks nothing, repeats no write and writes no events: what any node
costs at least, for the same writes. Runs until it is stopped.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from access import PODS, open_session, watch_pods

_HEADERS = {"Content-Type": "application/strategic-merge-patch+json"}
_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _status(pod: dict[str, Any], phase: str, state: dict[str, Any]) -> dict[str, Any]:
    """Return a whole status as a kubelet would write it."""
    now, running = _now(), phase == "Running"
    conditions = [
        {"type": name, "status": str(running), "lastTransitionTime": now} for name in _CONDITIONS
    ]
    containers = [
        {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "containerID": f"bare://{pod['metadata']['uid']}/{container['name']}",
            "ready": running,
            "started": running,
            "restartCount": 0,
            "state": state,
        }
        for container in pod["spec"]["containers"]
    ]
    return {
        "phase": phase,
        "startTime": now,
        "hostIP": "10.0.0.1",
        "podIP": "10.200.0.1",
        "podIPs": [{"ip": "10.200.0.1"}],
        "conditions": conditions,
        "containerStatuses": containers,
    }


async def _patch(session: aiohttp.ClientSession, name: str, status: dict[str, Any]) -> None:
    path, body = f"{PODS}/{name}/status", orjson.dumps({"status": status})
    async with session.patch(path, data=body, headers=_HEADERS) as answer:
        await answer.read()
        answer.raise_for_status()


async def _start(session: aiohttp.ClientSession, pod: dict[str, Any]) -> None:
    status = _status(pod, "Running", {"running": {"startedAt": _now()}})
    await _patch(session, pod["metadata"]["name"], status)


async def _end(session: aiohttp.ClientSession, pod: dict[str, Any]) -> None:
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    ended = {"exitCode": 0, "reason": "Completed", "finishedAt": _now()}
    await _patch(session, name, _status(pod, "Succeeded", {"terminated": ended}))
    body = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
    async with session.delete(f"{PODS}/{name}", json=body) as answer:
        await answer.read()
        answer.raise_for_status()


async def main(kubeconfig: Path, node: str) -> None:
    """Serve the node's pods until it is stopped."""
    started: set[str] = set()
    ending: set[str] = set()
    async with (
        asyncio.TaskGroup() as tasks,
        open_session(kubeconfig, connections=64) as session,
        open_session(kubeconfig, connections=1) as watching,
    ):
        async for events in watch_pods(watching, node):
            for event in events:
                for work in _work(session, event, started, ending):
                    tasks.create_task(work)


def _work(
    session: aiohttp.ClientSession, event: dict[str, Any], started: set[str], ending: set[str]
) -> list[Coroutine[Any, Any, None]]:
    """Return what an event asks for."""
    pod = event["object"]
    uid = pod["metadata"]["uid"]
    if event["type"] == "DELETED":
        started.discard(uid)
        ending.discard(uid)
    elif "deletionTimestamp" in pod["metadata"]:
        if uid not in ending:
            ending.add(uid)
            return [_end(session, pod)]
    elif uid not in started:
        started.add(uid)
        return [_start(session, pod)]
    return []


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
