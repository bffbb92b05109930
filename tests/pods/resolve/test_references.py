"""How long an answer about an object is used again."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from reference_api import ReferenceApi

from vk.cluster.client import Client
from vk.cluster.resources import CONFIG_MAPS
from vk.pods.resolve.references import References

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


class SlowApi(ReferenceApi):
    """Takes 12 s for each object: longer than an answer is used again."""

    async def get(self, resource: Any, name: str, **more: Any) -> dict[str, Any]:
        found = await super().get(resource, name, **more)
        await asyncio.sleep(12)
        return found


async def test_a_slow_answer_is_used_again_and_as_old_as_its_request() -> None:
    api = SlowApi()
    api.put("configmaps", "settings", data={"colour": "green"})
    references = References(cast(Client, api))
    clock = asyncio.get_running_loop().time
    began = clock()
    await references.config_map("default", "settings")
    await asyncio.sleep(9)
    await references.config_map("default", "settings")
    assert api.reads["configmaps", "settings"] == 1
    await references.read(CONFIG_MAPS, "default", "settings", since=began)
    assert api.reads["configmaps", "settings"] == 1
    await references.read(CONFIG_MAPS, "default", "settings", since=began + 1)
    assert api.reads["configmaps", "settings"] == 2
    await asyncio.sleep(11)
    await references.config_map("default", "settings")
    assert api.reads["configmaps", "settings"] == 3
