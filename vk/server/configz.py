"""``/configz``: how this node is configured, without anything that may be a secret.

The kubelet's own fields come under its own name, for tools that look there; ours beside them. Of
the provider's configuration only the names of the keys are shown, and of no file its content.
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

__all__ = ["Configuration", "shown"]

_HIDDEN = frozenset({"provider_settings"})


@attrs.define(eq=False)
class Configuration:
    """Answers with the settings of the moment."""

    settings: Callable[[], Settings]

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        settings = self.settings()
        document = {"kubeletconfig": _kubelet(settings), "vk": shown(settings)}
        return web.Response(body=orjson.dumps(document), content_type="application/json")


def shown(settings: Settings) -> dict[str, Any]:
    """Return the settings as JSON; what may be a secret is left out."""
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
    authority = settings.client_authority
    x509 = {"clientCAFile": str(authority)} if authority is not None else {}
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
