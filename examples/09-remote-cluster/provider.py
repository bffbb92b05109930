"""Pods forwarded to another Kubernetes cluster, as they are: `resolves` is empty.

The remote pod is named after the UID of ours, so it is made once; labels say whose it is. What the
remote cluster says of it is the status, unchanged.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Self

import attrs
from kubernetes_asyncio import client, config
from kubernetes_asyncio.client.exceptions import ApiException

import vk

OWNER = "remote.example/owner"
WHERE = "remote.example/pod"
LEFT_OUT = ("nodeName", "nodeSelector", "priority", "serviceAccount", "serviceAccountName")


@attrs.frozen(kw_only=True)
class RemoteConfig:
    """The remote cluster: path of a kubeconfig, and the namespace that takes all pods."""

    kubeconfig: str
    namespace: str = "default"


@attrs.define(eq=False)
class RemoteProvider(vk.Provider):
    """Runs pods in a namespace of another cluster."""

    config_class = RemoteConfig
    resolves = frozenset()  # the remote cluster resolves variables and volumes itself
    poll_interval = 1.0

    _client: client.ApiClient = attrs.field(init=False)

    async def __aenter__(self) -> Self:
        self._client = await config.new_client_from_config(self.context.config.kubeconfig)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "1000", "memory": "4000Gi", "pods": "1000"})

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        body = {"metadata": self._metadata(pod), "spec": _spec(pod.spec)}
        try:
            made = await self._pods.create_namespaced_pod(self._namespace, body)
        except ApiException as error:
            if error.status != 409:  # it is there already: an earlier call has made it
                raise _meaning(error) from error
            made = await self._pods.read_namespaced_pod(_name(pod.key), self._namespace)
        return self._status(made)

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> vk.PodStatus:
        try:
            gone = await self._pods.delete_namespaced_pod(
                _name(key), self._namespace, grace_period_seconds=int(grace_period)
            )
        except ApiException as error:
            raise _meaning(error) from error
        return self._status(gone)

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        try:
            found = await self._pods.list_namespaced_pod(
                self._namespace, label_selector=f"{OWNER}={self._owner}"
            )
        except ApiException as error:
            raise _meaning(error) from error
        return [self._status(pod) for pod in found.items]

    async def logs(
        self, container: vk.ContainerKey, options: vk.LogOptions
    ) -> AsyncIterator[bytes]:
        age = (datetime.now(UTC) - options.since).total_seconds() if options.since else None
        query = {
            "container": container.name,
            "follow": options.follow,
            "previous": options.previous,
            "tail_lines": options.tail_lines,
            "limit_bytes": options.limit_bytes,
            "timestamps": options.timestamps,
            "since_seconds": age and max(1, math.ceil(age)),
        }
        given = {name: value for name, value in query.items() if value not in (None, False)}
        answer = await self._pods.read_namespaced_pod_log(
            _name(container.pod), self._namespace, _preload_content=False, **given
        )
        if answer.status != 200:
            text = await answer.text()
            raise _meaning(ApiException(status=answer.status, reason=text))
        async with answer:
            async for piece in answer.content.iter_any():
                yield piece

    @property
    def _pods(self) -> Any:  # its methods take and give more than their types say
        return client.CoreV1Api(self._client)

    @property
    def _namespace(self) -> str:
        return self.context.config.namespace  # type: ignore[no-any-return] # of config_class

    @property
    def _owner(self) -> str:
        """This cluster's and this node's identity, in a form that fits a label."""
        whose = f"{self.context.cluster_uid}/{self.context.node_name}"
        return hashlib.sha256(whose.encode()).hexdigest()[:32]

    def _metadata(self, pod: vk.Pod) -> dict[str, Any]:
        key = pod.key
        return {
            "name": _name(key),
            "labels": {**pod.labels, OWNER: self._owner},
            "annotations": {**pod.annotations, WHERE: f"{key.namespace}/{key.name}"},
        }

    def _status(self, remote: client.V1Pod) -> vk.PodStatus:
        namespace, _, name = remote.metadata.annotations[WHERE].partition("/")
        key = vk.PodKey(namespace, name, remote.metadata.name.removeprefix("vk-"))
        raw = self._client.sanitize_for_serialization(remote.status) or {}
        return vk.PodStatus.from_json(key, raw)


def _name(key: vk.PodKey) -> str:
    return f"vk-{key.uid}"


def _spec(spec: Any) -> dict[str, Any]:
    """Leave out what means this cluster, such as the node that the pod was bound to."""
    kept = {name: value for name, value in spec.items() if name not in LEFT_OUT}
    tokens = {one["name"] for one in spec.get("volumes") or () if "projected" in one}
    kept["volumes"] = [one for one in spec.get("volumes") or () if one["name"] not in tokens]
    kept["containers"] = [
        {
            **container,
            "volumeMounts": [
                one for one in container.get("volumeMounts") or () if one["name"] not in tokens
            ],
        }
        for container in spec["containers"]
    ]
    return {**kept, "automountServiceAccountToken": False}


def _meaning(error: ApiException) -> vk.ProviderError:
    """Say what an answer of the remote cluster means to ours."""
    text = f"the remote cluster says {error.status}: {error.reason}"
    if error.status == 404:
        return vk.NotFoundError(text)
    if error.status in (400, 422):
        return vk.InvalidInputError(text)
    if error.status in (401, 403):
        return vk.PermanentError(text, reason="RemoteForbidden")
    return vk.TemporaryError(text)


@vk.hookimpl
def vk_register_providers(register: vk.Register) -> None:
    register("remote", RemoteProvider)
