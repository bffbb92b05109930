"""From raw JSON to kubernetes_asyncio's typed models; imported on first use, as it is slow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
from kubernetes_asyncio.client import ApiClient

from vk.models.pod import Json

__all__ = ["to_v1_pod"]


class _Deserializer(ApiClient):
    def __init__(self) -> None:
        """Skip the parent's: it opens a connection pool, and only its parsing is wanted."""


def to_v1_pod(raw: Json) -> Any:
    """Return ``raw`` as a V1Pod; raises ValueError where it does not fit the model."""
    answer: Any = SimpleNamespace(data=orjson.dumps(raw))  # all that it reads of an answer
    return _Deserializer().deserialize(answer, "V1Pod")
