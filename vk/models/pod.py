"""The pod as a provider sees it: a view over the API object plus what the core resolved.

``raw`` is the object as the API server sent it and is never changed. ``containers``, ``dns`` and
``hosts`` are resolved if the provider wants that (`Provider.resolves`). Otherwise they are read as
the object has them: literal variables only, command and args unexpanded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs

from vk.models.api_object import Json, metadata_map, spec_of, volumes_of
from vk.models.files import FileTree, RegistryCredential
from vk.models.keys import PodKey
from vk.models.volumes import Volume, volume

__all__ = ["DNS", "Container", "HostAlias", "Json", "Pod", "Resolution", "pod_key"]


@attrs.frozen(kw_only=True)
class Container:
    """One container with its environment, command and args as the process should get them.

    ``open_env`` names the variables that wait for the pod's addresses: they are not in ``env``
    until `Pod.with_ips`, and a ``$(NAME)`` of them stays as it is in command and args.
    """

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = attrs.field(factory=dict, repr=False)  # may hold secrets
    open_env: tuple[str, ...] = ()
    service_env: frozenset[str] = frozenset()
    """Variables in ``env`` that only describe Services of the namespace (``enableServiceLinks``).

    Where a backend limits the environment these are the first to be left out.
    """
    raw: Json = attrs.field(repr=False)


@attrs.frozen
class HostAlias:
    """One line of the pod's hosts file (``/etc/hosts``)."""

    ip: str
    hostnames: tuple[str, ...]


@attrs.frozen
class DNS:
    """The pod's DNS settings; ``options`` as written in ``resolv.conf``."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Resolution:
    """What the core resolved for a pod; `reopen` resolves it again with addresses."""

    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...] = ()
    ephemeral_containers: tuple[Container, ...] = ()
    dns: DNS = DNS()
    files: Mapping[str, FileTree] = attrs.field(factory=dict, repr=False)
    volumes: Mapping[str, Volume] | None = None
    """None: as in the object, claims without their PersistentVolumes."""
    registry_credentials: tuple[RegistryCredential, ...] = ()
    reopen: Callable[[Sequence[str], Sequence[str]], Resolution] | None = attrs.field(
        default=None, repr=False, eq=False
    )


def pod_key(raw: Json) -> PodKey:
    """Return the key of an API pod object."""
    metadata = raw["metadata"]
    return PodKey(metadata["namespace"], metadata["name"], metadata["uid"])


def _plain(raw: Json) -> Container:
    return Container(
        name=raw["name"],
        image=raw.get("image") or "",
        command=tuple(raw.get("command") or ()),
        args=tuple(raw.get("args") or ()),
        env={
            variable["name"]: variable.get("value") or ""
            for variable in raw.get("env") or ()
            if not variable.get("valueFrom")
        },
        raw=raw,
    )


@attrs.frozen(slots=False)  # cached properties are worth more here than the slots
class Pod:
    """A read-only view of one pod. Cheap to make: everything is read on first use."""

    raw: Json = attrs.field(repr=False)
    resolution: Resolution | None = attrs.field(default=None, repr=False, kw_only=True)

    @cached_property
    def key(self) -> PodKey:
        """Namespace, name and UID."""
        return pod_key(self.raw)

    @property
    def metadata(self) -> Json:
        """The raw ``metadata``."""
        return self.raw["metadata"]  # type: ignore[no-any-return] # raw JSON is untyped

    @property
    def spec(self) -> Json:
        """The raw ``spec``."""
        return spec_of(self.raw)

    @property
    def labels(self) -> Mapping[str, str]:
        """The pod's labels."""
        return metadata_map(self.raw, "labels")

    @property
    def annotations(self) -> Mapping[str, str]:
        """The pod's annotations."""
        return metadata_map(self.raw, "annotations")

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """The containers in the order of the spec."""
        if self.resolution is not None:
            return self.resolution.containers
        return tuple(_plain(raw) for raw in self.spec.get("containers") or ())

    @cached_property
    def init_containers(self) -> tuple[Container, ...]:
        """The init containers in the order of the spec."""
        if self.resolution is not None:
            return self.resolution.init_containers
        return tuple(_plain(raw) for raw in self.spec.get("initContainers") or ())

    @cached_property
    def ephemeral_containers(self) -> tuple[Container, ...]:
        """The containers that `kubectl debug` added, in order; they arrive with an update."""
        if self.resolution is not None:
            return self.resolution.ephemeral_containers
        return tuple(_plain(raw) for raw in self.spec.get("ephemeralContainers") or ())

    @property
    def dns(self) -> DNS:
        """The DNS settings; empty unless the core resolved them."""
        return self.resolution.dns if self.resolution is not None else DNS()

    @property
    def hosts(self) -> tuple[HostAlias, ...]:
        """The extra lines of the pod's hosts file."""
        return tuple(
            HostAlias(alias["ip"], tuple(alias.get("hostnames") or ()))
            for alias in self.spec.get("hostAliases") or ()
        )

    @cached_property
    def volumes(self) -> Mapping[str, Volume]:
        """The volumes by name, in the order of the spec."""
        if self.resolution is not None and self.resolution.volumes is not None:
            return self.resolution.volumes
        return {raw["name"]: volume(raw) for raw in volumes_of(self.raw)}

    @property
    def files(self) -> Mapping[str, FileTree]:
        """The files of each volume of kind configMap, secret, projected or downwardAPI, by name.

        Empty unless the core resolved them. They are as the kubelet would place them. The
        provider applies a container's subPath.
        """
        return self.resolution.files if self.resolution is not None else {}

    @property
    def registry_credentials(self) -> tuple[RegistryCredential, ...]:
        """Logins for image registries, in the order of the pod's secrets; empty unless resolved."""
        return self.resolution.registry_credentials if self.resolution is not None else ()

    @property
    def restart_policy(self) -> str:
        """``Always`` (the default), ``OnFailure`` or ``Never``."""
        return self.spec.get("restartPolicy") or "Always"

    @property
    def grace_period(self) -> float:
        """Seconds between the request to stop and the kill, by the spec (default 30)."""
        seconds = self.spec.get("terminationGracePeriodSeconds")
        return 30.0 if seconds is None else float(seconds)

    def with_ips(self, pod_ips: Sequence[str], host_ips: Sequence[str] = ()) -> Pod:
        """Return this pod with the variables that waited for its addresses filled in.

        Repeatable; reads nothing from the cluster. Returns the pod itself if no variable was open.
        """
        if self.resolution is None or self.resolution.reopen is None:
            return self
        known = self.resolution
        opened = attrs.evolve(
            self.resolution.reopen(pod_ips, host_ips),
            files=known.files,
            volumes=known.volumes,
            registry_credentials=known.registry_credentials,
        )
        return attrs.evolve(self, resolution=opened)

    def to_v1(self) -> Any:
        """Return the object as a typed ``kubernetes_asyncio.client.V1Pod`` (about 1 ms)."""
        from vk.models.typed import to_v1_pod

        return to_v1_pod(self.raw)
