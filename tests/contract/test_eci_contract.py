"""The contract suite on the Alibaba Cloud provider, with the emulator in place of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from vk.cli.provider_config import load
from vk.testing import ProviderContract
from vk.testing.contract.bench import Bench
from vk_providers.alibabacloud.config import EciConfig
from vk_providers.alibabacloud.development import settings_for
from vk_providers.alibabacloud.emulator import EmulatorSettings, RunningEmulator, serve
from vk_providers.alibabacloud.provider import AlibabaCloudProvider

_QUICK = EmulatorSettings(speed=5.0, rates=0, list_lag=0.1, scheduling=0.2, image_pull=0.1, seed=1)
"""Slow enough that a container that runs for two seconds is seen to run."""


@pytest.mark.slow
class TestAlibabaCloud(ProviderContract):
    provider_class = AlibabaCloudProvider
    many = 21
    """One more than a page of a list holds: each costs calls, which the provider itself limits."""
    service: RunningEmulator

    @pytest.fixture
    async def emulator(self) -> AsyncIterator[RunningEmulator]:
        async with serve(_QUICK) as self.service:
            yield self.service

    @pytest.fixture
    def provider_config(self, emulator: RunningEmulator) -> EciConfig:
        given = {"poll": "0.05", "list_lag": "0.03", "quota_share": "1"}
        overrides = {**settings_for(emulator), **given}
        config: EciConfig = load(EciConfig, provider="alibabacloud", overrides=overrides)
        return config

    def outage(self, bench: Bench) -> AbstractAsyncContextManager[None]:
        """Close connections without a response."""

        @asynccontextmanager
        async def outage() -> AsyncIterator[None]:
            await self.service.set_faults({"kind": "reset"})
            try:
                yield
            finally:
                await self.service.set_faults()

        return outage()

    async def test_delete_of_an_unknown_pod_is_not_found(self, provider_config: EciConfig) -> None:
        """Next to another pod: an empty list could also be a missing permission."""
        async with self.bench(provider_config) as bench:
            await self.running(bench)
            await super().test_delete_of_an_unknown_pod_is_not_found(provider_config)
