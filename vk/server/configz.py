"""``/configz``: the configuration of this node, without anything that may be a secret.

The kubelet's own fields are under its own name, for tools that look there; vk's beside them. Of the
provider's configuration only the names of the keys are configz_of, and of no file its content.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import orjson
from aiohttp import web

from vk.models.node import Taint
from vk.settings import Settings

__all__ = ["ConfigzHandler", "configz_of"]

_HIDDEN = frozenset({"provider_settings"})


@attrs.define(eq=False)
class ConfigzHandler:
    """Answers with the current settings."""

    settings: Callable[[], Settings]

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        settings = self.settings()
        document = {"kubeletconfig": _kubelet(settings), "vk": configz_of(settings)}
        return web.Response(body=orjson.dumps(document), content_type="application/json")


def configz_of(settings: Settings) -> dict[str, Any]:
    """Return the settings as JSON, without those that may hold a secret."""
    fields = {field.name: getattr(settings, field.name) for field in attrs.fields(Settings)}
    plain = {name: _plain(value) for name, value in fields.items() if name not in _HIDDEN}
    return {**plain, "provider_settings": sorted(settings.provider_settings)}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [attrs.asdict(one) if isinstance(one, Taint) else one for one in value]
    return value


def _kubelet(settings: Settings) -> dict[str, Any]:
    client_ca = settings.client_ca_file
    x509 = {"clientCAFile": str(client_ca)} if client_ca is not None else {}
    return {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "port": settings.kubelet_port,
        "clusterDomain": settings.cluster_domain,
        "clusterDNS": list(settings.cluster_dns),
        "nodeLeaseDurationSeconds": max(1, round(settings.node_lease_duration)),
        "streamingConnectionIdleTimeout": f"{settings.stream_idle_timeout:g}s",
        "authentication": {
            "x509": x509,
            "webhook": {"enabled": not settings.insecure_dev},
            "anonymous": {"enabled": settings.insecure_dev},
        },
        "authorization": {"mode": "AlwaysAllow" if settings.insecure_dev else "Webhook"},
    }
