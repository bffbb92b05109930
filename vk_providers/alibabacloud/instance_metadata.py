"""The instance metadata service of the machine that vk runs on, in hardened mode if supported.

It is reachable only on an ECS instance or in an ECI group, and returns region, zone, VPC, vSwitch
and the credentials of the instance's RAM role.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping

import attrs
import httpx

__all__ = ["InstanceMetadata"]

_TOKEN = "X-aliyun-ecs-metadata-token"
_TOKEN_LIFE = 21600
_TIMEOUT = 1.0


@attrs.define(eq=False)
class InstanceMetadata:
    """A client of the metadata service; values are empty where it is unreachable."""

    http: httpx.AsyncClient
    endpoint: str
    environment: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    _token: str = attrs.field(default="", init=False, repr=False)
    _token_until: float = attrs.field(default=0.0, init=False)

    async def get(self, path: str) -> str:
        """Return a value below ``/latest/meta-data/``; empty where there is none."""
        if self.environment.get("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "").lower() == "true":
            return ""
        headers = await self._headers()
        if headers is None:
            return ""
        url = f"{self.endpoint}/latest/meta-data/{path}"
        return await _read(self.http.get(url, headers=headers, timeout=_TIMEOUT))

    async def _headers(self) -> dict[str, str] | None:
        """Return the token header; None where no token is available and IMDSv1 is disabled."""
        now = asyncio.get_running_loop().time()
        if not self._token or now >= self._token_until:
            url = f"{self.endpoint}/latest/api/token"
            headers = {f"{_TOKEN}-ttl-seconds": str(_TOKEN_LIFE)}
            self._token = await _read(self.http.put(url, headers=headers, timeout=_TIMEOUT))
            self._token_until = now + _TOKEN_LIFE / 2
        if self._token:
            return {_TOKEN: self._token}
        disabled = self.environment.get("ALIBABA_CLOUD_IMDSV1_DISABLED", "").lower() == "true"
        return None if disabled else {}


async def _read(call: Awaitable[httpx.Response]) -> str:
    try:
        answer = await call
    except httpx.HTTPError:
        return ""
    return answer.text.strip() if answer.status_code == 200 else ""
