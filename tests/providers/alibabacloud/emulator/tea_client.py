"""The vendor's Python client, pointed at an emulator; it signs with ACS3-HMAC-SHA256."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from alibabacloud_eci20180808 import models
from alibabacloud_eci20180808.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.models import Config

from vk_providers.alibabacloud import emulator

__all__ = ["ClientException", "TeaClient"]


class TeaClient:
    """Calls an emulator by the vendor's client."""

    def __init__(self, running: emulator.RunningEmulator, **other: Any) -> None:
        settings = running.settings
        given = {
            "access_key_id": settings.access_key_id,
            "access_key_secret": settings.access_key_secret,
            "endpoint": running.url.removeprefix("http://"),
            "protocol": "http",
            "region_id": settings.region,
            **other,
        }
        self._region = settings.region
        self._client = Client(Config(**given))

    async def call(self, action: str, **members: Any) -> dict[str, Any]:
        """Return what the client's model of the answer has. Raises ClientException."""
        request = getattr(models, f"{action}Request")().from_map(
            {"RegionId": self._region, **members}
        )
        # What the model does not know was lost above, so that no test asks for it unnoticed.
        assert members.keys() <= request.to_map().keys()
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower()
        answer = await getattr(self._client, f"{method}_async")(request)
        body: dict[str, Any] = answer.body.to_map()
        return body

    async def create(self, *command: str, **members: Any) -> str:
        """Create a group of one container; return its id."""
        container = {"Name": "main", "Image": "nginx:1.27", "Command": list(command) or None}
        usual: Mapping[str, Any] = {"ContainerGroupName": "default-web", "Container": [container]}
        return str(
            (await self.call("CreateContainerGroup", **{**usual, **members}))["ContainerGroupId"]
        )

    async def group(self, id: str) -> dict[str, Any]:
        """Return the group's row."""
        answer = await self.call("DescribeContainerGroups", ContainerGroupIds=f'["{id}"]')
        (row,) = answer["ContainerGroups"]
        return dict(row)
