"""The instance that the node's program would run on: metadata service and DescribeInstances.

``PUT /latest/api/token`` returns the token of the hardened mode, ``/latest/meta-data/`` the values.
The security group is not in the metadata, only in DescribeInstances of ECS.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any

import attrs
import orjson

from vk_providers.alibabacloud.emulator.authentication import AccessKey
from vk_providers.alibabacloud.emulator.cloud import ApiCall, Cloud
from vk_providers.alibabacloud.emulator.rpc import ApiResponse
from vk_providers.alibabacloud.emulator.schema import ObjectSchema, integer, text
from vk_providers.alibabacloud.emulator.sts import document

__all__ = ["INSTANCE", "INSTANCES", "MetadataService", "describe_instances"]

INSTANCE = "i-emulator"
_MAC = "00:16:3e:00:00:01"
_TTL = "X-aliyun-ecs-metadata-token-ttl-seconds"
_TOKEN = "X-aliyun-ecs-metadata-token"
_LONGEST = 21_600
_LIFETIME = 21_600.0
_EARLY = 1800.0
"""Seconds before their expiry at which the role's credentials are replaced."""
_TEXT = "text/plain"

INSTANCES = ObjectSchema(
    {
        "InstanceIds": text(4096),
        "PageNumber": integer(1, 10_000),
        "PageSize": integer(1, 100),
        "MaxResults": integer(1, 100),
        "NextToken": text(128),
    }
)


def describe_instances(call: ApiCall) -> dict[str, Any]:
    """Return the instance, as ECS does."""
    settings = call.cloud.settings
    asked = call.text("InstanceIds")
    vswitch = settings.vswitches[0]
    row = {
        "InstanceId": INSTANCE,
        "RegionId": settings.region,
        "ZoneId": vswitch.zone,
        "Status": "Running",
        "SecurityGroupIds": {"SecurityGroupId": [settings.security_group]},
        "VpcAttributes": {"VpcId": settings.vpc, "VSwitchId": vswitch.id},
    }
    rows = [row] if not asked or INSTANCE in asked else []
    return {"TotalCount": len(rows), "Instances": {"Instance": rows}, "NextToken": ""}


@attrs.define(eq=False)
class MetadataService:
    """The metadata service."""

    cloud: Cloud
    _tokens: dict[str, float] = attrs.field(factory=dict, init=False, repr=False)
    _credential: AccessKey | None = None

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> ApiResponse:
        """Handle one request."""
        now = self.cloud.timeline.now()
        if path == "/latest/api/token":
            return self._issue(method, headers.get(_TTL, ""), now)
        token = headers.get(_TOKEN, "")
        wanted = token or self.cloud.settings.hardened_metadata
        if wanted and self._tokens.get(token, 0.0) <= now:
            return ApiResponse(403, b"", _TEXT)
        if method != "GET":
            return ApiResponse(405, b"", _TEXT)
        return self._value(path.removeprefix("/latest/meta-data").strip("/"), now)

    def _issue(self, method: str, ttl: str, now: float) -> ApiResponse:
        if method != "PUT":
            return ApiResponse(405, b"", _TEXT)
        if not ttl.isdecimal() or not 1 <= int(ttl) <= _LONGEST:
            return ApiResponse(400, b"", _TEXT)
        token = f"{self.cloud.random.getrandbits(160):040x}"
        self._tokens = {each: end for each, end in self._tokens.items() if end > now}
        self._tokens[token] = now + int(ttl)
        return ApiResponse(200, token.encode(), _TEXT)

    def _value(self, path: str, now: float) -> ApiResponse:
        role = f"ram/security-credentials/{self.cloud.settings.role}"
        if path == role:
            return ApiResponse(200, self._role(now))
        values = {**self._values(), role: ""}
        if path in values:
            return ApiResponse(200, values[path].encode(), _TEXT)
        start = f"{path}/" if path else ""
        below = [each.removeprefix(start) for each in values if each.startswith(start)]
        names = dict.fromkeys(first + sign for first, sign, _ in (b.partition("/") for b in below))
        return ApiResponse(200 if names else 404, "\n".join(names).encode(), _TEXT)

    def _values(self) -> dict[str, str]:
        settings = self.cloud.settings
        vswitch = settings.vswitches[0]
        network = IPv4Network(vswitch.cidr)
        address = str(network[-5])
        card = f"network/interfaces/macs/{_MAC}"
        return {
            "hostname": "emulator",
            "instance-id": INSTANCE,
            "mac": _MAC,
            "network-type": "vpc",
            "owner-account-id": settings.account,
            "private-ipv4": address,
            "region-id": settings.region,
            "vpc-id": settings.vpc,
            "vswitch-id": vswitch.id,
            "zone-id": vswitch.zone,
            "vswitch-cidr-block": vswitch.cidr,
            f"{card}/network-interface-id": "eni-emulator",
            f"{card}/primary-ip-address": address,
            f"{card}/vpc-id": settings.vpc,
            f"{card}/vswitch-id": vswitch.id,
            f"{card}/vswitch-cidr-block": vswitch.cidr,
        }

    def _role(self, now: float) -> bytes:
        credential = self._credential
        if credential is None or self.cloud.account.left(credential, now) <= _EARLY:
            identity = f"assumed-role/{self.cloud.settings.role}/{INSTANCE}"
            credential = self.cloud.account.issue(identity, now + _LIFETIME)
            self._credential = credential
        return orjson.dumps({**document(credential), "Code": "Success"})
