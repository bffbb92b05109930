"""What all tests share: the project's own pytest plugin, also where it is not installed."""

import asyncio
from collections.abc import Iterator

import audited_suite
import pytest

from vk.testing import plugin
from vk.testing.control_plane import ControlPlane


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin that an installed project brings through its entry point.

    Without a current event loop looptime opens none of its own in tests that are not asynchronous;
    it would never close it, and an unclosed loop counts as an error.
    """
    asyncio.set_event_loop(None)
    if not config.pluginmanager.is_registered(plugin):
        config.pluginmanager.register(plugin, "vk")
    config.pluginmanager.register(audited_suite.AuditedSuite(), audited_suite.NAME)


@pytest.fixture(scope="session")
def control_plane(
    control_plane: ControlPlane, pytestconfig: pytest.Config
) -> Iterator[ControlPlane]:
    """The plugin's control plane; at its end the run learns what nodes asked of it."""
    yield control_plane
    pytestconfig.pluginmanager.getplugin(audited_suite.NAME).note(control_plane.folder)
