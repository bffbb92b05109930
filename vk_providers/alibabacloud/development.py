"""The emulator as the backend of `vk dev --provider alibabacloud`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from vk_providers.alibabacloud.emulator import EmulatorSettings, RunningEmulator, serve

__all__ = ["run_emulator", "settings_for"]

_SPEED = 5.0


@asynccontextmanager
async def run_emulator() -> AsyncIterator[Mapping[str, str]]:
    """Run the emulator, faster than the service, and yield settings that use it."""
    async with serve(EmulatorSettings(speed=_SPEED)) as emulator:
        yield settings_for(emulator)


def settings_for(emulator: RunningEmulator) -> Mapping[str, str]:
    """Return settings (as of ``--set``) of a node that uses ``emulator`` as the service."""
    settings = emulator.settings
    products = ("endpoint", "sts_endpoint", "vpc_endpoint", "ecs_endpoint", "metadata_endpoint")
    return {
        **dict.fromkeys(products, emulator.url),
        "region": settings.region,
        "vswitches": ",".join(vswitch.id for vswitch in settings.vswitches),
        "security_group": settings.security_group,
        "access_key": settings.access_key_id,
        "secret_key": settings.access_key_secret,
        "poll": "1",
        "list_lag": "2",
        "exec_exit_code": "wrap",  # kubectl treats an unknown exit code as a failure
    }
