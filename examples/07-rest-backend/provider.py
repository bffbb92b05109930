"""A provider over HTTP: pods are workloads of the server in `server.py`.

The workload's id is the pod's UID, so a create that is sent twice finds the first one. Everything
that the backend must remember of a pod goes with it, so a new process needs no file of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Self

import attrs
import httpx
from httpx_aiohttp import AiohttpTransport

import vk


@attrs.frozen(kw_only=True)
class RestConfig:
    """Filled from ``--provider-config``, ``--set`` and the environment."""

    url: str = attrs.field(default="http://127.0.0.1:8000", metadata={"env": "REST_BACKEND"})
    timeout: float = 5.0


@attrs.define(eq=False)
class RestProvider(vk.Provider):
    """Runs pods on an HTTP backend."""

    config_class = RestConfig

    _client: httpx.AsyncClient = attrs.field(init=False)

    async def __aenter__(self) -> Self:
        config = self.context.config
        transport = AiohttpTransport()
        self._client = httpx.AsyncClient(
            base_url=config.url, timeout=config.timeout, transport=transport, trust_env=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "64", "memory": "256Gi", "pods": "500"})

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        key = pod.key
        workload = {
            "owner": self._owner,
            "namespace": key.namespace,
            "name": key.name,
            "containers": [container.name for container in pod.containers],
            "image": pod.containers[0].image,
        }
        answer = await self._ask("PUT", f"/workloads/{key.uid}", json=workload)
        return _status(answer.json())

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> None:
        await self._ask("DELETE", f"/workloads/{key.uid}")

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        answer = await self._ask("GET", "/workloads", params={"owner": self._owner})
        return [_status(workload) for workload in answer.json()]

    async def ping(self) -> None:
        await self.list_pods()

    async def logs(
        self, container: vk.ContainerKey, options: vk.LogOptions
    ) -> AsyncIterator[bytes]:
        """Give a log that can only be asked for as a whole: `follow` does the rest."""
        if options.previous:
            raise vk.NotFoundError(f"{container} never restarted")

        async def poll(since: datetime | None) -> bytes:
            return await self._log(container)

        async for piece in self.context.follow(container, options, poll):
            yield piece

    async def _log(self, container: vk.ContainerKey) -> bytes:
        pod = self.context.pods.get(container.pod.uid)
        if pod is None or all(container.name != one.name for one in pod.containers):
            raise vk.NotFoundError(f"no container {container}")
        return (await self._ask("GET", f"/workloads/{container.pod.uid}/log")).content

    @property
    def _owner(self) -> str:
        """This cluster's and this node's identity, which every workload carries."""
        return f"{self.context.cluster_uid}/{self.context.node_name}"

    async def _ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Send one request. Only a 404 means absent; an answer that is lost is left to vk."""
        answer = await self._client.request(method, path, **content)
        if answer.status_code == 404:
            raise vk.NotFoundError(f"{path} is not there")
        if answer.status_code in (429, 503):
            raise vk.TemporaryError(f"the backend is busy: {answer.status_code}")
        if answer.status_code == 400:
            raise vk.InvalidInputError(f"the backend refused it: {answer.text}")
        answer.raise_for_status()
        return answer


def _status(workload: dict[str, Any]) -> vk.PodStatus:
    started = datetime.fromisoformat(workload["started"])
    return vk.PodStatus(
        vk.PodKey(workload["namespace"], workload["name"], workload["id"]),
        containers=[
            vk.ContainerStatus(name=name, state=vk.Running(started))
            for name in workload["containers"]
        ],
        created_at=started,
        backend_id=workload["id"],
    )


@vk.hookimpl
def vk_register_providers(register: vk.Register) -> None:
    register("rest", RestProvider)
