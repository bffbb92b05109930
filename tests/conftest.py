"""What all tests share: the project's own pytest plugin, also where it is not installed."""

import asyncio

import pytest

from vk.testing import plugin


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin that an installed project brings through its entry point.

    Without a current event loop looptime opens none of its own in tests that are not asynchronous;
    it would never close it, and an unclosed loop counts as an error.
    """
    asyncio.set_event_loop(None)
    if not config.pluginmanager.is_registered(plugin):
        config.pluginmanager.register(plugin, "vk")
