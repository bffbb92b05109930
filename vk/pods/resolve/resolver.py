"""Reads the objects that a pod refers to, and resolves the pod with them for the provider.

In: the pod's object. Out: a `Pod` with its environment, files, claims and credentials, as far as
the provider wants them (`Provider.resolves`, `Provider.fields`): nothing else is read, and no token
is requested. The rules themselves are pure (`environment`, `volumes`, `claims`, `registries`,
`dns`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

import attrs

from vk.cluster.resources import CLAIMS, CONFIG_MAPS, PERSISTENT_VOLUMES, SECRETS
from vk.errors import InvalidInputError
from vk.models.api_object import spec_of
from vk.models.files import FileTree, RegistryCredential
from vk.models.keys import PodKey
from vk.models.node import NodeInfo
from vk.models.pod import Json, Pod, Resolution
from vk.models.volumes import Volume
from vk.pods.errors import MissingReference, Notice, NotReadyError
from vk.pods.resolve.claims import ClaimNeed, bound_volume, check_volume, claim_needs, volumes
from vk.pods.resolve.dns import resolve_dns
from vk.pods.resolve.environment import needs, resolve
from vk.pods.resolve.references import References
from vk.pods.resolve.registries import pull_secrets, registry_credentials
from vk.pods.resolve.services import Services
from vk.pods.resolve.tokens import Bindings, Tokens
from vk.pods.resolve.volumes import (
    VolumeSources,
    file_sources,
    object_names,
    resolve_files,
    token_needs,
)
from vk.provider import Provider
from vk.settings import Settings

__all__ = ["Resolver"]


@attrs.define(eq=False, kw_only=True)
class Resolver:
    """Resolves pods. Every method raises MissingReference, NotReadyError and ClusterError."""

    provider: Provider
    settings: Settings
    references: References
    services: Services
    node: Callable[[], NodeInfo]
    labels: Callable[[], Mapping[str, str]]
    tokens: Tokens = attrs.field(init=False)

    @tokens.default
    def _own_tokens(self) -> Tokens:
        client = self.references.client
        bindings = Bindings(client=client, node_name=self.settings.node_name)
        return Tokens(client=client, bindings=bindings)

    async def resolve(
        self, key: PodKey, raw: Json, *, mounted: bool = False, running: bool = False
    ) -> tuple[Pod, list[Notice]]:
        """Return the pod with all that the provider wants resolved, and the notices about it.

        A pod that is ``mounted`` has its volumes already, and of one that is ``running`` no
        container starts now: what of its volumes or its environment cannot be resolved is left out.
        """
        wanted = self.provider.resolves
        if not wanted:
            return Pod(raw), []
        resolution, notices = await self._environment(key, raw, running=running)
        if "files" in wanted:
            credentials, more = await self._credentials(key, raw)
            resolution = attrs.evolve(
                resolution,
                files=await self._all_files(key, raw, mounted=mounted),
                volumes=await self._volumes(key, raw, mounted=mounted),
                registry_credentials=credentials,
            )
            notices += more
        return Pod(raw, resolution=resolution), notices

    def sources(self, raw: Json) -> VolumeSources:
        """Return the sources of the pod's volumes; none where the provider resolves no files."""
        if "files" not in self.provider.resolves:
            return {}
        return file_sources(raw, self.provider.fields)

    async def files(
        self, key: PodKey, raw: Json, sources: VolumeSources, *, since: float | None = None
    ) -> dict[str, FileTree]:
        """Return the files of volumes; ``since`` as in `References.read`."""
        space, several = key.namespace, self.references.several
        maps = await several(CONFIG_MAPS, space, object_names(sources, "configMap"), since)
        secrets = await several(SECRETS, space, object_names(sources, "secret"), since)
        return resolve_files(
            raw,
            sources,
            config_maps=maps,
            secrets=secrets,
            tokens={need: await self.tokens.get(key, raw, need) for need in token_needs(sources)},
            allocatable=self._allocatable(),
            limit=self.provider.file_limit,
        )

    async def _all_files(self, key: PodKey, raw: Json, *, mounted: bool) -> dict[str, FileTree]:
        sources = self.sources(raw)
        if not mounted:
            return await self.files(key, raw, sources)
        found: dict[str, FileTree] = {}
        for volume, several in sources.items():
            with suppress(MissingReference, NotReadyError, InvalidInputError):
                found |= await self.files(key, raw, {volume: several})
        return found

    async def _environment(
        self, key: PodKey, raw: Json, *, running: bool
    ) -> tuple[Resolution, list[Notice]]:
        if "env" not in self.provider.resolves:
            plain = Pod(raw)
            resolution = Resolution(
                containers=plain.containers,
                init_containers=plain.init_containers,
                ephemeral_containers=plain.ephemeral_containers,
            )
            return resolution, []
        named, several = needs(raw), self.references.several
        return resolve(
            raw,
            config_maps=await several(CONFIG_MAPS, key.namespace, named.config_maps),
            secrets=await several(SECRETS, key.namespace, named.secrets),
            links=self.services.links(key.namespace),
            allocatable=self._allocatable(),
            dns=resolve_dns(
                spec_of(raw),
                namespace=key.namespace,
                cluster_dns=self.settings.cluster_dns or self.services.dns(),
                cluster_domain=self.settings.cluster_domain,
            ),
            api_server=self.settings.pod_api_server,
            running=running,
        )

    async def _volumes(
        self, key: PodKey, raw: Json, *, mounted: bool
    ) -> Mapping[str, Volume] | None:
        bound = {}
        for need in claim_needs(raw, self.provider.fields):
            try:
                bound[need.volume] = await self._behind(key, raw, need)
            except NotReadyError:
                if not mounted:
                    raise
        return volumes(raw, bound) if bound else None

    async def _behind(self, key: PodKey, raw: Json, need: ClaimNeed) -> Json:
        """Return the PersistentVolume that a claim stands for."""
        claim = await self.references.read(CLAIMS, key.namespace, need.claim)
        name = bound_volume(raw, need, claim)
        found = await self.references.read(PERSISTENT_VOLUMES, "", name)
        return check_volume(raw, need, claim or {}, found, self.labels())

    async def _credentials(
        self, key: PodKey, raw: Json
    ) -> tuple[tuple[RegistryCredential, ...], list[Notice]]:
        if not self.provider.fields.honours("spec.imagePullSecrets"):
            return (), []
        secrets = await self.references.several(SECRETS, key.namespace, pull_secrets(raw))
        return registry_credentials(secrets)

    def _allocatable(self) -> Mapping[str, str]:
        info = self.node()
        return info.allocatable or info.capacity
