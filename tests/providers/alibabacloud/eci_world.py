"""What the tests of the Alibaba Cloud provider share: pods as the core hands them over."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import attrs

import vk
from vk.cli.provider_config import load
from vk.models.pod import Resolution
from vk.models.volumes import volume
from vk_providers.alibabacloud.config import EciConfig
from vk_providers.alibabacloud.development import settings_for
from vk_providers.alibabacloud.emulator import RunningEmulator
from vk_providers.alibabacloud.provider import AlibabaCloudProvider
from vk_providers.alibabacloud.tags import NodeIdentity

UID = "0a1b2c3d-0000-4000-8000-000000000001"
IDENTITY = NodeIdentity(cluster_uid="c1", node_name="eci", cluster_name="prod")


def config(**more: Any) -> EciConfig:
    given = {"region": "cn-hangzhou", "vswitches": "vsw-a", "security_group": "sg-a", **more}
    return EciConfig(**given)


def pod(case: Mapping[str, Any]) -> vk.Pod:
    """Return the pod of a case: ``pod`` as in the API, the rest as the core would resolve it."""
    raw = case["pod"]
    metadata = {"namespace": "default", "name": "web", "uid": UID, **raw.get("metadata", {})}
    raw = {"metadata": metadata, "spec": raw["spec"]}
    plain = vk.Pod(raw)
    spec = raw["spec"]
    claims = case.get("persistent_volumes", {})
    return vk.Pod(
        raw,
        resolution=Resolution(
            containers=tuple(_resolved(one, case) for one in plain.containers),
            init_containers=tuple(_resolved(one, case) for one in plain.init_containers),
            dns=vk.DNS(**{name: tuple(items) for name, items in case.get("dns", {}).items()}),
            files={name: _tree(tree) for name, tree in case.get("files", {}).items()},
            volumes={
                one["name"]: volume(one, claims.get(one["name"])) for one in spec.get("volumes", ())
            },
            registry_credentials=tuple(
                vk.RegistryCredential(**login) for login in case.get("logins", ())
            ),
        ),
    )


def _resolved(container: vk.Container, case: Mapping[str, Any]) -> vk.Container:
    env = case.get("env", {}).get(container.name)
    open_env = tuple(case.get("open_env", {}).get(container.name, ()))
    return attrs.evolve(container, env=container.env if env is None else env, open_env=open_env)


def _tree(tree: Mapping[str, Any]) -> vk.FileTree:
    return {
        path: vk.File(entry["text"].encode(), mode=entry["mode"])
        if isinstance(entry, dict)
        else vk.File(entry.encode())
        for path, entry in tree.items()
    }


async def _nothing(*_: Any) -> None:
    return None


@attrs.define(eq=False)
class World:
    """A provider on an emulator, without a cluster: the test is the core."""

    emulator: RunningEmulator
    pods: dict[str, vk.Pod] = attrs.field(factory=dict)
    events: list[tuple[Any, ...]] = attrs.field(factory=list)
    annotations: dict[str, dict[str, str]] = attrs.field(factory=dict)
    lease_held: bool = True

    def provider(
        self, *, node: str = "eci", cluster: str = "c1", **more: str
    ) -> AlibabaCloudProvider:
        """Return a provider that is not entered yet; what others have is what this one has."""
        settings = {**settings_for(self.emulator), "poll": "0.05", "list_lag": "0.5", **more}
        given = load(EciConfig, provider="alibabacloud", overrides=settings)
        context = vk.ProviderContext(
            node_name=node,
            cluster_uid=cluster,
            config=given,
            pods=self.pods,
            secret=_nothing,
            config_map=_nothing,
            annotate=self._annotate,
            check_lease=self._check_lease,
            emit=lambda key, *said, id=None: self.events.append((key.name, *said, id)),
            node_changed=lambda: None,
        )
        return AlibabaCloudProvider(context)

    def add(self, name: str = "web", *, uid: str = "", **spec: Any) -> vk.Pod:
        """Return a new pod that the node has."""
        metadata = {"namespace": "default", "name": name, "uid": uid or f"uid-{name}"}
        metadata |= spec.pop("metadata", {})
        raw = {
            "metadata": metadata,
            "spec": {"containers": [{"name": "c", "image": "nginx"}], **spec},
        }
        self.pods[metadata["uid"]] = vk.Pod(raw)
        return self.pods[metadata["uid"]]

    def change(self, pod: vk.Pod, **metadata: Any) -> vk.Pod:
        """Change the pod's metadata, as the API server would."""
        raw = {**pod.raw, "metadata": {**pod.metadata, **metadata}}
        self.pods[pod.key.uid] = vk.Pod(raw, resolution=pod.resolution)
        return self.pods[pod.key.uid]

    async def billed(self) -> list[dict[str, Any]]:
        """Return the groups that are alive by the ledger."""
        groups = (await self.emulator.ledger())["groups"]
        return [group for group in groups if group["ended"] is None]

    async def calls(self, action: str) -> list[dict[str, Any]]:
        """Return the calls of one action that reached the service."""
        calls = (await self.emulator.ledger())["calls"]
        return [call for call in calls if call["action"] == action]

    async def _annotate(self, key: vk.PodKey, annotations: Mapping[str, str]) -> None:
        self.annotations.setdefault(key.uid, {}).update(annotations)
        if (known := self.pods.get(key.uid)) is not None:
            self.change(known, annotations={**known.annotations, **annotations})

    def _check_lease(self) -> None:
        if not self.lease_held:
            raise vk.TemporaryError("the lease is lost")


async def until(provider: vk.Provider, wanted: Any, *, within: float = 20.0) -> Any:
    """Return the first change of the provider's stream that ``wanted`` holds for."""
    async with asyncio.timeout(within), aclosing(provider.watch_pods()) as changes:
        async for change in changes:
            if wanted(change):
                return change
    raise AssertionError("the stream ended")


def is_running(change: Any) -> bool:
    """Return whether all containers of a pod run in a change."""
    return (
        isinstance(change, vk.PodStatus)
        and bool(change.containers)
        and all(isinstance(one.state, vk.Running) for one in change.containers)
    )
