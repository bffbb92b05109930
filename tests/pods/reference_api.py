"""An API server in memory that also has what pods refer to: objects, tokens, watches."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from pod_world import Api, Backend, raw

from vk.cluster.client import Listing
from vk.errors import ForbiddenError, NotFoundError, ObjectNotFoundError
from vk.fields import FieldTable
from vk.models.files import FileTree
from vk.models.keys import PodKey
from vk.models.pod import Pod
from vk.models.status import PodStatus


class ReferenceApi(Api):
    """Objects by plural and name. ``reads`` counts who asked for them, ``requests`` the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.reads: Counter[tuple[str, str]] = Counter()
        self.pod_reads = 0
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.refused = False
        """Nothing of this kind may be read, and no token be asked for."""
        self.may_watch = True
        self.token_life: float | None = None
        self._watchers: dict[str, list[asyncio.Queue[tuple[str, dict[str, Any]]]]] = {}

    def put(self, plural: str, name: str, **content: Any) -> None:
        """Write an object, as another client."""
        metadata = {
            "namespace": "default",
            "name": name,
            "uid": f"{plural}-{name}",
            "resourceVersion": str(next(self._versions)),
        }
        self.objects[plural, name] = {"metadata": metadata, **content}
        self._tell(plural, "MODIFIED", self.objects[plural, name])

    def take(self, plural: str, name: str) -> None:
        """Delete an object, as another client."""
        gone = self.objects.pop((plural, name))
        gone["metadata"]["resourceVersion"] = str(next(self._versions))
        self._tell(plural, "DELETED", gone)

    async def get(self, resource: Any, name: str, **more: Any) -> dict[str, Any]:
        if resource.plural == "pods":
            self.pod_reads += 1
            return await super().get(resource, name, **more)
        self.reads[resource.plural, name] += 1
        text = f"get {resource.plural} {name}"
        if self.refused:
            raise ForbiddenError(f"{text}: 403 Forbidden: cannot get {resource.plural}", status=403)
        try:
            return copy.deepcopy(self.objects[resource.plural, name])
        except KeyError:
            raise ObjectNotFoundError(f"{text}: 404 NotFound", status=404) from None

    async def create(self, resource: Any, body: Any, *, name: str, **_: Any) -> dict[str, Any]:
        text = f"create {resource.plural}/token {name}"
        if self.refused:
            raise ForbiddenError(f"{text}: 403 Forbidden", status=403)
        self.requests.append((name, body["spec"]))
        life = self.token_life or body["spec"]["expirationSeconds"]
        end = datetime.now(UTC) + timedelta(seconds=life)
        status = {
            "token": f"token-{len(self.requests)}",
            "expirationTimestamp": end.isoformat().replace("+00:00", "Z"),
        }
        return {**body, "status": status}

    async def list(self, resource: Any, *, each: Any = None, **_: Any) -> Listing:
        if not self.may_watch:
            raise ForbiddenError(f"list {resource.plural}: 403 Forbidden", status=403)
        kept = [one for key, one in self.objects.items() if key[0] == resource.plural]
        found = [each(copy.deepcopy(one)) for one in kept]
        return Listing(found, str(next(self._versions)))

    async def watch(self, resource: Any, **_: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        queue: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self._watchers.setdefault(resource.plural, []).append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers[resource.plural].remove(queue)

    def _tell(self, plural: str, kind: str, found: dict[str, Any]) -> None:
        for queue in self._watchers.get(plural, ()):
            queue.put_nowait((kind, copy.deepcopy(found)))


class Files(Backend):
    """A backend that takes files, and changed ones. ``files`` is what its pods see."""

    fields = FieldTable(honoured=("spec.volumes[]", "spec.imagePullSecrets"))

    def __init__(self) -> None:
        super().__init__()
        self.pods: dict[str, Pod] = {}
        self.files: dict[str, dict[str, FileTree]] = {}
        self.given: list[tuple[str, str]] = []
        """UID and volume of each change."""
        self.failures: list[Exception] = []

    async def create_pod(self, pod: Pod) -> PodStatus | None:
        self.pods[pod.key.uid], self.files[pod.key.uid] = pod, dict(pod.files)
        return await super().create_pod(pod)

    async def update_pod(self, pod: Pod, changed: Collection[str]) -> PodStatus | None:
        self.updates += 1
        return None

    async def update_files(self, key: PodKey, volume: str, files: FileTree) -> None:
        if self.failures:
            raise self.failures.pop(0)
        if key.uid not in self.workloads:
            raise NotFoundError(key)
        self.given.append((key.uid, volume))
        self.files.setdefault(key.uid, {})[volume] = files

    def seen(self, volume: str, uid: str = "u") -> dict[str, str]:
        """What a container of the pod reads in a volume."""
        return {path: file.content.decode() for path, file in self.files[uid][volume].items()}


class Static(Files):
    """A backend whose files stay as they were."""

    update_files = Backend.update_files


def using(*volumes: dict[str, Any], name: str = "p", uid: str = "u", **spec: Any) -> dict[str, Any]:
    """A pod of this node with ``volumes``."""
    return raw(name, uid, volumes=list(volumes), nodeName="node-1", **spec)


def config_map(name: str, volume: str = "settings", **more: Any) -> dict[str, Any]:
    return {"name": volume, "configMap": {"name": name, **more}}


def secret(name: str, volume: str = "hush", **more: Any) -> dict[str, Any]:
    return {"name": volume, "secret": {"secretName": name, **more}}


def token(seconds: int = 3607, **more: Any) -> dict[str, Any]:
    """The volume that API servers put into almost every pod, as far as the token goes."""
    source = {"path": "token", "expirationSeconds": seconds, **more}
    return {"name": "kube-api-access", "projected": {"sources": [{"serviceAccountToken": source}]}}
