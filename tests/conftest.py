"""What all tests share: the project's own pytest plugin, also where it is not installed."""

import pytest

from vk.testing import plugin


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin that an installed project brings through its entry point."""
    if not config.pluginmanager.is_registered(plugin):
        config.pluginmanager.register(plugin, "vk")
