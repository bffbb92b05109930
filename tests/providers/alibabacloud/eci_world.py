"""What the tests of the Alibaba Cloud provider share: pods as the core hands them over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

import vk
from vk.models.pod import Resolution
from vk.models.volumes import volume
from vk_providers.alibabacloud.config import EciConfig
from vk_providers.alibabacloud.identity import Identity

UID = "0a1b2c3d-0000-4000-8000-000000000001"
IDENTITY = Identity(cluster_uid="c1", node_name="eci", cluster_name="prod")


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
                one["name"]: volume(one, claims.get(one["name"]))
                for one in spec.get("volumes", ())
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
