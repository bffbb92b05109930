"""An emulator over HTTP, and one whose time the test moves."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from eci_client import Client, client_of
from simulated import Simulation

from vk_providers.alibabacloud import emulator


@pytest.fixture
async def running() -> AsyncIterator[emulator.RunningEmulator]:
    """An emulator in this process, fast enough for tests."""
    async with emulator.serve(emulator.EmulatorSettings(speed=1000, rates=0, seed=1)) as running:
        yield running


@pytest.fixture
async def client(running: emulator.RunningEmulator) -> AsyncIterator[Client]:
    """A client of it."""
    async with aiohttp.ClientSession() as session:
        yield client_of(running, session)


@pytest.fixture
def simulation() -> Simulation:
    """A cloud at rest."""
    return Simulation()
