"""The client of the API server: JSON in, JSON out, errors of `vk.errors`.

Everything that talks to the cluster goes through here; how requests travel is in
`vk.cluster.transport`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from types import TracebackType
from typing import Any, Literal
from urllib.parse import urlencode

import attrs

from vk.cluster.config import Access
from vk.cluster.resources import Resource
from vk.cluster.transport import Observe, Transport
from vk.cluster.watch import Event, events
from vk.errors import ExpiredError

__all__ = ["Client", "Listing"]

Object = dict[str, Any]

_FORMS = {
    "strategic": "application/strategic-merge-patch+json",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
}
_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_PAGE = "500"
_LIST_ATTEMPTS = 5


@attrs.frozen
class Listing:
    """A complete list and the resource version to watch from."""

    items: list[Object] = attrs.field(repr=False)
    resource_version: str


@attrs.define(eq=False)
class Client:
    """One identity at one API server. Enter it before the first call.

    ``qps`` 0 means no limit of ours. ``connections`` bounds calls in flight; watches come on top.
    Every method raises ClusterError classes only; each call may be cancelled, which leaves the
    outcome of a write unknown. Time-outs are seconds and cover waits for 429.
    """

    _access: Access = attrs.field(repr=False)
    user_agent: str = attrs.field(kw_only=True)
    qps: float = attrs.field(default=0.0, kw_only=True)
    burst: int = attrs.field(default=0, kw_only=True)
    connections: int = attrs.field(default=64, kw_only=True)
    _observe: Observe | None = attrs.field(default=None, kw_only=True, repr=False)
    _transport: Transport = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._transport = Transport(
            self._access,
            self.user_agent,
            self.qps,
            self.burst,
            self.connections,
            self._observe,
        )

    async def __aenter__(self) -> Client:
        self._transport.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._transport.close()

    def local_address(self) -> str:
        """Return the local IP that reaches the API server (or its proxy).

        It is that of the last connection; before the first one a name may have to be resolved,
        which blocks. Raises UnavailableError where there is no route.
        """
        return self._transport.sockets.local_address()

    async def quiet(self) -> None:
        """Return at a moment when no call is in flight: the time for what is less urgent."""
        await self._transport.quiet()

    async def get(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        subresource: str = "",
        timeout: float = 30.0,
    ) -> Object:
        """Return one object as it is now (a quorum read); ObjectNotFoundError where it is not."""
        path = _named(resource, name, namespace, subresource)
        return await self._transport.call(
            "GET", path, _text("get", resource, name), timeout=timeout
        )

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        field_selector: str = "",
        label_selector: str = "",
        metadata_only: bool = False,
        timeout: float = 60.0,
        each: Callable[[Object], Object] | None = None,
    ) -> Listing:
        """Return all objects, never a part: a quorum read, page by page.

        ``timeout`` holds for each page. ``each`` is called with every object as its page comes in
        and gives what is kept. A continue token that expired starts the list over. With
        ``metadata_only`` nothing else of the objects is sure to be there.
        """
        accept = _METADATA if metadata_only else _JSON
        query = {
            "limit": _PAGE,
            **({"fieldSelector": field_selector} if field_selector else {}),
            **({"labelSelector": label_selector} if label_selector else {}),
        }
        path = resource.path(namespace=namespace)
        for attempt in range(1, _LIST_ATTEMPTS + 1):
            try:
                return await self._pages(resource, path, query, accept, timeout, each)
            except ExpiredError:
                if attempt == _LIST_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    async def _pages(
        self,
        resource: Resource,
        path: str,
        query: Mapping[str, str],
        accept: str,
        timeout: float,
        each: Callable[[Object], Object] | None,
    ) -> Listing:
        items: list[Object] = []
        token = ""
        while True:
            page = await self._transport.call(
                "GET",
                f"{path}?{urlencode({**query, 'continue': token} if token else query)}",
                _text("list", resource),
                accept=accept,
                timeout=timeout,
            )
            for item in page.get("items") or ():
                # A list leaves these out of its items; a watch sends them.
                item.setdefault("apiVersion", resource.api_version)
                item.setdefault("kind", resource.kind)
                items.append(each(item) if each else item)
            metadata = page.get("metadata") or {}
            token = metadata.get("continue") or ""
            if not token:
                return Listing(items, metadata.get("resourceVersion") or "")

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        namespace: str = "",
        subresource: str = "",
        name: str = "",
        timeout: float = 30.0,
    ) -> Object:
        """Create an object and return it; ``name`` only where a subresource is created."""
        path = resource.path(name, namespace, subresource)
        return await self._transport.call(
            "POST", path, _text("create", resource, name), body=body, timeout=timeout
        )

    async def replace(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any],
        *,
        namespace: str = "",
        subresource: str = "",
        timeout: float = 30.0,
    ) -> Object:
        """Replace an object and return it; ConflictError when its resourceVersion moved on."""
        path = _named(resource, name, namespace, subresource)
        return await self._transport.call(
            "PUT", path, _text("update", resource, name), body=body, timeout=timeout
        )

    async def patch(
        self,
        resource: Resource,
        name: str,
        body: Any,
        *,
        namespace: str = "",
        subresource: str = "",
        form: Literal["strategic", "merge", "json"] = "strategic",
        timeout: float = 30.0,
    ) -> Object:
        """Patch an object and return it."""
        path = _named(resource, name, namespace, subresource)
        text = _text("patch", resource, name)
        return await self._transport.call(
            "PATCH", path, text, body=body, content_type=_FORMS[form], timeout=timeout
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        uid: str = "",
        grace_period: int | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Ask for an object's deletion; with ``uid``, ConflictError if it is another object."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid:
            body["preconditions"] = {"uid": uid}
        if grace_period is not None:
            body["gracePeriodSeconds"] = grace_period
        path = _named(resource, name, namespace, "")
        await self._transport.call(
            "DELETE", path, _text("delete", resource, name), body=body, timeout=timeout
        )

    def watch(
        self,
        resource: Resource,
        *,
        resource_version: str,
        namespace: str = "",
        field_selector: str = "",
    ) -> AsyncGenerator[Event, None]:
        """Watch over one connection; see `vk.cluster.watch.events`. Close it when done."""
        query = {"resourceVersion": resource_version}
        if field_selector:
            query["fieldSelector"] = field_selector
        path, text = resource.path(namespace=namespace), _text("watch", resource)

        def connect(more: Mapping[str, str]) -> Any:
            return self._transport.stream(f"{path}?{urlencode({**query, **more})}", text)

        return events(connect, text)


def _named(resource: Resource, name: str, namespace: str, subresource: str) -> str:
    if not name:
        raise ValueError(f"{resource.plural}: a name is needed")
    return resource.path(name, namespace, subresource)


def _text(verb: str, resource: Resource, name: str = "") -> str:
    return f"{verb} {resource.plural} {name}".rstrip()
