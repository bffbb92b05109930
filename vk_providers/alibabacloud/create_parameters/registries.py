"""The registry credentials of a pod: only for the registries of its images. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import vk
from vk_providers.alibabacloud.create_parameters.field_errors import FieldErrors

__all__ = ["acr_registries", "credentials_for"]

_MOST = 10
_HUB = "docker.io"
_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


def credentials_for(pod: vk.Pod, problems: FieldErrors) -> list[dict[str, str]]:
    """Return the credentials for the registries that the pod's images come from."""
    images = [one.image for one in (*pod.containers, *pod.init_containers)]
    wanted = {_registry_of(image) for image in images}
    found: dict[str, dict[str, str]] = {}
    for one in pod.registry_credentials:
        server = one.registry.split("/")[0]
        server = _HUB if server in _HUB_NAMES else server
        if server in wanted:
            login = {"Server": server, "UserName": one.username, "Password": one.password}
            found.setdefault(server, login)
    problems.at_most("spec.imagePullSecrets", len(found), _MOST, "registries")
    return list(found.values())


def acr_registries(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the ACR instances with the ARNs of the roles to log in with."""
    arns = parameters.get("AcrArns") or {}
    return [{**one, **arns} for one in parameters.get("AcrRegistryInfo") or ()]


def _registry_of(image: str) -> str:
    """Return the registry host of an image name, as container runtimes determine it."""
    first, slash, _ = image.partition("/")
    is_host = slash and ("." in first or ":" in first or first == "localhost")
    host = first if is_host else _HUB
    return _HUB if host in _HUB_NAMES else host
