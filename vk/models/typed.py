"""From raw JSON to kubernetes_asyncio's typed models: imported only when somebody asks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
from kubernetes_asyncio.client import ApiClient

from vk.models.pod import Json

__all__ = ["to_v1_pod"]


class _Deserializer(ApiClient):  # type: ignore[misc] # the library is not typed here
    def __init__(self) -> None:
        """Skip the parent's: it opens a connection pool, and only its parsing is wanted."""


def to_v1_pod(raw: Json) -> Any:
    """Return ``raw`` as a V1Pod; raises ValueError where it does not fit the model."""
    return _Deserializer().deserialize(SimpleNamespace(data=orjson.dumps(raw)), "V1Pod")
