"""The complete configuration and the API clients: opened by the provider or by its checks.

Missing settings are read from the instance's metadata; what is found nowhere raises one ConfigError
with the names of the variables and the places that were searched.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import attrs
import httpx

import vk
from vk_providers.alibabacloud.client import RpcClient, http_client
from vk_providers.alibabacloud.config import EciConfig
from vk_providers.alibabacloud.credentials import CredentialChain, credential_chain
from vk_providers.alibabacloud.endpoints import endpoint
from vk_providers.alibabacloud.errors import RequestOutcomeUnknownError
from vk_providers.alibabacloud.instance_metadata import InstanceMetadata
from vk_providers.alibabacloud.throttle import Throttle

__all__ = ["Service", "open_service"]


@attrs.frozen(kw_only=True)
class Service:
    """A complete configuration and the clients that work with it."""

    config: EciConfig
    credentials: CredentialChain
    client: RpcClient
    vpc: RpcClient


@attrs.frozen(kw_only=True)
class _Opening:
    """What all API clients share."""

    http: httpx.AsyncClient
    credentials: CredentialChain
    throttle: Throttle
    check_lease: Callable[[], None]

    def client(self, product: str, config: EciConfig, override: str) -> RpcClient:
        url = endpoint(product, config.region, network=config.network, override=override)
        return RpcClient(
            http=self.http,
            endpoint=url,
            region=config.region,
            credentials=self.credentials,
            throttle=self.throttle,
            check_lease=self.check_lease,
        )


@asynccontextmanager
async def open_service(
    config: EciConfig,
    *,
    check_lease: Callable[[], None],
    environment: Mapping[str, str] = os.environ,
) -> AsyncIterator[Service]:
    """Open the connections; raises ConfigError for settings that are missing."""
    async with http_client() as http:
        metadata = InstanceMetadata(http, config.metadata_endpoint.rstrip("/"), environment)
        config = await _with_place(config, metadata)
        opening = _Opening(
            http=http,
            credentials=credential_chain(
                config, environment=environment, http=http, metadata=metadata
            ),
            throttle=Throttle(config.quota_share),
            check_lease=check_lease,
        )
        if config.region and not config.security_group:
            ecs = opening.client("ecs", config, config.ecs_endpoint)
            group = await _security_group(ecs, await metadata.get("instance-id"))
            config = attrs.evolve(config, security_group=group)
        _check(config)
        yield Service(
            config=config,
            credentials=opening.credentials,
            client=opening.client("eci", config, config.endpoint),
            vpc=opening.client("vpc", config, config.vpc_endpoint),
        )


async def _with_place(config: EciConfig, metadata: InstanceMetadata) -> EciConfig:
    """Return ``config`` with region, vSwitch and zone of the instance where not set."""
    region = config.region or await metadata.get("region-id")
    found = config.vswitches or tuple((await metadata.get("vswitch-id")).split())
    zone = config.zone
    if not zone and not config.vswitches:  # a configured vSwitch may be in another zone
        zone = await metadata.get("zone-id")
    return attrs.evolve(config, region=region, vswitches=found, zone=zone)


async def _security_group(ecs: RpcClient, instance: str) -> str:
    """Return the first security group of the instance, by ECS DescribeInstances."""
    if not instance:
        return ""
    try:
        answer = await ecs.call("DescribeInstances", {"InstanceIds": f'["{instance}"]'})
    except (vk.ProviderError, RequestOutcomeUnknownError):
        return ""
    rows = (answer.get("instances") or {}).get("instance") or ()
    groups = ((rows[0].get("securitygroupids") or {}).get("securitygroupid") or ()) if rows else ()
    return str(groups[0]) if groups else ""


def _check(config: EciConfig) -> None:
    found = {
        "ECI_REGION": config.region,
        "ECI_VSWITCH": config.vswitches,
        "ECI_SECURITY_GROUP": config.security_group,
    }
    missing = [name for name, value in found.items() if not value]
    if missing:
        places = "the environment, --provider-config, --set, and the machine's metadata and ECS"
        raise vk.ConfigError(f"{', '.join(missing)}: not found; looked in {places}")
